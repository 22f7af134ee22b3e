"""Tests of l2dual.stats. `python tests/unit/test_stats.py` simulates coverage at length."""

import itertools
import time

import numpy as np
import pytest
from scipy import stats as scipy_stats

from l2dual import stats

DIFFERENCE = 0.02  # the true one, of the simulated error rates


def simulate(rng, n_speakers, n_utts, spread, n_sets):
    """Errors of two systems, in sets of the same size.

    Speakers and utterances differ in how hard they are (the same for both systems), and, by
    ``spread``, speakers in the difference of the systems. Returns speakers (U,), reference tokens
    (U, 1), errors of both (U, n_sets), edits (U, 1).
    """
    speakers = np.repeat(np.arange(n_speakers), n_utts)
    n_ref = rng.integers(10, 40, (len(speakers), 1))
    edits = rng.binomial(n_ref, 0.1)
    hard = 0.12 * np.exp(rng.normal(0, 0.4, (n_speakers, n_sets)))[speakers]
    single = 0.1 + hard * rng.gamma(2, 0.5, (len(speakers), n_sets))
    dual = single + DIFFERENCE + rng.normal(0, spread, (n_speakers, n_sets))[speakers]
    errors = [rng.poisson(np.maximum(rate, 0) * n_ref).astype(float) for rate in (dual, single)]
    return speakers, n_ref.astype(float), *errors, edits.astype(float)


def coverage_of_difference(rng, n_speakers, n_utts, spread, n_sets):
    """The share of intervals with the true difference in them."""
    speakers, n_ref, dual, single, _ = simulate(rng, n_speakers, n_utts, spread, n_sets)
    found = stats.bootstrap(dual - single, np.repeat(n_ref, n_sets, axis=1), speakers)
    return np.mean([low <= DIFFERENCE <= high for low, high in (e.interval for e in found)])


def slopes_of_proportional(rng, n_speakers, n_utts, n_sets, excess=0.1, slope=0.0):
    """Errors of a system ``excess`` worse everywhere, and more so with divergence by ``slope``.

    The error rate itself grows with edits per token. Returns the estimates per set of the slope of
    the rates' difference, and of that of the log ratio.
    """
    speakers = np.repeat(np.arange(n_speakers), n_utts)
    n_ref = rng.integers(10, 40, len(speakers)).astype(float)
    share = rng.beta(1, 9, len(speakers))
    edits = np.round(share * n_ref)
    hard = np.exp(rng.normal(0, 0.4, (n_speakers, n_sets)))[speakers]
    hard *= rng.gamma(4, 0.25, (len(speakers), n_sets))  # of the utterance, for both systems
    single = ((0.05 + 0.5 * edits / n_ref) * n_ref)[:, None] * hard
    ratio = (1 + excess) * np.exp(slope * edits / n_ref)[:, None]
    ratio = ratio * np.exp(rng.normal(0, 0.2, (n_speakers, n_sets)))[speakers]
    dual, single = rng.poisson(single * ratio), rng.poisson(single)
    terms = [
        (
            stats.slope_terms(edits, one - other, n_ref),
            stats.log_ratio_terms(edits / n_ref, one, other, n_ref, speakers),
        )
        for one, other in zip(dual.T.astype(float), single.T.astype(float), strict=True)
    ]
    found = []
    for which in (0, 1):
        columns = [np.column_stack([t[which][part] for t in terms]) for part in (0, 1)]
        found.append(stats.bootstrap(*columns, speakers))
    return found


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stats, "REPLICATES", 1000)


@pytest.mark.parametrize("n_speakers, n_utts", [(10, 10), (24, 13)])
@pytest.mark.parametrize("spread", [0, 0.03])
def test_95_percent_of_the_intervals_hold_the_true_difference(quick, n_speakers, n_utts, spread):
    coverage = coverage_of_difference(np.random.default_rng(1), n_speakers, n_utts, spread, 500)
    assert 0.92 < coverage < 0.98  # three standard errors of 500 sets: .03


def test_a_system_worse_by_a_tenth_everywhere_has_no_slope_of_the_log_ratio(quick):
    raw, log_ratio = slopes_of_proportional(np.random.default_rng(2), 20, 15, 200)
    assert np.mean([e.value for e in raw]) == pytest.approx(0.002, abs=0.0005)  # per edit: not 0
    assert np.mean([e.value for e in log_ratio]) == pytest.approx(0, abs=0.15)
    assert np.mean([e.interval[0] <= 0 <= e.interval[1] for e in log_ratio]) > 0.9


