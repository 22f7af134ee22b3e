"""What may be said of a system against the single-output ones, and how firmly.

A difference is a finding if it has three seeds, if its test, corrected over its table (Holm; see
`l2dual.inference`), is below .05 (for these seeds, if only the test over speakers or voices is; for
other seeds, if that over both is too), if both systems have begun to learn at half the training budget,
and if its sign is the same there. A system has not begun that gets most tokens wrong: attention
without CTC may take long to align, and its rate then says how long, not what sharing an encoder
does.
"""

from statistics import mean

from l2dual.outputs import SINGLE, is_single
from l2dual.report.rates import RATE, Cell, Comparison, cell_of, points

SEEDS = 3
LEVEL = 0.05
MOST_WRONG = 50  # percent, the error rate of a system that has not begun to learn
PER_EDIT, LOG_RATIO = "rate_per_edit", "log_rate_ratio"  # the slopes on divergence


def verdict(group: Comparison, half: Comparison | None, system: str) -> list[str]:
    """Sentences on each output of a system beside each baseline: its rate, the errors found, its slopes.

    There are no slopes of a single-output control. ``half`` has the same systems at half the
    training budget, if they were decoded there.
    A system that is a tenth worse everywhere loses more points where there are more errors: of the
    two slopes, that in points (the paper's Figure 2) then rises, and that of the log ratio does not.
    """
    sentences = [
        difference(group, half, system, output, baseline)
        for output in group.units
        for baseline in group.baselines(system, output)
    ]
    baselines = group.baselines(system, "surface")
    sentences += [errors_sentence(group, half, system, baseline) for baseline in baselines]
    if is_single(system):
        return list(filter(None, sentences))
    slopes = (
        slope(group, half, system, output, baseline, measure)
        for measure in (PER_EDIT, LOG_RATIO)
        for output in group.units
        for baseline in group.baselines(system, output)
        if not not_begun(half, system, output, baseline)
    )
    return list(filter(None, [*sentences, *slopes]))


def difference(
    group: Comparison, half: Comparison | None, system: str, output: str, baseline: str
) -> str:
    """System - baseline over all utterances, with its interval, and how far it carries."""
    unit = group.units[output][0]
    cell = group.degradation(system, output, unit, "all", baseline)
    if cell.mean is None:
        return f"{output.capitalize()}: {system} has nothing to compare with: {cell.reason}."
    dual = group.cell(system, output, unit, "all")
    rate = sum(dual.values[seed] for seed in cell.values) / len(cell.values)
    numbers = f"{points(cell.mean)} points{bracket(cell)}"
    rates = f"{rate:.1f} against {rate - cell.mean:.1f} % {RATE[unit]}"
    return (
        f"{output.capitalize()}: {system} − {baseline} = {numbers} ({rates}; {seeds(cell)}): "
        f"{standing(group, half, system, output, baseline)}."
    )


def bracket(cell: Cell) -> str:
    """The interval over speakers or voices in brackets, or nothing where there is none."""
    if cell.interval is None:
        return ""
    return " [{}, {}]".format(*map(points, cell.interval))


def seeds(cell: Cell) -> str:
    """How many seeds, the value of each, and the interval for other seeds where there is one."""
    if len(cell.values) == 1:
        return "1 seed"
    said = f"{len(cell.values)} seeds: {', '.join(map(points, cell.values.values()))}"
    if cell.joint_interval:
        said += "; other seeds included [{}, {}]".format(*map(points, cell.joint_interval))
    return said


def standing(
    group: Comparison, half: Comparison | None, system: str, output: str, baseline: str
) -> str:
    """Whether a difference is a finding, and if not, what it lacks."""
    lacking = lacks(group, half, system, output, baseline)
    if lacking:
        return lacking
    cell, before = (
        one.degradation(system, output, one.units[output][0], "all", baseline) for one in (group, half)
    )
    better = "worse" if cell.mean > 0 else "better"
    return (
        f"{better}, a finding{scope(cell.p_joint)} (p = {cell.p:.2g} after Holm{cross_check(cell)}; "
        f"half the budget {points(before.mean)})"
    )


