"""Intervals and tests for error rates of utterances that speakers or voices share.

Everything that l2dual puts an interval on is a ratio of two sums over utterances: an error rate
(errors / reference tokens), a difference of two (errors of one system less those of the other /
reference tokens), a share of detected mispronunciations; and, by `slope_terms` and
`log_ratio_terms`, a regression's slope. So there is one bootstrap, for ratios.

**Clusters** are the speakers, or the voices of simulated speech (`l2dual.datadir.DataDir.clusters`).

**Bootstrap.** Clusters are drawn with replacement, then utterances within each drawn cluster, the
same draws for all systems, which keeps pairs together. In such a two-stage bootstrap the
utterances' variance counts twice, once within the clusters' sums and once more in the second
draw (Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8); percentiles
of it are up to 1.4 times too wide. So each replicate is studentized, t* = (r* - r) / s*, and the
interval is r -/+ q s with q the 95 % quantile of |t*| (symmetric bootstrap-t; Hall 1988, Journal
of the Royal Statistical Society B 50): s* has the extra variance as r* has, and s has not. The
standard error of a ratio r = sum(y) / sum(n) is that of its clusters' residuals (Cochran 1977,
Sampling Techniques, equation 6.4):

    s^2 = C / (C - 1) * sum over C clusters of (y_c - r n_c)^2 / sum(n)^2

The p-value of r = 0 is the share of replicates with |t*| >= |r / s|: it is below .05 exactly where
the interval leaves 0 out. It is never told below 2 / 2^C, the least that an exact test by the signs
of C clusters could give. Seeds are fixed: the counts are means over seeds, and the interval is about
other clusters and utterances, not about other seeds; `seed_interval` is about those, with the test
set fixed, and `joint_interval` about both.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm, t

REPLICATES = 10_000
LEVEL = 0.95
MIN_UTTS = 20
MIN_CLUSTERS = 6  # with five, even a difference of one sign in all could not reach p < .05: 2 / 2^5
MIN_SEEDS = 3
METHODS = {
    "interval": f"{LEVEL:.0%} symmetric bootstrap-t over clusters, then utterances; seeds fixed",
    "p": "of the same bootstrap-t, that the value is 0",
    "p_holm": "Holm over the n_cells cells of one table",
    "p_mapsswe": "matched pairs, the utterance as segment; not blocked",
    "seed_interval": f"{LEVEL:.0%} t-interval over seeds; clusters and utterances fixed",
    "joint_interval": f"{LEVEL:.0%} t-interval over clusters and seeds (Satterthwaite)",
    "replicates": REPLICATES,
    "min_utts": MIN_UTTS,
    "min_clusters": MIN_CLUSTERS,
    "min_seeds": MIN_SEEDS,
}
CHUNK, BLOCK = 50, 256  # replicates and ratios at a time, so that their sums fit the cache


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the p-value of its being 0, or why there is none."""

    value: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    reason: str | None = None


def bootstrap(
    numerators: np.ndarray, denominators: np.ndarray, clusters: np.ndarray, seed: int = 0
) -> list[Estimate]:
    """Estimate K ratios of sums over U utterances, with REPLICATES replicates.

    Args:
        numerators: (U, K), 0 where an utterance does not belong to a ratio.
        denominators: (U, K), 0 likewise.
        clusters: (U,), the speaker or voice whose utterance each is.
        seed: of the draws.

    Returns:
        K estimates. One is null, with the reason, where fewer than MIN_UTTS utterances or
        MIN_CLUSTERS clusters have a denominator; it has a value without an interval where its
        clusters do not vary enough for one.
    """
    numerators, denominators = (np.asarray(a, dtype=float) for a in (numerators, denominators))
    _, clusters = np.unique(clusters, return_inverse=True)
    reasons = [too_few(clusters[column != 0]) for column in denominators.T]
    keep = [index for index, reason in enumerate(reasons) if reason is None]
    found = [Estimate(reason=reason) for reason in reasons]
    if keep:
        y, n = numerators[:, keep], denominators[:, keep]
        member = np.eye(clusters.max() + 1)[:, clusters]  # (C, U)
        ratios, errors = _ratios(member @ y, member @ n)
        counts = (member @ (n != 0) > 0).sum(0)
        deviations = _deviations(y, n, clusters, ratios, np.random.default_rng(seed))
        for index, *numbers in zip(keep, ratios, errors, deviations.T, counts, strict=True):
            found[index] = _estimate(*numbers)
    return found


