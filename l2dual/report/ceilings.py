"""How far pairs of networks are below their ceiling, over seeds: from the records of cka and decoders."""

import math
from collections.abc import Callable

from l2dual.outputs import SINGLE, is_single
from l2dual.report.entanglement import mean_of, unlike_seeds
from l2dual.stats import MIN_SEEDS, Estimate, jackknife_over_seeds


def cka(records: list[dict], without: int | None = None) -> float:
    """Mean CKA of the pairs without a seed; nan where none is left."""
    value = mean_of([r for r in records if without not in (r["seed_x"], r["seed_y"])], "cka")
    return math.nan if value is None else value


def shortfall(records: list[dict], without: int | None = None) -> float:
    """How far the pairs without a seed are below their ceiling; nan where there is none.

    Records from before cb75228 have no ``ceiling_without``.
    """
    first = records[0]
    if without is None:
        ceiling = first["ceiling"]
    else:
        ceiling = first.get("ceiling_without", {}).get(str(without))
    return math.nan if ceiling is None else ceiling - cka(records, without)


def over_seeds(value: Callable[[int | None], float], *sides: list[dict]) -> Estimate:
    """Estimate ``value(None)`` by a jackknife over the seeds of all sides.

    ``value(seed)`` is the value without that seed.
    """
    seeds, *others = ({r[f"seed_{side}"] for r in records for side in "xy"} for records in sides)
    if any(other != seeds for other in others):
        return Estimate(reason="they have not the same seeds")
    if len(seeds) < MIN_SEEDS:
        return Estimate(reason=f"{len(seeds)} seeds, fewer than {MIN_SEEDS}")
    whole, without = value(None), [value(seed) for seed in sorted(seeds)]
    if not all(map(math.isfinite, (whole, *without))):
        return Estimate(reason="without one of the seeds a value or its ceiling is missing")
    return jackknife_over_seeds(whole, without)


def below_ceiling(records: list[dict]) -> bool:
    """Whether the pairs are shown, over seeds, to be less alike than two seeds of one task."""
    short = over_seeds(lambda seed: shortfall(records, seed), records)
    return short.interval is not None and short.interval[0] > 0


def nearer(records: list[dict]) -> dict:
    """Whether a dual-output encoder is nearer to that of so_surface or of so_meaning, block by block.

    How far it is below its ceiling with so_surface, less how far with so_meaning, over seeds: above
    0, it is nearer to the meaning's.

    Returns:
        ``blocks``, and ``systems``: an estimate a block of each system, null with its reason where no
        order may be told. Both are empty where none is.
    """
    pulls: dict[str, dict[int, dict[str, list[dict]]]] = {}
    for r in unlike_seeds(records):
        if not is_single(r["system_x"]) and r["system_y"] in SINGLE.values():
            if r["layer_x"] == r["layer_y"]:
                sides = pulls.setdefault(r["system_x"], {}).setdefault(r["layer_x"], {})
                sides.setdefault(r["system_y"], []).append(r)
    blocks = sorted({block for of_system in pulls.values() for block in of_system})
    systems = {
        system: [_lean(of_system.get(block, {})) for block in blocks]
        for system, of_system in pulls.items()
    }
    if all(one.value is None for estimates in systems.values() for one in estimates):
        return {"blocks": [], "systems": {}}
    return {"blocks": blocks, "systems": systems}


def _lean(sides: dict[str, list[dict]]) -> Estimate:
    """Shortfall with so_surface less that with so_meaning, of one block."""
    if set(sides) != set(SINGLE.values()):
        return Estimate(reason="it takes so_surface and so_meaning")
    surface, meaning = (sides[SINGLE[output]] for output in ("surface", "meaning"))
    pairs = [*surface, *meaning]
    if missing := [r["reason"] for r in pairs if r["cka"] is None]:
        return Estimate(reason=missing[0])
    if any(r.get("disagrees") for r in pairs):
        return Estimate(reason="disputed by Procrustes")
    lean = over_seeds(
        lambda seed: shortfall(surface, seed) - shortfall(meaning, seed), surface, meaning
    )
    if lean.value is not None and not below_ceiling(surface if lean.value > 0 else meaning):
        return Estimate(reason="the further one may be as alike as two seeds")
    return lean
