"""The paper's findings (Cho & Kim 2026), held against the result files of both recipes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from l2dual.errors import DataError
from l2dual.outputs import MATCHED, SINGLE
from l2dual.report.ceilings import below_ceiling, cka, over_seeds, shortfall
from l2dual.report.entanglement import mean_of, of_group, unlike_seeds
from l2dual.report.rates import RATE, Comparison, comparisons, points
from l2dual.report.verdict import (
    LEVEL,
    LOG_RATIO,
    PER_EDIT,
    bracket,
    errors_found,
    errors_lack,
    lacks,
    scope,
    seeds,
    slope_lacks,
    slope_numbers,
    slope_record,
    with_interval,
)
from l2dual.score import read_records
from l2dual.stats import holm

HOLDS, FAILS, OPEN = "holds", "does not hold", "can’t be told"
WHOLE = " at the whole training, the only one that was analysed"


@dataclass(frozen=True)
class Contrast:
    """A dual-output system and the single-output one that each of its outputs is set beside."""

    system: str
    baselines: Mapping[str, str]
    words: str = ""


DO = Contrast("do", SINGLE)
DO_CTC = Contrast("do_ctc", MATCHED["do_ctc"], "with more CTC on both sides")
DO_PAPER = Contrast("do_paper", SINGLE, "with the paper’s loss weights")


@dataclass(frozen=True)
class Recipe:
    """The comparison of one recipe, at the whole and at half the budget, and where its files are."""

    exp: Path
    group: Comparison
    half: Comparison | None


def recipe_of(exp: Path) -> Recipe:
    """Read a recipe's result files; of several comparisons, the first.

    Raises:
        DataError: no results.json, or nothing in it.
    """
    groups = comparisons(read_records(exp / "results.json"), optional(exp / "statistics.json"))
    if not groups:
        raise DataError(f"{exp}/results.json: no result in it: score first (stage 10)")
    return Recipe(exp, groups[0], half_of(groups[0], at_half(exp)))


def optional(path: Path) -> list[dict]:
    """The records of a result file that may be absent."""
    return read_records(path) if path.is_file() else []


def at_half(exp: Path) -> list[Comparison]:
    """The comparisons at half the training budget; [] without their files."""
    return comparisons(
        optional(exp / "results_half.json"), optional(exp / "statistics_half.json")
    )


def half_of(group: Comparison, halves: list[Comparison]) -> Comparison | None:
    """The same systems at half the training budget."""
    keys = ("data", "split", "config", "decode_config")
    same = (h for h in halves if all(getattr(h, key) == getattr(group, key) for key in keys))
    return next(same, None)


def findings(recipes: list[Recipe]) -> list[dict]:
    """What the paper found, and per recipe whether it holds here, with the numbers, or why not told.

    What is said of error rates is said of ``do``, then of other contrasts that were scored.
    """
    matched, all_three = (DO, DO_CTC), (DO, DO_CTC, DO_PAPER)
    helps, hurts = partial(differs, "meaning", -1), partial(differs, "surface", +1)
    costs, beyond, worsens = (
        partial(grows, measure, output)
        for measure, output in ((PER_EDIT, "surface"), (LOG_RATIO, "surface"), (PER_EDIT, "meaning"))
    )
    leans = "The surface leans to the meaning: it misses more of the learner’s errors (ours)"
    parts = "What sharing does to the meaning gets worse with divergence (ours)"
    rows = [
        *_rows("Sharing the encoder helps the meaning", helps, all_three, recipes),
        *_rows("Sharing the encoder hurts the surface", hurts, all_three, recipes),
        *_rows("What sharing costs the surface grows with divergence", costs, all_three, recipes),
        *_rows("… and more than in proportion to the errors (ours)", beyond, matched, recipes),
        (
            "The single-output encoders are more alike in English than in Korean, but for the last block",
            lambda r: alike(r, recipes),
        ),
        ("Sharing changes the meaning’s decoder more than the surface’s", own_way),
        *_rows(leans, misses, matched, recipes),
        *_rows(parts, worsens, matched, recipes),
    ]
    return [{"finding": name, "verdicts": [judge(r) for r in recipes]} for name, judge in rows]


def _rows(
    name: str,
    judge: Callable[[Contrast, Recipe], tuple[str, str]],
    contrasts: tuple[Contrast, ...],
    recipes: list[Recipe],
) -> list[tuple[str, Callable[[Recipe], tuple[str, str]]]]:
    """A finding of each contrast whose system was scored in a recipe, ``do`` in any case."""
    scored = {system for recipe in recipes for system in recipe.group.systems}
    return [
        (f"… {one.words} ({one.system})" if one.words else name, partial(judge, one))
        for one in contrasts
        if one is DO or one.system in scored
    ]


def differs(output: str, sign: int, contrast: Contrast, recipe: Recipe) -> tuple[str, str]:
    """Whether a dual-output system differs from the single-output one with this sign."""
    if output not in recipe.group.units:
        return OPEN, f"no {output}"
    unit = recipe.group.units[output][0]
    system, baseline = contrast.system, contrast.baselines[output]
    cell = recipe.group.degradation(system, output, unit, "all", baseline)
    if cell.mean is None:
        return OPEN, cell.reason
    said = f"{system} − {baseline}: {points(cell.mean)} points {RATE[unit]}{bracket(cell)}, {seeds(cell)}"
    lacking = lacks(recipe.group, recipe.half, system, output, baseline)
    if lacking:
        return OPEN, f"{said}: {lacking}"
    return (HOLDS if cell.mean * sign > 0 else FAILS) + scope(cell.p_joint), said


def grows(measure: str, output: str, contrast: Contrast, recipe: Recipe) -> tuple[str, str]:
    """Whether the degradation of an output, or its log rate ratio, rises with divergence."""
    if output not in recipe.group.units:
        return OPEN, f"no {output}"
    place = contrast.system, output, contrast.baselines[output], measure
    record = slope_record(recipe.group, *place)
    if record is None or record["value"] is None or not record["interval"]:
        return OPEN, record["reason"] if record else "no slope was fitted"
    said = f"slope {slope_numbers(record)}"
    lacking = slope_lacks(recipe.group, recipe.half, *place)
    if lacking:
        return OPEN, f"{said}: {lacking}"
    return (HOLDS if record["value"] > 0 else FAILS) + scope(record["p_joint_holm"]), said


def misses(contrast: Contrast, recipe: Recipe) -> tuple[str, str]:
    """Whether a system finds fewer of the learner's errors than the single-output one, the prompt given."""
    pair = contrast.system, contrast.baselines["surface"]
    measured = errors_found(recipe.group, *pair)
    if measured is None:
        return OPEN, "not measured"
    record, said = measured
    if lacking := errors_lack(recipe.group, recipe.half, *pair):
        return OPEN, f"recall {said}: {lacking}"
    return (HOLDS if record["value"] < 0 else FAILS) + scope(record["p_joint_holm"]), f"recall {said}"