def cross_check(cell: Cell) -> str:
    """The p of MAPSSWE, which takes utterances as independent, where there is one."""
    return "" if cell.p_mapsswe is None else f"; MAPSSWE {cell.p_mapsswe:.1g}"


def scope(p_joint: float | None) -> str:
    """Nothing where the test over speakers and seeds holds too, else what a finding is then of."""
    if p_joint is not None and p_joint < LEVEL:
        return ""
    return " for these seeds, though other seeds may differ"


def lacks(
    group: Comparison, half: Comparison | None, system: str, output: str, baseline: str
) -> str | None:
    """What a difference lacks to be a finding; None if it is one."""
    unit = group.units[output][0]
    cell = group.degradation(system, output, unit, "all", baseline)
    if len(cell.values) < SEEDS:
        return "a description, not a finding, which needs three seeds"
    if cell.interval is None or cell.p is None:
        return f"a description, not a finding: no interval over {group.clusters}"
    if missing := not_begun(half, system, output, baseline):
        return missing
    if cell.p >= LEVEL:
        return f"no difference shown (p = {cell.p:.2g} after Holm{cross_check(cell)})"
    better = "worse" if cell.mean > 0 else "better"
    before = half and half.degradation(system, output, unit, "all", baseline)
    if before is None or not cell.values.keys() <= before.values.keys():
        return f"{better}, but not tried at half the budget, so not yet a finding"
    if before.mean * cell.mean <= 0:
        return f"{better}, but at half the budget {points(before.mean)} points: not a finding"
    return None


def not_begun(
    half: Comparison | None, system: str, output: str, baseline: str
) -> str | None:
    """Which of the two systems had not begun to learn an output at half the budget, if one had not."""
    if half is None or output not in half.units:
        return None
    unit = half.units[output][0]
    for name in (system, baseline):
        cell = half.cell(name, output, unit, "all")
        if cell and cell.mean is not None and cell.mean >= MOST_WRONG:
            rate = f"{cell.mean:.0f} % {RATE[unit]}"
            return f"nothing is told: {name} had not begun to learn it at half the budget ({rate})"
    return None


def slope(
    group: Comparison, half: Comparison | None, system: str, output: str, baseline: str, measure: str
) -> str | None:
    """Whether DO - SO or DO / SO grows with divergence; None where no slope was fitted."""
    record = slope_record(group, system, output, baseline, measure)
    if record is None or record["value"] is None:
        return None
    of = f"{system} − {baseline}" if measure == PER_EDIT else f"log({system} / {baseline})"
    name = f"{output.capitalize()}: {of}"
    if record["interval"] is None or record["p_holm"] is None:
        return f"{name} has no interval of its slope: {record['reason']}."
    lacking = slope_lacks(group, half, system, output, baseline, measure)
    said = lacking or finding(record, direction(record))
    return f"{name} has slope {slope_numbers(record)}: {said}."


def finding(record: dict, what: str) -> str:
    """Say what a slope or the difference of a measure is, where it lacks nothing."""
    return f"{what}, a finding{scope(record['p_joint_holm'])} (p = {record['p_holm']:.2g} after Holm)"


def slope_record(
    group: Comparison, system: str, output: str, baseline: str, measure: str
) -> dict | None:
    """The record of the slope of DO - SO on edits, or of log(DO / SO) on edits per token."""
    unit = group.units[output][0]
    return group.statistics.get(("slope", measure, system, baseline, output, unit))


def slope_numbers(record: dict) -> str:
    """A slope with its interval and what it is a slope on."""
    times, unit = (1, "on edits per token") if record["measure"] == LOG_RATIO else (100, "points an edit")
    ends, joint = ([times * end for end in record[name] or ()] for name in ("interval", "joint_interval"))
    said = f"{with_interval(times * record['value'], ends)} {unit}"
    if joint:
        said += "; other seeds included [{:+.2f}, {:+.2f}]".format(*joint).replace("-", "−")
    return said


def direction(record: dict) -> str:
    return "rises with divergence" if record["value"] > 0 else "falls with divergence"


