"""One interval and one p-value, over clusters (speakers, or voices) and seeds together.

Every value with an interval is a sum of ratios of sums over utterances, so it has an influence per
cluster: what the cluster adds to the value's deviation (the delta method: Davison & Hinkley 1997,
Bootstrap Methods and their Application, section 2.7). Influences add up to 0, and those of a
difference are the difference of those.

**Over clusters**: with s^2 = C / (C - 1) * sum of squared influences of C clusters, the half width
is q s, q the 95 % quantile of |t*| over REPLICATES bootstrap samples of clusters (symmetric
bootstrap-t; Hall 1988, Journal of the Royal Statistical Society B 50). **Over seeds**: the variance
of a mean of n seeds. **Together**: they are crossed, so the variance is the sum of both; that of
their interaction is in both, which errs to the safe side. Degrees of freedom: Satterthwaite (1946,
Biometrics Bulletin 2).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from l2dual.data.datadir import MIN_CLUSTERS, MIN_UTTS

REPLICATES = 10_000
LEVEL = 0.95
MIN_SEEDS = 3
BLOCK = 256  # values at a time, so that their replicates fit in memory


@dataclass(frozen=True)
class Estimate:
    """A value's 95 % interval and the p-value of its being 0, or the reason why there is none."""

    value: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    reason: str | None = None


def too_few(n_utts: int, n_clusters: int, n_seeds: int) -> str | None:
    """Say why a value is not comparable; None if there is enough for an interval."""
    if n_utts < MIN_UTTS:
        return f"needs {MIN_UTTS} utterances, has {n_utts}"
    if n_clusters < MIN_CLUSTERS:
        return f"needs {MIN_CLUSTERS} speakers or voices, has {n_clusters}"
    return f"needs {MIN_SEEDS} seeds, has {n_seeds}" if n_seeds < MIN_SEEDS else None


def influence(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """What each utterance, (U,), adds to the deviation of sum(above) / sum(below)."""
    total = below.sum()
    return (above - above.sum() / total * below) / total


def slope_terms(x: np.ndarray, y: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators (U,) of the slope of y / n on x by least squares with weights n.

    They are the terms of the normal equation at the fitted intercept (the estimating function
    bootstrap: Hu & Kalbfleisch 2000, Canadian Journal of Statistics 28), all 0 where x does not vary.
    """
    total = max(n.sum(), 1)
    centred = x - (n @ x) / total
    return centred * (y - n * (y.sum() / total)), n * centred**2


def estimates(influences: np.ndarray, values: list[list[float]], seed: int = 0) -> list[Estimate]:
    """Estimate K means over seeds for other clusters and other seeds at once.

    ``influences`` (C, K) are of each cluster on each mean; ``values`` are each mean's, per seed,
    MIN_SEEDS or more; ``seed`` is of the bootstrap's draws.
    """
    found: list[Estimate] = []
    count = len(influences)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), REPLICATES).astype(float)
    for start in range(0, len(values), BLOCK):
        part = influences[:, start : start + BLOCK]
        errors, quantiles = _bootstrap_t(part, times)
        parts = zip(errors, quantiles, values[start : start + BLOCK], strict=True)
        found += [_joint(*numbers, count) for numbers in parts]
    return found


def _bootstrap_t(influences: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors (K,) and the quantiles (K,) of |t*|; ``times`` (R, C) each cluster is drawn."""
    count = len(influences)
    errors = np.sqrt(count / (count - 1) * (influences**2).sum(0))
    shift = times @ influences
    variance = count / (count - 1) * (times @ influences**2 - shift**2 / count)
    variance[variance < 1e-12 * errors**2] = 0  # rounding is no variance
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = np.abs(shift) / np.sqrt(variance)
    deviations[~np.isfinite(deviations)] = np.inf
    place = math.ceil(LEVEL * (len(times) + 1)) - 1
    return errors, np.partition(deviations, place, axis=0)[place]


def _joint(error: float, quantile: float, values: list[float], n_clusters: int) -> Estimate:
    if not (error > 1e-12 and np.isfinite(quantile)):
        return Estimate(reason="too few speakers or voices differ for an interval")
    freedoms = np.array([n_clusters, len(values)]) - 1
    over_clusters = quantile * error / t.ppf((1 + LEVEL) / 2, freedoms[0])
    variances = np.array([over_clusters**2, np.var(values, ddof=1) / len(values)])
    joint = math.sqrt(variances.sum())
    freedom = variances.sum() ** 2 / (variances**2 / freedoms).sum()
    mean, reach = float(np.mean(values)), float(t.ppf((1 + LEVEL) / 2, freedom) * joint)
    return Estimate(mean, (mean - reach, mean + reach), float(2 * t.sf(abs(mean) / joint, freedom)))


def t_interval(values: list[float]) -> Estimate:
    """Estimate a mean over seeds, for other seeds: Student's t; no p where they do not differ."""
    if len(values) < MIN_SEEDS:
        return Estimate(reason=f"needs {MIN_SEEDS} seeds, has {len(values)}")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if not error > 1e-12:
        return Estimate(mean, (mean, mean), reason="the seeds do not differ")
    reach = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
    return Estimate(mean, (mean - reach, mean + reach), float(2 * t.sf(abs(mean) / error, len(values) - 1)))


def seeds_needed(values: list[float], level: float) -> int:
    """The least number of seeds of this mean and spread at which `t_interval` has a p below ``level``."""
    scaled = abs(np.mean(values)) / np.std(values, ddof=1)
    counts = np.arange(MIN_SEEDS, 1001)
    enough = 2 * t.sf(scaled * np.sqrt(counts), counts - 1) < level
    return int(counts[enough.argmax()]) if enough.any() else 1001


def holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979, Scandinavian Journal of Statistics 6)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted.tolist()
