"""H1 to H4 of docs/protocol.md, for each output of the arms of a study, in one language or both.

H1 to H3 are t-tests over seeds, with Holm's correction over all that the protocol plans. H4 has bounds, on the
joint intervals of voices and seeds in results.json.
"""

from dataclasses import dataclass, replace

import numpy as np

from l2dual.report.arms import arms, arms_by, control, depth, half_depth, learned, pull_of
from l2dual.report.study import StudyResults, ends, number, points
from l2dual.scoring.results import Record
from l2dual.scoring.stats import LEVEL, MIN_SEEDS, Estimate, holm, seeds_needed, t_interval

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "not decided"
ABOUT = (
    "H1: more shared blocks give more cross-talk. H2: a weaker pull (gradient into the encoder) of the meaning "
    "helps the surface and hurts the meaning. H3: more parameters do not remove the harm. H4: sharing half of the "
    "blocks loses nothing."
)
PLANNED = 12  # tests: three hypotheses, two outputs, two languages; one that was not made counts with p = 1
DOSES = 3  # that a slope takes
BOUNDS = {"error_rate": 0.0, "cross_talk": 0.02, "f1": 0.0}  # of H4: what is lost to SO at most
LOSS = {"error_rate": 1, "cross_talk": 1, "f1": -1}


@dataclass(frozen=True)
class Verdict:
    """What one hypothesis comes to in one output of a study."""

    name: str
    output: str
    verdict: str  # SUPPORTED, CONTRADICTED or OPEN
    said: str  # the numbers, or what is needed

    def __str__(self) -> str:
        return f"{self.name} {self.output}: {self.verdict}{', ' if self.verdict != OPEN else ': '}{self.said}"


@dataclass(frozen=True)
class Test:
    """A number for each seed, and the sign that the hypothesis expects."""

    name: str
    output: str
    sign: int
    values: list[float]  # points
    unit: str
    lacks: str = ""  # arms without which it can't be made

    @property
    def estimate(self) -> Estimate:
        """Over seeds; without an interval where it can't be made."""
        return Estimate(reason=self.lacks) if self.lacks else t_interval(self.values)


def verdicts(studies: list[StudyResults]) -> list[list[Verdict]]:
    """Those of each study, H1 to H4; Holm's correction is over the tests of all studies."""
    made = [[(one, one.estimate) for one in tests(study)] for study in studies]
    known = [estimate.p for of_study in made for _, estimate in of_study if estimate.p is not None]
    count = max(PLANNED, len(known))
    adjusted = iter(holm([*known, *[1.0] * (count - len(known))]))
    return [
        [
            *(_tested(one, e, None if e.p is None else next(adjusted), count) for one, e in of_study),
            *(_bounded(study, bounded(study), output) for output in study.outputs),
        ]
        for study, of_study in zip(studies, made, strict=True)
    ]


def lines(found: list[Verdict]) -> list[str]:
    """The verdicts of one study, a line each: one for both outputs where they lack the same."""
    lacks = [f"needs {MIN_SEEDS} seeds" in str(one) for one in found if ": needs " in str(one)]
    if len(lacks) == len(found) and len({*lacks}) == 2:  # seeds, and systems
        return [f"H1 to H4: not decided: need {MIN_SEEDS} seeds, and systems as in the study sharing"]
    outputs: dict[Verdict, str] = {}
    for one in found:
        alike = replace(one, output="") if one.verdict == OPEN else one
        outputs[alike] = f"{outputs[alike]}, {one.output}" if alike in outputs else one.output
    return [str(replace(one, output=named)) for one, named in outputs.items()]


# H1 to H3 ------------------------------------------------------------------------------------------
def tests(study: StudyResults) -> list[Test]:
    """H1, H2 and H3, each for every output."""
    return [make(study, output) for make in (_slope, _pull, _depth_not_size) for output in study.outputs]


def doses(study: StudyResults) -> dict[float, str | None]:
    """The arm of each number of blocks shared; None, the single-output systems, at 0 where no arm is."""
    found = arms_by(study, depth)
    return found if 0 in found or not found else {0: None} | found


def _slope(study: StudyResults, output: str) -> Test:
    curve = doses(study)
    if len(curve) < DOSES:
        return Test("H1", output, 1, [], "", f"needs {DOSES} doses, has {len(curve)}")
    talk = {x: learned(study, arm, output) for x, arm in curve.items() if arm}
    seeds = _common(list(talk.values()))
    x = np.array(list(curve), dtype=float) - np.mean(list(curve))
    rows = [[talk[dose][seed] if arm else 0.0 for dose, arm in curve.items()] for seed in seeds]
    return Test("H1", output, 1, [float(x @ row / (x @ x)) for row in np.array(rows)], "points per block")


def _pull(study: StudyResults, output: str) -> Test:
    arms = arms_by(study, pull_of("meaning"))
    weaker = next((arm for x, arm in arms.items() if 0 < x < 1), None)
    lacks = "" if weaker and 1 in arms else "needs a weaker pull of the meaning (such as do_pull) and do"
    sign = -1 if output == "surface" else 1
    return Test("H2", output, sign, *_less(study, output, weaker, arms.get(1)), lacks)


def _depth_not_size(study: StudyResults, output: str) -> Test:
    pair = control(study)
    lacks = "" if pair else "needs do_deep and a branch arm with as many blocks"
    return Test("H3", output, 1, *_less(study, output, *(pair or (None, None))), lacks)


