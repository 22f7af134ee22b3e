"""A second opinion beside CKA: Procrustes distance, and where the two do not agree.

CKA is swayed by the directions of largest variance, Procrustes distance by all of them, so a claim
about an order of layers or of systems should hold in both.
"""

import numpy as np
from numpy.typing import ArrayLike

from l2dual.analysis.cka import centre
from l2dual.errors import DataError
from l2dual.outputs import SINGLE

MARGIN = 0.02  # differences below it are no order
TOLERATED = 0.25  # share of pairs of records that may be ordered oppositely


def procrustes_distance(x: ArrayLike, y: ArrayLike) -> float:
    """What no rotation, shift and scale of ``y`` can explain of ``x``: 0 alike, 1 unrelated.

    1 - ||X'Y||_* / (||X||_F ||Y||_F) with centred X and Y, half of the squared distance of Ding
    et al. (2021), "Grounding Representation Similarity with Statistical Testing", section 2.
    Few frames bias it downwards: read it beside the same with shuffled utterances.

    Args:
        x: activations, (n, d1), n >= 4.
        y: activations, (n, d2), the same n frames in the same order.

    Returns:
        The distance in [0, 1]; nan where one side does not vary over the frames.

    Raises:
        DataError: shapes that do not fit, fewer than 4 frames, or values that are not finite.
    """
    x, y = centre(x), centre(y)
    if len(x) != len(y):
        raise DataError(f"Procrustes needs the same frames on both sides, got {len(x)} and {len(y)}")
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    if norms == 0:
        return np.nan
    return float(1 - np.linalg.norm(x.T @ y, "nuc") / norms)


def mark_disagreement(records: list[dict]) -> None:
    """Set ``discordant`` and ``disagrees`` of every record from ``cka`` and ``procrustes``.

    ``discordant`` is the share of the other records which the two measures order oppositely, among
    those that differ by at least .02 in both (Kendall's discordant pairs); ``disagrees`` says that
    it exceeds a quarter. Both are None where no other record differs so much. The others are those
    of the record's two systems and of so_surface and so_meaning, so that it does not hang on which
    arms were analysed too; and like seeds are held against like seeds only, unlike against unlike,
    since systems of one seed start from the same weights.
    """
    known = [record for record in records if None not in (record["cka"], record["procrustes"])]
    cka = np.array([record["cka"] for record in known])
    alike = 1 - np.array([record["procrustes"] for record in known])
    like_seeds = np.array([record["seed_x"] == record["seed_y"] for record in known], dtype=bool)
    systems = [_systems(record) for record in known]
    for record in records:
        record |= {"discordant": None, "disagrees": None}
    for index, record in enumerate(known):
        beside = systems[index] | set(SINGLE.values())
        steps = np.stack([cka - cka[index], alike - alike[index]])  # (2, records)
        ordered = (np.abs(steps) >= MARGIN).all(0) & (like_seeds == like_seeds[index])
        ordered &= np.array([of_other <= beside for of_other in systems])
        if ordered.any():
            share = float((steps.prod(0) < 0)[ordered].mean())
            record |= {"discordant": round(share, 4), "disagrees": share > TOLERATED}


def _systems(record: dict) -> set[str]:
    return {record["system_x"], record["system_y"]}