def alike(recipe: Recipe, recipes: list[Recipe]) -> tuple[str, str]:
    """Whether English minus Korean task similarity has the paper's sign in every block.

    Block by block a jackknife over seeds, Holm over the blocks; speakers are fixed. Nothing is told
    where, in a block of either language, two tasks may be as alike as two seeds of one.
    """
    of = {r.group.language: task_similarity(r) for r in recipes}
    own = of[recipe.group.language]
    if not own:
        return OPEN, "so_surface and so_meaning were not compared"
    said = f"first block to last, {numbers(own)}"
    if not (of.get("en") and of.get("ko")):
        return OPEN, f"{said}: it takes both languages"
    if len(of["en"]) != len(of["ko"]):
        return OPEN, f"{said}: the encoders are not of one depth"
    pairs = list(zip(of["en"], of["ko"], strict=True))
    blocks = [
        over_seeds(lambda seed, en=en, ko=ko: cka(en, seed) - cka(ko, seed), en, ko)
        for en, ko in pairs
    ]
    if any(block.p is None for block in blocks):
        return OPEN, f"{said}: {next(block.reason for block in blocks if block.p is None)}"
    p_values = holm([block.p for block in blocks])
    said += f"; English − Korean {', '.join(with_interval(b.value, b.interval) for b in blocks)}"
    if not all(below_ceiling(records) for pair in pairs for records in pair):
        return OPEN, f"{said}: in a block, two tasks may be as alike as two seeds of one"
    signs = [block.value * (1 if block is not blocks[-1] else -1) > 0 for block in blocks]
    shown = [p < LEVEL for p in p_values]
    if any(here and not sign for here, sign in zip(shown, signs, strict=True)):
        return FAILS + WHOLE, said
    return (HOLDS + WHOLE, said) if all(shown) else (OPEN, f"{said}: not shown in every block")