def _less(study: StudyResults, output: str, arm: str | None, other: str | None) -> tuple[list[float], str]:
    """The cross-talk of an arm less another's, of the seeds of both, and what this is."""
    if not arm or not other:
        return [], ""
    one, two = (learned(study, name, output) for name in (arm, other))
    return [one[seed] - two[seed] for seed in _common([one, two])], f"points, {arm} − {other}"


def _common(found: list[dict[str, float]]) -> list[str]:
    return sorted(set.intersection(*(set(one) for one in found)), key=int)


def _tested(test: Test, estimate: Estimate, p_holm: float | None, count: int) -> Verdict:
    """The verdict of one test of ``count``."""
    if estimate.value is None:
        mean = f" ({number(np.mean(test.values), sign='+')} {test.unit})" if test.values else ""
        needs = f"needs {MIN_SEEDS} seeds, has {len(test.values)}{mean}"
        return Verdict(test.name, test.output, OPEN, test.lacks or needs)
    said = f"{number(estimate.value, sign='+')} {test.unit} {ends(estimate.interval, 1)}"
    if p_holm is None:
        return Verdict(test.name, test.output, OPEN, f"{said}: {estimate.reason}")
    said += f", p {shown(p_holm)} (Holm, {count} tests)"
    low, high = sorted(test.sign * end for end in estimate.interval)
    if low > 0 and p_holm < 1 - LEVEL:
        return Verdict(test.name, test.output, SUPPORTED, said)
    if high <= 0:
        return Verdict(test.name, test.output, CONTRADICTED, said)
    needed = seeds_needed(test.values, (1 - LEVEL) / count)
    more = f"{needed} seeds" if needed <= 100 else "more than 100 seeds"
    return Verdict(test.name, test.output, OPEN, f"{said}; {more} needed at this mean and spread")


def shown(p: float) -> str:
    """A p-value as "= .004"."""
    return "< .001" if p < 0.001 else "= " + f"{p:.3f}".lstrip("0").replace("1.000", "1")


# H4 ------------------------------------------------------------------------------------------------
def bounded(study: StudyResults) -> str | None:
    """The arm of H4: half depth, or where there is none the first that shares in another way than `do`."""
    shares = [name for name in study.systems if study.runs_of(name)[0].sharing]
    return half_depth(study) or next(iter(shares), None)


def losses(study: StudyResults) -> list[str]:
    """The bounds of H4 for each other dual-output system, a line for each output that has its intervals."""
    words = {SUPPORTED: "kept", CONTRADICTED: "broken", OPEN: "not decided"}
    others = [arm for arm in arms(study) if arm != bounded(study)]
    found = {(arm, output): _beside(study, arm, output).values() for arm in others for output in study.outputs}
    told = [_bounded(study, *place) for place, records in found.items() if records and all(r.interval for r in records)]
    return [f"{one.output}, {words[one.verdict]}: {one.said}" for one in told]


def _beside(study: StudyResults, arm: str, output: str) -> dict[str, Record]:
    """The differences of an arm to SO that have bounds, those that the study has."""
    found = {measure: study.difference(measure, output, system=arm) for measure in BOUNDS}
    return {measure: record for measure, record in found.items() if record}


def _bounded(study: StudyResults, arm: str | None, output: str) -> Verdict:
    """Whether an arm loses nothing to SO."""
    if arm is None:
        return Verdict("H4", output, OPEN, "needs an arm that shares half of the blocks (such as do_branch2)")
    records = _beside(study, arm, output)
    lacks = next((one for one in records.values() if one.interval is None), None)
    if lacks or not records:
        return Verdict("H4", output, OPEN, _lacks(lacks))
    kept, broken, unclear = [], [], []
    for measure, record in records.items():
        bound = BOUNDS[measure]
        name = {"error_rate": study.unit(output), "cross_talk": "cross-talk", "f1": "F1"}[measure]
        said = f"{name} {points(record.value)} {ends(record.interval)}"
        limit = number(100 * LOSS[measure] * bound, 0, "+").replace("+0", "0").replace("−0", "0")
        low, high = sorted(LOSS[measure] * end for end in record.interval)
        place = kept if high <= bound else broken if low > bound else unclear
        place.append(said if place is kept else f"{said} (bound {'≤' if LOSS[measure] > 0 else '≥'} {limit})")
    verdict = CONTRADICTED if broken else OPEN if unclear else SUPPORTED
    return Verdict("H4", output, verdict, f"{arm} − SO: " + "; ".join(broken or unclear or kept))


def _lacks(record: Record | None) -> str:
    """Why a difference to SO has no interval."""
    if record is None:
        return "needs the single-output system"
    seeds = len(record.per_seed)
    return f"needs {MIN_SEEDS} seeds, has {seeds}" if record.learned and seeds < MIN_SEEDS else record.reason


# What was used -------------------------------------------------------------------------------------
def notes(study: StudyResults) -> list[str]:
    """What the doses of H1 are, and which runs count in no test."""
    curve = doses(study)
    found = []
    if len(curve) >= DOSES:
        at_0 = " Single-output systems count as 0 blocks (cross-talk 0)." if curve[0] is None else ""
        found.append(f"H1 compares {', '.join(f'{x:g}' for x in curve)} shared blocks.{at_0}")
    found += [
        f"Excluded from tests of the {output}: {run.name} (not learned: {why})."
        for run in study.results.meta.runs
        for output, why in run.not_learned.items()
    ]
    return found