def slope_lacks(
    group: Comparison, half: Comparison | None, system: str, output: str, baseline: str, measure: str
) -> str | None:
    """What a slope lacks to be a finding; None if it is one."""
    record = slope_record(group, system, output, baseline, measure)
    before = half and slope_record(half, system, output, baseline, measure)
    missing = not_begun(half, system, output, baseline)
    return record_lacks(record, before, missing, direction(record), "no trend with divergence")


def record_lacks(
    record: dict, before: dict | None, missing: str | None, found: str, nothing: str
) -> str | None:
    """What a slope or the difference of a measure lacks to be a finding; None if it is one.

    ``before`` is the same at half the budget, ``missing`` what `not_begun` says; ``found`` and
    ``nothing`` word what is there and what would not be.
    """
    if len(record["seeds"]) < SEEDS:
        return "a description, not a finding, which needs three seeds"
    if missing:
        return missing
    if record["p_holm"] >= LEVEL:
        return f"{nothing} shown (p = {record['p_holm']:.2g} after Holm)"
    if not before or before["value"] is None or not set(record["seeds"]) <= set(before["seeds"]):
        return f"{found}, but not tried at half the budget, so not yet a finding"
    if before["value"] * record["value"] <= 0:
        return f"{found}, but does the opposite at half the budget: not a finding"
    return None


def errors_found(
    group: Comparison, system: str, baseline: str = SINGLE["surface"]
) -> tuple[dict, str] | None:
    """The record of system - baseline in recall of the learner's errors, prompt given, and its numbers.

    None where there is no such record, or no interval. Recall tells whether the surface leans to
    the meaning: an error is missed where the surface has what was to be said. Beside it stand the
    share of right tokens that are rejected, which moves with recall where only the threshold does,
    and F1.
    """
    record = detection(group, "recall", system, baseline)
    if record is None or not record["interval"] or record["p_holm"] is None:
        return None
    dual, single = (
        mean(detection(group, "recall", name)["per_seed"][seed] for seed in record["per_seed"])
        for name in (system, baseline)
    )
    beside = "".join(
        f"; {name} {detection_numbers(found)}"
        for measure, name in (("false_rejection_rate", "right ones rejected"), ("f1", "F1"))
        if (found := detection(group, measure, system, baseline))
    )
    seeds_said = seeds(cell_of(record))
    return record, (
        f"{detection_numbers(record)} ({100 * dual:.1f} against {100 * single:.1f} %; {seeds_said}{beside})"
    )


def detection(
    group: Comparison, measure: str, system: str, baseline: str | None = None
) -> dict | None:
    """The record of a measure of mispronunciation detection, the prompt given.

    It is of a system, or of system - baseline.
    """
    place = "surface", group.units.get("surface", [""])[0], "all"
    if baseline is None:
        key = "mispronunciation", measure, "given", system
    else:
        key = "mispronunciation_difference", measure, "given", system, baseline
    return group.statistics.get((*key, *place))


def detection_numbers(record: dict) -> str:
    """A difference in points with its interval."""
    return f"{points(100 * record['value'])} points{bracket(cell_of(record))}"


def more_or_fewer(record: dict) -> str:
    return "more" if record["value"] > 0 else "fewer"


def errors_lack(
    group: Comparison, half: Comparison | None, system: str, baseline: str = SINGLE["surface"]
) -> str | None:
    """What a difference in the errors found lacks to be a finding; None if it is one."""
    record, _ = errors_found(group, system, baseline)
    before = errors_found(half, system, baseline) if half else None
    missing = not_begun(half, system, "surface", baseline)
    return record_lacks(record, before and before[0], missing, more_or_fewer(record), "no difference")


def errors_sentence(
    group: Comparison, half: Comparison | None, system: str, baseline: str
) -> str | None:
    """Whether a system finds more or fewer of the learner's errors; None where it is not measured."""
    measured = errors_found(group, system, baseline)
    if measured is None:
        return None
    record, numbers = measured
    said = errors_lack(group, half, system, baseline) or finding(record, more_or_fewer(record))
    return f"Learner’s errors found, the prompt given: {system} − {baseline} = {numbers}: {said}."


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A number with the ends of its interval."""
    low, high = interval
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