def test_a_slope_of_the_log_ratio_is_found(quick):
    _, found = slopes_of_proportional(np.random.default_rng(3), 20, 15, 200, slope=3)
    assert np.mean([e.value for e in found]) == pytest.approx(3, abs=0.15)
    assert np.mean([e.interval[0] <= 3 <= e.interval[1] for e in found]) > 0.9


def test_ratio_and_slope_are_those_of_the_sample():
    rng = np.random.default_rng(4)
    x, n = rng.integers(0, 9, 60).astype(float), rng.integers(5, 30, 60).astype(float)
    y, speakers = rng.poisson(n * 0.2).astype(float), np.repeat(np.arange(10), 6)
    slope = np.polyfit(x, y / n, 1, w=np.sqrt(n))[0]
    terms = stats.slope_terms(x, y, n)
    found = stats.bootstrap(
        np.column_stack([y, terms[0]]), np.column_stack([n, terms[1]]), speakers
    )
    assert found[0].value == pytest.approx(y.sum() / n.sum())
    assert found[1].value == pytest.approx(slope)
    assert stats.bootstrap(y[:, None], n[:, None], speakers) == found[:1]  # whatever is beside it


def test_the_log_ratio_is_a_logistic_regression():
    rng = np.random.default_rng(5)
    speakers, n_ref, dual, single, edits = (np.squeeze(a) for a in simulate(rng, 8, 10, 0, 1))
    x = edits / n_ref
    numerator, denominator = stats.log_ratio_terms(x, dual, single, n_ref, speakers)
    design = np.column_stack([x, np.log(n_ref), np.eye(8)[speakers]])

    def score(slope, rest):
        share = 1 / (1 + np.exp(-design @ np.array([slope, *rest])))
        return design.T @ (dual - (dual + single) * share)

    from scipy.optimize import root

    solution = root(lambda b: score(b[0], b[1:]), np.zeros(10)).x
    assert numerator.sum() / denominator.sum() == pytest.approx(solution[0], abs=1e-6)
    covariance = np.linalg.inv(_information(design, dual + single, solution))
    assert denominator.sum() == pytest.approx(1 / covariance[0, 0])


def _information(design, trials, coefficients):
    share = 1 / (1 + np.exp(-design @ coefficients))
    return (design.T * (trials * share * (1 - share))) @ design


def test_difference_of_ratios_with_their_own_denominators():
    rng = np.random.default_rng(6)
    speakers, below = np.repeat(np.arange(10), 8), rng.integers(0, 9, (2, 80)).astype(float)
    above = rng.binomial(below.astype(int), 0.4).astype(float)
    terms = stats.difference_terms(above[0], below[0], above[1], below[1])
    expected = above[0].sum() / below[0].sum() - above[1].sum() / below[1].sum()
    (found,) = stats.bootstrap(*(term[:, None] for term in terms), speakers)
    assert found.value == pytest.approx(expected)
    same = stats.difference_terms(above[0], below[0], above[1], below[0])
    plain = stats.bootstrap((above[0] - above[1])[:, None], below[:1].T, speakers)[0]
    (found,) = stats.bootstrap(*(term[:, None] for term in same), speakers)
    assert found.value == pytest.approx(plain.value)
    assert np.ptp(found.interval) == pytest.approx(np.ptp(plain.interval), rel=0.1)
    assert not np.any(stats.difference_terms(above[0], below[0], above[1], 0 * below[1]))


def test_agrees_with_kaldialign_where_every_utterance_has_its_own_speaker():
    kaldialign = pytest.importorskip("kaldialign", reason="needs kaldialign: tools/setup.sh")
    rng = np.random.default_rng(7)
    references = [rng.integers(0, 50, rng.integers(5, 30)).tolist() for _ in range(120)]
    hypotheses = [
        [token if rng.random() > 0.2 else 99 for token in reference] for reference in references
    ]
    theirs = kaldialign.bootstrap_wer_ci(references, hypotheses)
    errors = np.array([[h.count(99)] for h in hypotheses])
    n_ref = np.array([[len(r)] for r in references])
    (ours,) = stats.bootstrap(errors, n_ref, np.arange(120))
    width = np.ptp(ours.interval)
    assert ours.value == pytest.approx(theirs["wer"], rel=0.01)  # theirs is the replicates' mean
    assert width == pytest.approx(theirs["ci95max"] - theirs["ci95min"], rel=0.05)
    assert ours.interval[0] == pytest.approx(theirs["ci95min"], abs=0.05 * width)


