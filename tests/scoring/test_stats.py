"""Tests of l2dual.scoring.stats."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from l2dual.scoring import stats

TRUTH = 0.02  # of the simulated differences


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stats, "REPLICATES", 1000)


def by_cluster(clusters, *terms):
    """Influences (C, K) of ratios of sums over utterances, each given by its terms."""
    member = np.eye(clusters.max() + 1)[:, clusters]
    return member @ np.column_stack([stats.influence(*term) for term in terms])


def covered(estimates, truth):
    return np.mean([low <= truth <= high for low, high in (e.interval for e in estimates)])


def crossed_rates(rng, n_clusters, n_utts, n_sets, spread):
    """Differences of error rates that vary with utterances, clusters and three seeds.

    Returns influences (C, n_sets) and the values per seed of each set.
    """
    clusters = np.repeat(np.arange(n_clusters), n_utts)
    n_ref = rng.integers(10, 40, len(clusters)).astype(float)
    of_cluster = rng.normal(0, spread, (n_clusters, n_sets))[clusters]
    of_seed = rng.normal(0, 0.015, (3, 1, n_sets))
    noise = rng.normal(0, 0.3, (3, len(clusters), n_sets)) / np.sqrt(n_ref)[:, None]
    errors = (TRUTH + of_cluster + of_seed + noise) * n_ref[:, None]  # (3, U, sets)
    terms = [(errors.mean(0)[:, k], n_ref) for k in range(n_sets)]
    return by_cluster(clusters, *terms), (errors.sum(1) / n_ref.sum()).T.tolist()


@pytest.mark.parametrize("n_clusters, n_utts", [(6, 20), (12, 20), (40, 8)])
@pytest.mark.parametrize("spread", [0.005, 0.03])
def test_intervals_hold_the_truth_for_other_speakers_and_seeds(quick, n_clusters, n_utts, spread):
    rng = np.random.default_rng(1)
    found = stats.estimates(*crossed_rates(rng, n_clusters, n_utts, 300, spread))
    assert 0.9 <= covered(found, TRUTH) <= 0.99  # three seeds: their variance is a guess


def test_intervals_hold_with_few_uneven_voices(quick):
    """Recall of two systems, whose truth is -.08; three of 12 voices err four times as much."""
    rng, clusters, sets = np.random.default_rng(7), np.repeat(np.arange(12), 50), 300
    wrong = rng.poisson(np.where(clusters < 3, 6, 1.5)[:, None], (600, sets))
    missed = 0.15 + rng.normal(0, 0.04, (12, sets))[clusters]
    more = 0.08 + rng.normal(0, 0.03, (12, sets))[clusters]
    single = rng.binomial(wrong, np.clip(1 - missed, 0, 1)).astype(float)
    dual = rng.binomial(wrong, np.clip(1 - missed - more, 0, 1)).astype(float)
    influences = by_cluster(clusters, *zip(dual.T, wrong.T.astype(float), strict=True))
    influences -= by_cluster(clusters, *zip(single.T, wrong.T.astype(float), strict=True))
    values = (dual.sum(0) - single.sum(0)) / wrong.sum(0)
    found = stats.estimates(influences, [[value] * 3 for value in values])
    assert 0.91 < covered(found, -0.08) < 0.985


def test_the_variances_of_clusters_and_seeds_are_added():
    rng = np.random.default_rng(2)
    influence, values = rng.normal(0, 0.01, (12, 1)), [-0.04, 0.05, 0.14]
    influence -= influence.mean()
    (found,) = stats.estimates(influence, [values])
    error = np.sqrt(12 / 11 * (influence**2).sum())
    times = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), stats.REPLICATES)
    drawn = np.array([np.repeat(influence[:, 0], row) for row in times])
    t_star = drawn.sum(1) / np.sqrt(12 / 11 * ((drawn - drawn.mean(1, keepdims=True)) ** 2).sum(1))
    of_voices = (np.quantile(np.abs(t_star), 0.95) * error / scipy_stats.t.ppf(0.975, 11)) ** 2
    of_seeds = np.var(values, ddof=1) / 3
    both = of_voices + of_seeds
    freedom = both**2 / (of_voices**2 / 11 + of_seeds**2 / 2)
    reach = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(both)
    assert found.interval == pytest.approx((0.05 - reach, 0.05 + reach), rel=5e-3)
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(0.05 / np.sqrt(both), freedom), rel=1e-2)


def test_p_is_below_5_percent_where_the_interval_leaves_0_out(quick):
    found = stats.estimates(*crossed_rates(np.random.default_rng(8), 12, 8, 60, 0.02))
    outside = [estimate.interval[0] > 0 or estimate.interval[1] < 0 for estimate in found]
    assert 5 < sum(outside) < 55
    assert outside == [estimate.p < 0.05 for estimate in found]


def test_an_estimate_does_not_depend_on_what_is_beside_it(quick):
    influences, values = crossed_rates(np.random.default_rng(3), 8, 5, stats.BLOCK + 2, 0.02)
    together = stats.estimates(influences, values)
    for index in (0, stats.BLOCK + 1):
        (alone,) = stats.estimates(influences[:, [index]], [values[index]])
        assert alone.interval == pytest.approx(together[index].interval)


def test_influences_are_what_leaving_an_utterance_out_changes():
    rng = np.random.default_rng(4)
    below = rng.integers(5, 30, 400).astype(float)
    above = rng.binomial(below.astype(int), 0.2).astype(float)
    found, whole = stats.influence(above, below), above.sum() / below.sum()
    assert found.sum() == pytest.approx(0, abs=1e-12)
    for u in (0, 7):
        rest = (above.sum() - above[u]) / (below.sum() - below[u])
        assert whole - rest == pytest.approx(found[u], rel=0.1)


def test_the_slope_is_that_of_weighted_least_squares():
    rng = np.random.default_rng(4)
    x, n = rng.integers(0, 9, 60).astype(float), rng.integers(5, 30, 60).astype(float)
    y = rng.poisson(n * 0.2).astype(float)
    above, below = stats.slope_terms(x, y, n)
    assert above.sum() / below.sum() == pytest.approx(np.polyfit(x, y / n, 1, w=np.sqrt(n))[0])
    assert not np.any(stats.slope_terms(np.ones(30), np.ones(30), np.ones(30))[1])


def test_too_little_is_named():
    assert stats.too_few(20, 6, 3) is None
    assert stats.too_few(19, 6, 3) == "needs 20 utterances, has 19"
    assert stats.too_few(20, 5, 3) == "needs 6 speakers or voices, has 5"
    assert stats.too_few(20, 6, 2) == "needs 3 seeds, has 2"


def test_no_interval_without_variation_between_clusters(quick):
    one = np.zeros((20, 1))
    one[3] = 1
    for influences in (np.zeros((12, 1)), one):  # in most draws of `one` nothing varies
        (found,) = stats.estimates(influences, [[0.1, 0.2, 0.3]])
        assert found == stats.Estimate(reason="too few speakers or voices differ for an interval")


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]) == pytest.approx([1, 1]) and stats.holm([]) == []