def task_similarity(recipe: Recipe) -> list[list[dict]]:
    """The records of so_surface and so_meaning, block by block."""
    blocks: dict[int, list[dict]] = {}
    for r in unlike_seeds(of_group(recipe.exp / "cka.json", recipe.group, "cka")):
        if {r["system_x"], r["system_y"]} == set(SINGLE.values()) and r["cka"] is not None:
            blocks.setdefault(r["layer_x"], []).append(r)
    return [blocks[block] for block in sorted(blocks)]


def numbers(places: list[list[dict]]) -> str:
    """CKA with its null, floor and ceiling, means over the records of each place in turn."""
    said = []
    for key, name in (("cka", "CKA"), ("null", "null"), ("floor", "floor"), ("ceiling", "ceiling")):
        means = [mean_of(records, key) for records in places]
        values = " ".join("–" if value is None else f"{value:.2f}" for value in means)
        said.append(f"{name} {values}")
    return "; ".join(said)


def own_way(recipe: Recipe) -> tuple[str, str]:
    """Whether do's decoder of the meaning is less like the single one than that of the surface.

    The last decoder layer, utterances of divergence 0: how far each output is below its ceiling,
    two seeds of the single system; a jackknife over seeds. Nothing is told of a decoder that may be
    at the ceiling.
    """
    found = {output: kept(recipe, output) for output in SINGLE}
    if not all(found.values()):
        return OPEN, "the decoders were not compared"
    said = "do’s last decoder layer and the single one’s: " + "; ".join(
        f"{output}: {numbers([records])}" for output, records in found.items()
    )
    surface, meaning = found.values()
    change = over_seeds(
        lambda seed: shortfall(meaning, seed) - shortfall(surface, seed), surface, meaning
    )
    if change.p is None:
        return OPEN, f"{said}: {change.reason}"
    said += f"; shortfall, meaning − surface {with_interval(change.value, change.interval)} over seeds"
    if not below_ceiling(meaning if change.value > 0 else surface):
        return OPEN, f"{said}: both may be as alike as two seeds of one system"
    if change.p >= LEVEL:
        return OPEN, f"{said}: not shown"
    return (HOLDS if change.value > 0 else FAILS) + WHOLE, said


def kept(recipe: Recipe, output: str) -> list[dict]:
    """How alike the last layers of do's and of the single system's decoder are: a record a pair."""
    records = [
        r
        for r in unlike_seeds(of_group(recipe.exp / "decoders.json", recipe.group, "decoder cka"))
        if {(r["system_x"], r["output_x"]), (r["system_y"], r["output_y"])}
        == {("do", output), (SINGLE[output], output)}
        and r["set"] == "divergence 0"
    ]
    last = max((r["layer_x"] for r in records if r["layer_x"]), default=None)
    return [r for r in records if r["layer_x"] == last and r["cka"] is not None]
