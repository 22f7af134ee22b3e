"""Debiased linear CKA, and the jackknife over speakers.

CKA (Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", eq. 2-3) is
HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)). The plain estimate is biased upwards, to near 1 when
there are about as many features as frames; this is the unbiased one of Song et al. (2012,
"Feature Selection via Dependence Maximization", eq. 5), as in Nguyen et al. (2021, "Do Wide and
Deep Networks Learn the Same Things?", eq. 3). It may be negative, and is never clipped. With
U-centred Gram matrices it is a cosine (Szekely & Rizzo 2014), so it lies in [-1, 1].

With a linear kernel HSIC is a sum of feature products, O(n d^2), that needs no n x n matrix.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from l2dual.errors import DataError

MIN_FRAMES = 4  # the U-statistic is over quadruples of different frames
MIN_CLUSTERS = 10


def debiased_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Debiased linear CKA of two representations of the same frames.

    x (n, d1) and y (n, d2) are activations of n >= 4 frames in one order. The value is in [-1, 1];
    nan where one side does not vary over the frames.

    Raises:
        DataError: shapes that do not fit, fewer than 4 frames, or values that are not finite.
    """
    x, y = centre(x), centre(y)
    if len(x) != len(y):
        raise DataError(f"CKA needs the same frames on both sides, got {len(x)} and {len(y)}")
    return float(normalized(hsic(sums(x, y)), hsic(sums(x, x)), hsic(sums(y, y))))


def centre(x: ArrayLike) -> np.ndarray:
    """Return ``x`` (n, d) in float64 without its mean; features that are constant become 0."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < MIN_FRAMES:
        raise DataError(f"CKA needs activations (n >= {MIN_FRAMES}, d), got shape {x.shape}")
    if not np.isfinite(x).all():
        raise DataError("CKA: activations that are not finite; the model has diverged")
    return np.where(x.max(0) > x.min(0), x - x.mean(0), 0.0)


def normalized(xy: ArrayLike, xx: ArrayLike, yy: ArrayLike) -> np.ndarray:
    """CKA from HSIC(x, y), HSIC(x, x) and HSIC(y, y), elementwise; nan where one is not > 0."""
    xx, yy = np.asarray(xx), np.asarray(yy)
    varies = (xx > 0) & (yy > 0)
    norm = np.sqrt(np.where(varies, xx, 1.0)) * np.sqrt(np.where(varies, yy, 1.0))
    return np.where(varies, np.asarray(xy) / norm, np.nan)


def leave_one_out_hsic(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Debiased HSIC of centred x (n, d1) and y (n, d2), then without each group of frames: (1 + G,).

    ``groups`` are integers 0 .. G-1, (n,). An entry is nan where fewer than 4 frames are left.
    """
    parts = [sums(x[groups == g], y[groups == g]) for g in range(groups.max() + 1)]
    total = [sum(terms) for terms in zip(*parts, strict=True)]
    rest = ([all_ - own for all_, own in zip(total, part, strict=True)] for part in parts)
    return np.array([hsic(terms) for terms in (total, *rest)])


def sums(x: np.ndarray, y: np.ndarray) -> list:
    """Sums over frames that HSIC is a function of; those of disjoint sets of frames add up."""
    k, l = (x * x).sum(1), (y * y).sum(1)  # diagonals of the Gram matrices, (n,)
    return [len(x), x.T @ y, x.sum(0), y.sum(0), l @ x, k @ y, k @ l, k.sum(), l.sum()]


def hsic(terms: list) -> float:
    """Debiased HSIC (Song et al. 2012, eq. 5) from the sums over frames.

    With K and L the Gram matrices, their diagonals set to 0, it is
    [tr(KL) + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'KL1] / (n(n-3)).
    """
    n, cross, sum_x, sum_y, lx, ky, kl, k, l = terms
    if n < MIN_FRAMES:
        return np.nan
    trace = np.vdot(cross, cross) - kl
    totals = (sum_x @ sum_x - k) * (sum_y @ sum_y - l)
    row_products = sum_x @ cross @ sum_y - lx @ sum_x - ky @ sum_y + kl
    return (trace + totals / ((n - 1) * (n - 2)) - 2 * row_products / (n - 2)) / (n * (n - 3))


def jackknife_interval(values: np.ndarray, sizes: np.ndarray) -> list[float]:
    """95 % interval by the jackknife over groups (speakers) of unlike size.

    Not a bootstrap: that pairs frames with copies of themselves, so every replicate is biased upwards.
    The interval is centred on the jackknife estimate (Quenouille), not on ``values[0]``: frames that
    share a speaker bias that upwards by about 1 / speakers. Variance: Busing, Meijer & van der Leeden
    (1999), "Delete-m jackknife for unequal m"; quantile: Student's t, (groups - 1) degrees of freedom.
    ``values`` are the statistic of all frames, then without each group, (1 + G,); ``sizes`` are (G,).
    """
    whole, rest = values[0], values[1:]
    groups, share = len(sizes), sizes.sum() / sizes
    estimate = groups * whole - ((1 - 1 / share) * rest).sum()
    pseudo = share * whole - (share - 1) * rest
    variance = ((pseudo - estimate) ** 2 / (share - 1)).mean()
    half = student.ppf(0.975, groups - 1) * np.sqrt(variance)
    return [float(estimate - half), float(estimate + half)]


def too_few_clusters(count: int) -> str | None:
    """Why so many speakers or voices are too few for a jackknife; None if they are enough."""
    if count >= MIN_CLUSTERS:
        return None
    return f"interval needs {MIN_CLUSTERS} speakers or voices (has {count})"


def ratio_interval(above: np.ndarray, below: np.ndarray, clusters: np.ndarray) -> tuple[float, list[float] | None]:
    """Ratio of sums over (N,) items, and its jackknife interval where the clusters are enough."""
    names, index = np.unique(clusters, return_inverse=True)
    tops, sizes = np.bincount(index, above), np.bincount(index, below)
    value = tops.sum() / sizes.sum()
    if too_few_clusters(len(names)):
        return float(value), None
    rest = (tops.sum() - tops) / (sizes.sum() - sizes)
    return float(value), jackknife_interval(np.array([value, *rest]), sizes)
