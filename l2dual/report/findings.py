"""The paper's findings (Cho & Kim 2026), held against the result files of both recipes."""

from dataclasses import dataclass
from pathlib import Path

from l2dual.report.entanglement import mean_of, of_group, read_cka
from l2dual.report.rates import RATE, SINGLE, Comparison, comparisons, points
from l2dual.report.verdict import LEVEL, SEEDS, bracket, lacks, seeds
from l2dual.score import read_records

HOLDS, FAILS, OPEN = "holds", "does not hold", "can’t be told"


@dataclass(frozen=True)
class Recipe:
    """The comparison of one recipe, at the whole and at half the budget, and where its files are."""

    exp: Path
    group: Comparison
    half: Comparison | None


def recipe_of(exp: Path) -> Recipe:
    """Read a recipe's result files; of several comparisons, the first.

    Raises:
        DataError: no results.json.
    """
    group, *_ = comparisons(read_records(exp / "results.json"), optional(exp / "statistics.json"))
    return Recipe(exp, group, half_of(group, comparisons(optional(exp / "results_half.json"))))


def optional(path: Path) -> list[dict]:
    """The records of a result file that may be absent."""
    return read_records(path) if path.is_file() else []


def half_of(group: Comparison, halves: list[Comparison]) -> Comparison | None:
    """The same systems at half the training budget."""
    keys = ("data", "split", "config", "decode_config")
    same = (h for h in halves if all(getattr(h, key) == getattr(group, key) for key in keys))
    return next(same, None)


def findings(recipes: list[Recipe]) -> list[dict]:
    """What the paper found, and per recipe whether it holds here, with the numbers, or why not told."""
    rows = [
        ("Sharing the encoder helps the meaning", lambda r: helped(r, "meaning", -1)),
        ("Sharing the encoder hurts the surface", lambda r: helped(r, "surface", +1)),
        ("The hurt of the surface grows with divergence", grows),
        ("Which blocks of the single-output encoders are alike", alike),
        ("The meaning’s decoder goes its own way, the surface’s stays as it was", own_way),
    ]
    return [{"finding": name, "verdicts": [judge(r) for r in recipes]} for name, judge in rows]


def helped(recipe: Recipe, output: str, sign: int) -> tuple[str, str]:
    """Whether ``do`` differs from the single-output system with this sign."""
    if output not in recipe.group.units:
        return OPEN, f"no {output}"
    unit = recipe.group.units[output][0]
    cell = recipe.group.degradation("do", output, unit, "all")
    if cell.mean is None:
        return OPEN, cell.reason
    half = recipe.half and recipe.half.degradation("do", output, unit, "all")
    said = f"do − {SINGLE[output]}: {points(cell.mean)} points {RATE[unit]}{bracket(cell)}, {seeds(cell)}"
    lacking = lacks(cell, half)
    if lacking:
        return OPEN, f"{said}: {lacking}"
    return (HOLDS if cell.mean * sign > 0 else FAILS), said


def grows(recipe: Recipe) -> tuple[str, str]:
    """Whether the log rate ratio of the surface rises with edits per token."""
    unit = recipe.group.units.get("surface", ["char"])[0]
    record = recipe.group.statistics.get(("slope", "log_rate_ratio", "do", "surface", unit))
    if record is None or record["value"] is None or not record["interval"]:
        return OPEN, record["reason"] if record else "no slope was fitted"
    low, high = record["interval"]
    said = f"slope {record['value']:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    if len(record["seeds"]) < SEEDS:
        return OPEN, f"{said}: a description, not a finding, which needs three seeds"
    if record["p_holm"] >= LEVEL:
        return OPEN, f"{said}: no trend shown (p = {record['p_holm']:.2g} after Holm)"
    return (HOLDS if record["value"] > 0 else FAILS), said


def alike(recipe: Recipe) -> tuple[str, str]:
    """Task similarity block by block: the paper has English above Korean but for the last layers."""
    pairs = read_cka(recipe.exp, recipe.group)["pairs"]
    pair = next((p for p in pairs if p["title"].startswith("Task similarity")), None)
    if pair is None or all(value is None for value in pair["cka"]):
        return OPEN, "so_surface and so_meaning were not compared"
    values = ", ".join("–" if v is None else f"{v:.2f}" for v in pair["cka"])
    return OPEN, f"CKA {values} (first block to last); languages are compared by eye, not tested"


def own_way(recipe: Recipe) -> tuple[str, str]:
    """Whether the decoders of ``do`` are unlike those of the single-output systems, last layer."""
    found = {}
    for output, single in SINGLE.items():
        records = [
            r
            for r in of_group(recipe.exp / "decoders.json", recipe.group, "decoder cka")
            if {(r["system_x"], r["output_x"]), (r["system_y"], r["output_y"])}
            == {("do", output), (single, output)}
            and r["set"] == "divergence 0"
        ]
        last = [r for r in records if r["layer_x"] == max(r["layer_x"] for r in records)]
        found[output] = mean_of(last, "cka"), len({(r["seed_x"], r["seed_y"]) for r in last})
    if any(value is None for value, _ in found.values()):
        return OPEN, "the decoders were not compared"
    (surface, pairs), (meaning, _) = found["surface"], found["meaning"]
    said = f"CKA of do’s last decoder layer with the single one’s: surface {surface:.2f}, meaning {meaning:.2f}"
    return OPEN, f"{said}, {pairs} pair{'s' * (pairs > 1)} of seeds; not tested"