def test_p_is_below_5_percent_where_the_interval_leaves_0_out():
    rng = np.random.default_rng(8)
    speakers, n_ref, dual, single, _ = simulate(rng, 12, 8, 0.03, 60)
    found = stats.bootstrap(dual - single, np.repeat(n_ref, 60, axis=1), speakers)
    outside = [estimate.interval[0] > 0 or estimate.interval[1] < 0 for estimate in found]
    assert 5 < sum(outside) < 55
    assert outside == [estimate.p < 0.05 for estimate in found]


def test_too_few_utterances_or_speakers_are_null_with_the_reason():
    ones = np.ones((100, 3))
    speakers = np.repeat(np.arange(20), 5)
    ones[19:, 0] = 0
    ones[25:, 1] = 0
    few, five, same = stats.bootstrap(ones, ones, speakers)
    assert few == stats.Estimate(reason="19 utterances, fewer than 20")
    assert five == stats.Estimate(reason="5 speakers or voices, fewer than 6")
    assert same.value == 1 and same.interval is None
    assert same.reason == "too few speakers or voices differ for an interval"
    one = np.zeros((100, 1))
    one[3] = 1
    (rare,) = stats.bootstrap(one, np.ones((100, 1)), speakers)
    assert rare.value == 0.01 and rare.interval is None and rare.reason


def test_a_slope_that_is_not_there_is_all_zeros():
    ones, speakers = np.ones(30), np.repeat(np.arange(6), 5)
    assert not np.any(stats.slope_terms(ones, ones, ones)[1])
    assert not np.any(stats.log_ratio_terms(ones, ones, ones, ones, speakers))
    between = speakers / 6  # varies between speakers only
    assert not np.any(stats.log_ratio_terms(between, ones, ones, ones + between, speakers))
    x = np.linspace(0, 1, 30)
    assert not np.any(stats.log_ratio_terms(x, ones, 0 * ones, 1 + x, speakers))


def test_seed_interval():
    values = [0.1, 0.12, 0.17]
    found = stats.seed_interval(values)
    expected = scipy_stats.ttest_1samp(values, 0)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p == pytest.approx(expected.pvalue)
    assert stats.seed_interval(values[:2]).reason == "2 seeds, fewer than 3"
    assert stats.seed_interval([0.1] * 3).interval is None


def crossed(rng, n_clusters, n_seeds, n_sets):
    """Differences of systems that vary with voices, seeds and both: (sets, clusters, seeds)."""
    voices = rng.normal(0, 0.02, (n_sets, n_clusters, 1))
    seeds = rng.normal(0, 0.015, (n_sets, 1, n_seeds))
    return 0.03 + voices + seeds + rng.normal(0, 0.01, (n_sets, n_clusters, n_seeds))


def test_joint_intervals_hold_the_difference_of_other_voices_and_seeds(quick):
    utts = 4
    hits = {"joint": 0, "clusters": 0}
    sets = crossed(np.random.default_rng(6), 12, 3, 200)
    for values in sets:
        counts = np.repeat(100 * values.mean(1), utts)[:, None]  # no noise within a voice
        clusters = np.repeat(np.arange(12), utts)
        (alone,) = stats.bootstrap(counts, np.full_like(counts, 100), clusters)
        joint = stats.joint_interval(alone, 12, values.mean(0).tolist())
        assert joint.value == pytest.approx(values.mean()) and (joint.p < 0.05) == (
            joint.interval[0] > 0 or joint.interval[1] < 0
        )
        for name, found in (("joint", joint), ("clusters", alone)):
            hits[name] += found.interval[0] <= 0.03 <= found.interval[1]
    assert 0.93 <= hits["joint"] / len(sets)  # of seeds that were not tried too
    assert hits["clusters"] / len(sets) < 0.8  # which seeds held fixed can't do


def test_a_joint_interval_adds_the_variances():
    over_clusters = stats.Estimate(0.5, (0.3, 0.7), 0.01)
    values = [0.4, 0.5, 0.6]
    found = stats.joint_interval(over_clusters, 12, values)
    of_voices = (0.2 / scipy_stats.t.ppf(0.975, 11)) ** 2
    of_seeds = np.var(values, ddof=1) / 3
    freedom = (of_voices + of_seeds) ** 2 / (of_voices**2 / 11 + of_seeds**2 / 2)
    reach = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(of_voices + of_seeds)
    assert found.interval == pytest.approx((0.5 - reach, 0.5 + reach))
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(0.5 / np.sqrt(of_voices + of_seeds), freedom))
    assert stats.joint_interval(over_clusters, 12, values[:2]).reason == "2 seeds, fewer than 3"
    few = stats.Estimate(reason="3 utterances, fewer than 20")
    assert stats.joint_interval(few, 2, values).reason == few.reason


