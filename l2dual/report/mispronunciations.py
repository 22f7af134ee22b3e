"""The tables of mispronunciation detection: systems beside the trivial answers and beside each other."""

from l2dual.mispronunciation import MEASURES
from l2dual.outputs import PAIRS, SINGLE
from l2dual.report.rates import Cell, Comparison, cell_of
from l2dual.report.verdict import not_begun

PROMPTS = {
    "given": "The prompt is given, as to a tutor in read speech",
    "own": "The prompt is the system’s own meaning, as in free speech",
}
LEANING = ("recall", "false_rejection_rate")
HEARD = {"given": ("surface",), "own": ("surface", "meaning")}  # outputs that are compared
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
            for system in (*PAIRS, *group.systems)
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


def difference_rows(group: Comparison, half: Comparison | None) -> list[dict]:
    """How many more of the learner's errors each system finds than each that it is set beside.

    A system is left out that had not begun to learn what is compared at half the training budget.

    Returns:
        Rows of a ``prompt``, ``system`` and ``baseline``: a cell in points for each of ``LEANING``,
        and ``half``, recall at half the training budget.
    """
    keys = ("surface", group.units.get("surface", ["char"])[0], "all")
    missing = Cell({}, "not decoded at half the budget")
    rows = []
    for prompt in PROMPTS:
        for system in group.systems:
            for baseline in (*PAIRS, *group.baselines(system, "surface")):
                place = prompt, system, baseline, *keys
                kind = "mispronunciation_difference"
                found = [group.statistics.get((kind, name, *place)) for name in LEANING]
                late = (not_begun(half, system, output, SINGLE[output]) for output in HEARD[prompt])
                if not all(found) or any(late):
                    continue
                before = half and half.statistics.get((kind, "recall", *place))
                row = {"prompt": prompt, "system": system, "baseline": baseline}
                row["cells"] = [cell_of(record) for record in found]
                rows.append(row | {"half": cell_of(before) if before else missing})
    return rows
