"""What a study answers, and the paper's five findings (Cho & Kim 2026): made here for every report."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from l2dual.analysis.kinds import Similarity
from l2dual.report.study import StudyResults, ends, number, percent, points
from l2dual.scoring.results import Record
from l2dual.scoring.stats import MIN_SEEDS, Estimate, t_interval
from l2dual.systems import OUTPUTS

HOLDS, FAILS = "holds", "does not hold"
OPEN, NOTHING = "inconclusive", "not comparable"
LEVEL = 0.05
SHARING = {"surface": "meaning", "meaning": "surface"}  # whose token an intrusion is


@dataclass(frozen=True)
class Judgement:
    """One finding of the paper in one study."""

    verdict: str  # HOLDS, FAILS, OPEN or NOTHING
    said: str  # the number with its interval, or why there is none


def answer(study: StudyResults) -> list[str]:
    """Two sentences, of surface and meaning; what must be known first where a study has none."""
    if study.dual is None:
        return ["No dual-output system was scored. Add one of conf/systems to --systems."]
    return [_answer(study, output) for output in study.outputs]


def _answer(study: StudyResults, output: str) -> str:
    talk = study.difference("cross_talk", output)
    if talk is None:
        return f"{output.capitalize()}: not comparable: no baseline of {study.dual} was scored."
    if talk.interval is None:
        said = "" if talk.value is None or not talk.learned else f"{points(talk.value)} points of cross-talk; "
        return f"{output.capitalize()}: {said}not comparable: {talk.reason}."
    p = talk.p if talk.p_holm is None else talk.p_holm
    learner, other = (
        f"{percent(study.rate(name, study.dual, output).value)} % of the {kind} "
        f"(single output {percent(study.rate(name, talk.baseline, output).value)} %)"
        for name, kind in (("learner_error_rate", "learner’s tokens"), ("other_error_rate", "other tokens"))
    )
    significant = "significant" if p < LEVEL else "not significant"
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}"
    return (
        f"{output.capitalize()}: the dual output errs at {learner} and at {other}. "
        f"Cross-talk: {points(talk.value)} points {ends(talk.interval)}, {significant} (p {shown} after Holm)."
    )


def beside(study: StudyResults) -> str | None:
    """One sentence on intrusions and the overall error rate; None where neither is measured."""
    said = []
    for output, other in SHARING.items():
        one = study.difference("intrusion_rate", output)
        if one is not None and one.value is not None and one.learned:
            dual, single = (
                percent(study.rate("intrusion_rate", system, output).value)
                for system in (study.dual, one.baseline)
            )
            said.append(f"{output} has the {other}’s token in {dual} % of cases (single output {single} %)")
    overall = [
        f"{points(record.value)} points {ends(record.interval)}".strip() + f" ({output})"
        for output in study.outputs
        if (record := study.difference("error_rate", output)) and record.value is not None
    ]
    if not said or not overall:
        return None
    return (
        f"Intrusions at tokens that the learner replaced: the {'. The '.join(said)}. "
        f"Sharing changes the overall error rate by {' and '.join(overall)}."
    )


def claims(studies: list[StudyResults]) -> list[tuple[str, list[Judgement]]]:
    """The paper's five findings, each with what it comes to in every study."""
    rows: list[tuple[str, Callable[[StudyResults], Judgement]]] = [
        ("Sharing the encoder helps the meaning", lambda s: _signed(s, "error_rate", "meaning", -1)),
        ("Sharing the encoder hurts the surface", lambda s: _signed(s, "error_rate", "surface", +1)),
        (
            "The harm to the surface grows with divergence",
            lambda s: _signed(s, "slope", "surface", +1),
        ),
        (
            "The single-output encoders are more alike in English than in Korean, except in the last block",
            lambda s: _more_alike(studies),
        ),
        ("Sharing changes the meaning’s decoder more than the surface’s", _own_way),
    ]
    return [(claim, [judge(study) for study in studies]) for claim, judge in rows]


def _signed(study: StudyResults, measure: str, output: str, sign: int) -> Judgement:
    """Whether a difference to the baseline has this sign."""
    record = study.difference(measure, output) if study.dual else None
    if record is None:
        return Judgement(NOTHING, f"needs a dual-output system and its baseline of the {output}")
    said = f"{record.system} − {record.baseline}: {in_points(record)}"
    if record.interval is None:
        return Judgement(NOTHING, f"{said}: {record.reason}" if record.learned else record.reason)
    return Judgement(_verdict(record.interval, sign), said)


def in_points(record: Record) -> str:
    """A difference in points with its interval; of a slope, in points per edit."""
    if record.value is None:
        return "–"
    slope = record.measure == "slope"
    value = number(100 * record.value, 2 if slope else 1, "+")
    unit = "points per edit" if slope else "points"
    return f"{value} {unit} {ends(record.interval, decimals=2 if slope else 1)}".rstrip()