def test_p_is_no_smaller_than_signs_of_the_clusters_could_make_it():
    n = np.full((60, 1), 20.0)
    for count in (6, 12):
        clusters = np.arange(60) % count
        (found,) = stats.bootstrap(n / 10 + (clusters % 2)[:, None] / 5, n, clusters)
        assert found.interval[0] > 0 and 2 / 2**count <= found.p < 0.05


def recall_difference(rng, n_voices, n_utts, n_sets):
    """Estimates of a recall's difference whose truth is -.08; three voices err four times as much."""
    clusters = np.repeat(np.arange(n_voices), n_utts)
    wrong = rng.poisson(np.where(clusters < 3, 6, 1.5)[:, None], (len(clusters), n_sets)).astype(float)
    missed = 0.15 + rng.normal(0, 0.04, (n_voices, n_sets))[clusters]
    more = 0.08 + rng.normal(0, 0.03, (n_voices, n_sets))[clusters]
    single = rng.binomial(wrong.astype(int), np.clip(1 - missed, 0, 1))
    dual = rng.binomial(wrong.astype(int), np.clip(1 - missed - more, 0, 1))
    terms = [
        stats.difference_terms(one, of, other, of)
        for one, other, of in zip(dual.T.astype(float), single.T.astype(float), wrong.T, strict=True)
    ]
    return stats.bootstrap(*(np.column_stack([t[part] for t in terms]) for part in (0, 1)), clusters)


def test_intervals_of_recall_hold_the_true_difference_with_few_uneven_voices(quick):
    found = recall_difference(np.random.default_rng(7), 12, 50, 300)
    assert np.mean([e.value for e in found]) == pytest.approx(-0.08, abs=0.005)
    assert 0.91 < np.mean([e.interval[0] <= -0.08 <= e.interval[1] for e in found]) < 0.985


def test_intervals_of_points_an_edit_hold_the_true_slope_with_few_voices(quick):
    raw, _ = slopes_of_proportional(np.random.default_rng(8), 12, 50, 300)
    truth = np.mean([e.value for e in raw])
    assert 0.91 < np.mean([e.interval[0] <= truth <= e.interval[1] for e in raw]) < 0.985


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]) == pytest.approx([1, 1]) and stats.holm([]) == []


def test_mapsswe():
    differences = np.array([1, 0, 2, -1, 0, 1, 0, 3] * 5, dtype=float)
    z = differences.mean() / (differences.std(ddof=1) / np.sqrt(40))
    assert stats.mapsswe(differences) == pytest.approx(2 * scipy_stats.norm.sf(z))
    assert stats.mapsswe(differences[:19]) is None and stats.mapsswe(np.ones(40)) is None


def test_10_000_replicates_of_every_cell_of_both_languages_take_10_seconds():
    """As many cells as English has of all ten systems: 600 utterances with 12 voices."""
    rng, voices, cells = np.random.default_rng(9), np.repeat(np.arange(12), 50), 2056
    errors = rng.poisson(3, (600, cells)).astype(float)
    bins = rng.integers(0, 5, 600)
    n_ref = np.where(bins[:, None] == np.arange(cells) % 5, 20.0, 0)
    start = time.process_time()
    for language in (1, 2):
        found = stats.bootstrap(errors * (n_ref > 0), n_ref, voices, seed=language)
        assert len(found) == cells and all(estimate.interval for estimate in found)
    assert time.process_time() - start < 10
    assert stats.REPLICATES == 10_000


def main():
    stats.REPLICATES = 1000
    rng = np.random.default_rng(0)
    for shape, spread in itertools.product([(6, 20), (10, 10), (24, 13), (40, 15)], [0, 0.03]):
        hits = [coverage_of_difference(rng, *shape, spread, 200) for _ in range(20)]
        print(f"difference, {shape} speakers x utterances, spread {spread}: {np.mean(hits):.3f}")
    for shape, slope in itertools.product([(20, 15), (40, 15)], [0, 3]):
        found = [slopes_of_proportional(rng, *shape, 100, slope=slope)[1] for _ in range(10)]
        found = [estimate for some in found for estimate in some]
        hits = [e.interval[0] <= slope <= e.interval[1] for e in found]
        mean = np.mean([e.value for e in found])
        print(f"log ratio, {shape}, slope {slope}: {np.mean(hits):.3f}, mean {mean:.3f}")


if __name__ == "__main__":
    main()
