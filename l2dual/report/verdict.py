"""What may be said of a dual-output system against the single-output ones, and how firmly.

A difference is a finding if it has three seeds, if its test, corrected over all differences of its
table (Holm), is below .05, and if its sign is the same at half the training budget.
"""

from l2dual.report.rates import RATE, SINGLE, Cell, Comparison, points

SEEDS = 3
LEVEL = 0.05


def verdict(group: Comparison, half: Comparison | None) -> list[str]:
    """One sentence per dual-output system and output, then one per slope on divergence.

    ``half`` has the same systems at half the training budget, if they were decoded there.
    """
    pairs = [(system, output) for system in group.duals for output in group.units]
    sentences = [difference(group, half, *pair) for pair in pairs]
    return sentences + list(filter(None, (slope(group, *pair) for pair in pairs)))


def difference(group: Comparison, half: Comparison | None, system: str, output: str) -> str:
    """DO - SO over all utterances, with its interval, and how far it carries."""
    unit, single = group.units[output][0], SINGLE[output]
    cell = group.degradation(system, output, unit, "all")
    if cell.mean is None:
        return f"{output.capitalize()}: {system} has nothing to compare with: {cell.reason}."
    dual = group.cell(system, output, unit, "all")
    rate = sum(dual.values[seed] for seed in cell.values) / len(cell.values)
    numbers = f"{points(cell.mean)} points{bracket(cell)}"
    rates = f"{rate:.1f} against {rate - cell.mean:.1f} % {RATE[unit]}"
    at_half = half and half.degradation(system, output, unit, "all")
    return (
        f"{output.capitalize()}: {system} − {single} = {numbers} ({rates}; {seeds(cell)}): "
        f"{standing(cell, at_half)}."
    )


def bracket(cell: Cell) -> str:
    """The interval over speakers in brackets, or nothing where there is none."""
    if cell.interval is None:
        return ""
    return " [{}, {}]".format(*map(points, cell.interval))


def seeds(cell: Cell) -> str:
    """How many seeds, and the value of each."""
    each = ", ".join(points(value) for value in cell.values.values())
    return "1 seed" if len(cell.values) == 1 else f"{len(cell.values)} seeds: {each}"


def standing(cell: Cell, half: Cell | None) -> str:
    """Whether a difference is a finding, and if not, what it lacks."""
    lacking = lacks(cell, half)
    if lacking:
        return lacking
    better = "worse" if cell.mean > 0 else "better"
    return f"{better}, a finding (p = {cell.p:.2g} after Holm; half the budget {points(half.mean)})"


def lacks(cell: Cell, half: Cell | None) -> str | None:
    """What a difference lacks to be a finding; None if it is one."""
    if len(cell.values) < SEEDS:
        return "a description, not a finding, which needs three seeds"
    if cell.interval is None or cell.p is None:
        return "a description, not a finding: no interval over speakers"
    if cell.p >= LEVEL:
        return f"no difference shown (p = {cell.p:.2g} after Holm)"
    better = "worse" if cell.mean > 0 else "better"
    if half is None or half.mean is None:
        return f"{better}, but not tried at half the budget, so not yet a finding"
    if half.mean * cell.mean <= 0:
        return f"{better}, but at half the budget {points(half.mean)} points: not a finding"
    return None


def slope(group: Comparison, system: str, output: str) -> str | None:
    """Whether DO / SO grows with divergence; None where no slope was fitted."""
    record = group.statistics.get(("slope", "log_rate_ratio", system, output, group.units[output][0]))
    if record is None or record["value"] is None:
        return None
    value, interval, p = record["value"], record["interval"], record["p_holm"]
    name = f"{output.capitalize()}: log({system} / {SINGLE[output]}) on edits per token"
    if interval is None or p is None:
        return f"{name} has slope {value:+.2f}: {record['reason']}."
    grows = "grows" if value > 0 else "falls"
    said = f"{grows} with divergence" if p < LEVEL else "no trend with divergence shown"
    few = "; a description, not a finding" if len(record["seeds"]) < SEEDS else ""
    numbers = f"{value:+.2f} [{interval[0]:+.2f}, {interval[1]:+.2f}]".replace("-", "−")
    return f"{name} has slope {numbers}: {said} (p = {p:.2g} after Holm){few}."
