"""The table of mispronunciation detection and diagnosis: systems beside the trivial answers."""

from l2dual.mispronunciation import MEASURES
from l2dual.report.rates import Comparison

PROMPTS = {
    "given": "The prompt is given, as to a tutor in read speech",
    "own": "The prompt is the system’s own meaning, as in free speech",
}
TRIVIAL = {"all_correct": "all correct", "random": "random at the base rate"}


def mispronunciation_tables(group: Comparison) -> list[dict]:
    """One table per prompt that was scored: rows of a record (or a trivial value) per measure."""
    unit = group.units.get("surface", ["char"])[0]
    tables = []
    for prompt, title in PROMPTS.items():
        keys = ("surface", unit, "all")
        rows = {
            system: [
                group.statistics.get(("mispronunciation", name, prompt, system, *keys))
                for name in MEASURES
            ]
            for system in ("so", *group.systems)
        }
        rows = {system: found for system, found in rows.items() if all(found)}
        if rows:
            first = next(iter(rows.values()))
            trivial = {
                label: [record["trivial"][key] for record in first]
                for key, label in TRIVIAL.items()
            }
            tables.append({"title": title, "unit": unit, "rows": rows, "trivial": trivial})
    return tables