def _verdict(interval: tuple[float, float], sign: int = 1) -> str:
    low, high = sorted(sign * end for end in interval)
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def _more_alike(studies: list[StudyResults]) -> Judgement:
    """English less Korean similarity of the two baselines, mean of all blocks but the last."""
    of = {study.results.meta.language: blocks(study) for study in studies}
    english, korean = of.get("en"), of.get("ko")
    if not (english and korean):
        return Judgement(NOTHING, "needs CKA of both single-output systems in both languages")
    if len(english) != len(korean):
        return Judgement(NOTHING, "the encoders differ in their number of blocks")

    def change(where: slice) -> Estimate:
        sides = english[where], korean[where]
        return over_seeds(
            lambda seed: mean(cka(block, seed) for block in sides[0])
            - mean(cka(block, seed) for block in sides[1]),
            [record for side in sides for block in side for record in block],
        )

    before, last = change(slice(-1)), change(slice(-1, None))
    if before.interval is None or last.interval is None:
        return Judgement(NOTHING, before.reason or last.reason)
    said = f"CKA, English − Korean: {number(before.value, 2, '+')} {ends(before.interval, 1, 2)} without the last "
    said += f"block, {number(last.value, 2, '+')} in the last block"
    if not all(_below_ceiling(block) for block in (*english, *korean)):
        return Judgement(OPEN, f"{said}; in some blocks, two seeds of one system may differ as much")
    verdicts = {_verdict(before.interval), _verdict(last.interval, -1)}
    return Judgement(FAILS if FAILS in verdicts else verdicts.pop() if len(verdicts) == 1 else OPEN, said)


def blocks(study: StudyResults) -> list[list[Similarity]]:
    """The records of the two baselines of unlike seeds, block by block."""
    wanted = {study.baseline(output) for output in OUTPUTS}
    found: dict[int, list[Similarity]] = {}
    for record in study.analyses["cka"].records if "cka" in study.analyses else []:
        pair = {record.system_x, record.system_y}
        if pair == wanted and record.seed_x != record.seed_y and record.cka is not None:
            found.setdefault(record.layer, []).append(record)
    return [found[layer] for layer in sorted(found)]


def _own_way(study: StudyResults) -> Judgement:
    """Whether the dual system's decoder of the meaning is less like its baseline's than the surface's."""
    if "decoders" not in study.analyses or study.dual is None:
        return Judgement(NOTHING, "decoders were not compared (stage 11)")
    found = {output: _last_layers(study, output) for output in study.outputs}
    if len(found) < 2 or not all(found.values()):
        reasons = [r.reason for r in study.analyses["decoders"].records if r.reason]
        return Judgement(NOTHING, reasons[0] if reasons else "one of the decoders was not compared")
    surface, meaning = found["surface"], found["meaning"]
    change = over_seeds(
        lambda seed: shortfall(meaning, seed) - shortfall(surface, seed), [*surface, *meaning]
    )
    if change.interval is None:
        return Judgement(NOTHING, change.reason)
    said = (
        "how far CKA with the baseline’s decoder is below that of two seeds, meaning − surface: "
        f"{number(change.value, 2, '+')} {ends(change.interval, 1, 2)}"
    )
    if not _below_ceiling(meaning if change.value > 0 else surface):
        return Judgement(OPEN, f"{said}; two seeds may differ as much")
    return Judgement(_verdict(change.interval), said)


def _last_layers(study: StudyResults, output: str) -> list[Similarity]:
    pair = {(study.dual, output), (study.baseline(output), output)}
    found = [
        r
        for r in study.analyses["decoders"].records
        if {(r.system_x, r.output_x), (r.system_y, r.output_y)} == pair
        and r.seed_x != r.seed_y
        and r.cka is not None
    ]
    return [r for r in found if r.layer == max(one.layer for one in found)]


def cka(records: list[Similarity], without: int | None = None) -> float:
    """Mean CKA of the pairs without a seed; nan where none is left."""
    values = [r.cka for r in records if without not in (r.seed_x, r.seed_y)]
    return mean(values) if values else math.nan


def shortfall(records: list[Similarity], without: int | None = None) -> float:
    """How far the pairs without a seed are below their ceiling; nan where there is none."""
    ceiling = records[0].ceiling
    if without is not None:
        ceiling = (records[0].ceiling_without or {}).get(str(without))
    return math.nan if ceiling is None else ceiling - cka(records, without)


def _below_ceiling(records: list[Similarity]) -> bool:
    """Whether the pairs are shown to be less alike than two seeds of one system."""
    short = over_seeds(lambda seed: shortfall(records, seed), records)
    return short.interval is not None and short.interval[0] > 0


def over_seeds(value: Callable[[int | None], float], records: list[Similarity]) -> Estimate:
    """Estimate ``value(None)``, where ``value(seed)`` is the value without that seed.

    A t-interval of the jackknife's pseudo-values: pairs that share a seed are not independent, seeds
    are (Arvesen 1969, Annals of Mathematical Statistics 40). The speakers are held fixed.
    """
    seeds = sorted({seed for record in records for seed in (record.seed_x, record.seed_y)})
    if len(seeds) < MIN_SEEDS:
        return Estimate(reason=f"needs {MIN_SEEDS} seeds, has {len(seeds)}")
    whole, without = value(None), [value(seed) for seed in seeds]
    if not all(map(math.isfinite, (whole, *without))):
        return Estimate(reason="a value or its ceiling is missing if one seed is left out")
    pseudo = [len(seeds) * whole - (len(seeds) - 1) * one for one in without]
    return t_interval(pseudo)