def too_few(clusters: np.ndarray) -> str | None:
    """Say why utterances of these clusters, one each, are too few; None if they are enough."""
    if len(clusters) < MIN_UTTS:
        return f"{len(clusters)} utterances, fewer than {MIN_UTTS}"
    count = len(np.unique(clusters))
    return f"{count} speakers or voices, fewer than {MIN_CLUSTERS}" if count < MIN_CLUSTERS else None


def _estimate(ratio: float, error: float, deviations: np.ndarray, count: int) -> Estimate:
    place = math.ceil(LEVEL * (len(deviations) + 1)) - 1
    quantile = np.partition(deviations, place)[place]
    if not (error > 0 and np.isfinite(quantile)):
        return Estimate(float(ratio), reason="too few speakers or voices differ for an interval")
    reach = quantile * error
    extreme = np.count_nonzero(deviations >= abs(ratio) / error)
    p = max((extreme + 1) / (len(deviations) + 1), 2.0 ** (1 - count))
    return Estimate(float(ratio), (float(ratio - reach), float(ratio + reach)), p)


def _ratios(y: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ratios and standard errors, (..., K), from the sums of C clusters, (..., C, K)."""
    count, total = n.shape[-2], n.sum(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = y.sum(axis=-2) / total
        residual = ratio[..., None, :] * n
        np.subtract(y, residual, out=residual)
        square = np.einsum("...ck,...ck->...k", residual, residual) / total**2
    square[square < 1e-24 * (1 + ratio**2)] = 0  # rounding is no variance
    return ratio, np.sqrt(count / (count - 1) * square)


def _deviations(
    y: np.ndarray, n: np.ndarray, clusters: np.ndarray, ratios: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return |t*|: (REPLICATES, K); infinite where a replicate has no denominator or variance."""
    count = clusters.max() + 1
    utterances = [np.flatnonzero(clusters == cluster) for cluster in range(count)]
    found = np.empty((REPLICATES, len(ratios)))
    n, which = np.unique(n, axis=1, return_inverse=True)  # many ratios share a denominator
    for start in range(0, REPLICATES, CHUNK):
        drawn = rng.integers(count, size=(CHUNK, count))
        draws = []  # of each cluster: its slots, its utterances, and how often each is in each slot
        for cluster, utts in enumerate(utterances):
            slots = np.nonzero(drawn == cluster)
            even = np.full(len(utts), 1 / len(utts))
            times = rng.multinomial(len(utts), even, len(slots[0]))
            draws.append((slots, utts, times.astype(float)))
        totals = _sums(n, draws, drawn.shape)
        for first in range(0, len(ratios), BLOCK):
            columns = np.s_[first : first + BLOCK]
            sums = _sums(y[:, columns], draws, drawn.shape)
            ratio, error = _ratios(sums, totals.take(which[columns], axis=-1))
            with np.errstate(divide="ignore", invalid="ignore"):
                t_star = np.abs(ratio - ratios[columns]) / error
            t_star[~np.isfinite(t_star)] = np.inf
            found[start : start + CHUNK, columns] = t_star
    return found


def _sums(counts: np.ndarray, draws: list[tuple], shape: tuple[int, int]) -> np.ndarray:
    """Return the sums of (U, K) counts over the utterances drawn in each slot: (*shape, K)."""
    sums = np.empty((*shape, counts.shape[1]))
    for slots, utts, times in draws:
        sums[slots] = times @ counts[utts]
    return sums


def slope_terms(x: np.ndarray, y: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write the slope of the rate y / n on x as a ratio of sums, for `bootstrap`.

    The slope is that of least squares with weights n. Numerator and denominator are the normal
    equation at the fitted intercept, so that a replicate solves it in one step (the estimating
    function bootstrap: Hu & Kalbfleisch 2000, Canadian Journal of Statistics 28).

    Args:
        x, y, n: (U,) covariate, errors (or a difference of errors) and reference tokens.

    Returns:
        (U,) numerators and (U,) denominators, all 0 where x does not vary.
    """
    total = n.sum()
    centred = x - (n @ x) / total if total else np.zeros_like(x)
    return centred * (y - n * (y.sum() / max(total, 1))), n * centred**2


def difference_terms(
    above: np.ndarray, below: np.ndarray, other_above: np.ndarray, other_below: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Write sum(above) / sum(below) - sum(other_above) / sum(other_below) as a ratio of sums.

    For ratios whose denominators differ, as two systems' precisions do. Each utterance gets its
    influence on the difference (the delta method: Davison & Hinkley 1997, section 2.7).

    Args:
        above, below, other_above, other_below: (U,) counts.

    Returns:
        (U,) numerators and (U,) denominators; all 0 where a ratio has no denominator.
    """
    counted = (below > 0) | (other_below > 0)
    if not (below.any() and other_below.any()):
        return np.zeros(len(below)), np.zeros(len(below))
    ratio, other = above.sum() / below.sum(), other_above.sum() / other_below.sum()
    influence = (above - ratio * below) / below.sum()
    influence -= (other_above - other * other_below) / other_below.sum()
    share = counted / counted.sum()
    return influence + (ratio - other) * share, share


def log_ratio_terms(
    x: np.ndarray, dual: np.ndarray, single: np.ndarray, length: np.ndarray, speakers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Write the slope of log(rate of dual / rate of single) on x as a ratio of sums.

    Were the errors of both systems Poisson with rates that share whatever makes an utterance
    hard, then given their sum the dual system's are binomial, with

        logit(share_u) = log rate ratio_u = slope x_u + c log(length_u) + effect of speaker_u

    (McCullagh & Nelder 1989, Generalized Linear Models, section 7.2). So what is common to both
    cancels, and a system that is 10 % worse everywhere has slope 0. The fit is by quasi-likelihood
    (mean counts over seeds need not be whole, nor errors be independent); its one-step replicates
    (`slope_terms`) resample clusters, hence no assumption on the variance. With one effect per
    speaker, the slope is that within speakers; one all of whose errors are one system's, or with
    one utterance in error, can't tell anything and is left out.

    Args:
        x: (U,) learner's edits per reference token.
        dual, single: (U,) errors of the two systems.
        length: (U,) reference tokens, above 0.
        speakers: (U,), whose utterance each is.

    Returns:
        (U,) numerators and (U,) denominators; all 0 where there is no such slope: x does not vary
        within speakers, or the fit does not converge.
    """
    total = dual + single
    keep = (total > 0) & _informative(dual, total, speakers)
    terms = np.zeros(len(x)), np.zeros(len(x))
    if not keep.any():
        return terms
    _, index = np.unique(speakers[keep], return_inverse=True)
    nuisance = np.column_stack([np.log(length[keep]), np.eye(index.max() + 1)[index]])
    fit = _fit_binomial(np.column_stack([x[keep], nuisance]), dual[keep], total[keep])
    if fit is None:
        return terms
    slope, share = fit
    weight = total[keep] * share * (1 - share)
    root = np.sqrt(weight)[:, None]
    own = x[keep] - nuisance @ np.linalg.lstsq(root * nuisance, root[:, 0] * x[keep])[0]
    information = weight * own**2
    if information.sum() > 1e-9 * (weight @ x[keep] ** 2):
        terms[0][keep] = own * (dual[keep] - total[keep] * share) + slope * information
        terms[1][keep] = information
    return terms


def _informative(dual: np.ndarray, total: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Mark utterances of speakers with errors of both systems, in two utterances or more."""
    _, index = np.unique(speakers, return_inverse=True)
    ours, both, utts = (np.bincount(index, w) for w in (dual, total, total > 0))
    return ((ours > 0) & (ours < both) & (utts > 1))[index]


def _fit_binomial(
    design: np.ndarray, successes: np.ndarray, trials: np.ndarray
) -> tuple[float, np.ndarray] | None:
    """Fit a logistic regression by Newton's method: first coefficient and fitted shares."""
    coefficients = np.zeros(design.shape[1])
    for _ in range(50):
        share = expit(design @ coefficients)
        weighted = design.T * (trials * share * (1 - share))
        step = np.linalg.lstsq(weighted @ design, design.T @ (successes - trials * share))[0]
        coefficients += step
        if not np.all(np.abs(coefficients) < 1e3):
            return None
        if np.abs(step).max() < 1e-9:
            return float(coefficients[0]), expit(design @ coefficients)
    return None


def seed_interval(values: list[float]) -> Estimate:
    """Estimate the mean over seeds by a t-interval: other seeds, the same test utterances.

    Null, with the reason, for fewer than MIN_SEEDS seeds.
    """
    if len(values) < MIN_SEEDS:
        return Estimate(reason=f"{len(values)} seeds, fewer than {MIN_SEEDS}")
    mean, error = np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))
    if np.ptp(values) == 0:
        return Estimate(float(mean), reason="the seeds do not differ")
    reach = t.ppf((1 + LEVEL) / 2, len(values) - 1) * error
    p = 2 * t.sf(abs(mean) / error, len(values) - 1)
    return Estimate(float(mean), (float(mean - reach), float(mean + reach)), float(p))


def joint_interval(over_clusters: Estimate, n_clusters: int, values: list[float]) -> Estimate:
    """Estimate a mean over seeds for other clusters and other seeds at once.

    Clusters and seeds are crossed: every seed's system hears every cluster. So the variance of the
    mean is the clusters' share, which the interval over them gives, and the seeds' share, which the
    values do; that of their interaction is in both, which errs to the safe side. Degrees of freedom:
    Satterthwaite (1946, Biometrics Bulletin 2).

    Args:
        over_clusters: what `bootstrap` found for the mean over seeds.
        n_clusters: clusters that it drew.
        values: of each seed.

    Returns:
        Null, with the reason, where one of the two intervals is.
    """
    over_seeds = seed_interval(values)
    for part in (over_clusters, over_seeds):
        if part.interval is None:
            return Estimate(reason=part.reason)
    sizes = np.array([n_clusters, len(values)]) - 1
    reach = np.array([part.interval[1] - part.interval[0] for part in (over_clusters, over_seeds)]) / 2
    variances = (reach / t.ppf((1 + LEVEL) / 2, sizes)) ** 2
    error = math.sqrt(variances.sum())
    freedom = variances.sum() ** 2 / (variances**2 / sizes).sum()
    reach, value = t.ppf((1 + LEVEL) / 2, freedom) * error, over_clusters.value
    p = float(2 * t.sf(abs(value) / error, freedom))
    return Estimate(value, (float(value - reach), float(value + reach)), p)


def jackknife_over_seeds(whole: float, without: list[float]) -> Estimate:
    """Estimate what seeds make in pairs, from its value without each seed in turn.

    A t-interval of the pseudo-values n whole - (n - 1) without: pairs that share a seed are not
    independent, seeds are (Arvesen 1969, Annals of Mathematical Statistics 40, of U-statistics).
    Null, with the reason, for fewer than MIN_SEEDS seeds.
    """
    n = len(without)
    return seed_interval([n * whole - (n - 1) * value for value in without])


def next_seed(seed: int, seeds: Iterable[int]) -> int:
    """The next of ``seeds`` above a seed, or the lowest after the highest: where alone, itself."""
    ordered = sorted(seeds)
    return next((other for other in ordered if other > seed), ordered[0])


def holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979, Scandinavian Journal of Statistics 6)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted.tolist()


def mapsswe(differences: np.ndarray) -> float | None:
    """Test a mean difference of errors per segment: the p-value of matched pairs.

    The test of NIST (Gillick & Cox 1989, ICASSP; Pallett et al. 1990, ICASSP), with the utterance
    as the segment; it takes utterances to be independent, also those of one speaker.

    Args:
        differences: (U,) errors of one system less those of the other.

    Returns:
        The two-sided p-value; None for fewer than MIN_UTTS utterances, or equal differences.
    """
    if len(differences) < MIN_UTTS or np.ptp(differences) == 0:
        return None
    error = np.std(differences, ddof=1) / math.sqrt(len(differences))
    return float(2 * norm.sf(abs(np.mean(differences)) / error))
