import numpy as np
import pytest
import torch
from ckatorch.core import cka_base

from l2dual.analysis.cka import centre, debiased_cka, jackknife_interval, leave_one_out_hsic, normalized
from l2dual.errors import DataError


def published_cka(x, y):
    """Debiased CKA by ckatorch, from Gram matrices, which ours does not form."""
    return float(cka_base(torch.from_numpy(x), torch.from_numpy(y), unbiased=True))


def ar1(rng, n, d, rho):
    """Stationary AR(1) noise, (n, d), of unit variance."""
    steps = rng.normal(size=(n, d)) * np.sqrt(1 - rho**2)
    steps[0] /= np.sqrt(1 - rho**2)
    for t in range(1, n):
        steps[t] += rho * steps[t - 1]
    return steps


@pytest.mark.parametrize("n,d1,d2", [(50, 7, 3), (20, 40, 5), (4, 6, 6), (64, 16, 16)])
def test_equals_the_published_implementation(n, d1, d2):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, d1)) + 10
    y = x[:, : min(d1, d2)] @ rng.normal(size=(min(d1, d2), d2)) + rng.normal(size=(n, d2))
    assert debiased_cka(x, y) == pytest.approx(published_cka(x, y), abs=1e-10)
    assert debiased_cka(x, y) == pytest.approx(debiased_cka(y, x), abs=1e-12)


def test_large_offset_and_unlike_scales():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 8)), rng.normal(size=(200, 8))
    expected = debiased_cka(x, x + y)
    assert debiased_cka(1e-6 * x + 100, 1e6 * (x + y) - 3e7) == pytest.approx(expected, abs=1e-6)


def test_invariance():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(100, 12)), rng.normal(size=(100, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert debiased_cka(x, x) == pytest.approx(1, abs=1e-12)
    assert debiased_cka(x, 3 * x @ rotation - 2) == pytest.approx(1, abs=1e-12)
    assert debiased_cka(x @ rotation, x + y) == pytest.approx(debiased_cka(x, x + y), abs=1e-12)
    assert debiased_cka(x, x @ np.diag(np.arange(12))) < 0.95  # not invariant to any linear map
    half = torch.from_numpy(x)
    assert debiased_cka(half, half.float()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("d", [4, 32])
def test_independent_is_zero_on_average_and_not_clipped(d):
    rng = np.random.default_rng(2)
    n, draws = 4 * 32, 300
    values = np.array(
        [debiased_cka(rng.normal(size=(n, d)), rng.normal(size=(n, d))) for _ in range(draws)]
    )
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(draws)
    assert 0.3 < (values < 0).mean() < 0.8
    x, y = centre(rng.normal(size=(n, d))), centre(rng.normal(size=(n, d)))
    xy, xx, yy = (np.linalg.norm(a.T @ b) for a, b in ((x, y), (x, x), (y, y)))
    assert xy**2 / (xx * yy) > 0.5 * d / n  # the plain estimate, for comparison


def test_known_value():
    """Population CKA of x = z and y = z + noise is that of the covariances."""
    rng = np.random.default_rng(3)
    scales = np.array([2.0, 1.0, 0.5, 0.25])
    z = rng.normal(size=(20000, 4)) * scales
    noise = rng.normal(size=z.shape)
    cross, own_x, own_y = scales**2, scales**2, scales**2 + 1
    expected = (cross**2).sum() / np.sqrt((own_x**2).sum() * (own_y**2).sum())
    assert debiased_cka(z, z + noise) == pytest.approx(expected, abs=0.01)


def test_adjacent_frames_are_a_trap():
    """AR(1), rho .95, of no similarity: adjacent frames read high, one in 25 reads 0."""
    rng = np.random.default_rng(4)
    adjacent, apart = [], []
    for _ in range(20):
        x, y = ar1(rng, 3200, 32, 0.95), ar1(rng, 3200, 32, 0.95)
        adjacent.append(debiased_cka(x[:128], y[:128]))  # n = 4d either way
        apart.append(debiased_cka(x[::25], y[::25]))
    assert np.mean(adjacent) > 0.4
    assert abs(np.mean(apart)) < 0.05


def test_constant_features():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    padded = np.hstack([x, np.full((30, 2), 0.1)])
    assert debiased_cka(padded, y) == pytest.approx(debiased_cka(x, y), abs=1e-12)
    assert np.isnan(debiased_cka(np.full((30, 3), 0.1), y))


def test_bad_input():
    x = np.zeros((10, 3))
    with pytest.raises(DataError, match="4"):
        debiased_cka(x[:3], x[:3])
    with pytest.raises(DataError, match="finite"):
        debiased_cka(np.full((10, 3), np.nan), x)
    with pytest.raises(DataError, match="10.*9"):
        debiased_cka(x, x[:9])


def speakers(rng, count, sizes, effect):
    """Frames of ``count`` speakers seen by two encoders; returns both and the speaker of each."""
    groups = np.repeat(np.arange(count), sizes)
    z = rng.normal(size=(len(groups), 24)) + effect * rng.normal(size=(count, 24))[groups]
    maps = np.random.default_rng(0).normal(size=(2, 24, 24)) / np.sqrt(24)
    noise = 0.7 * rng.normal(size=(2, *z.shape))
    return z @ maps[0] + noise[0], z @ maps[1] + noise[1], groups


def leave_one_out_cka(x, y, groups):
    x, y = centre(x), centre(y)
    return normalized(*(leave_one_out_hsic(a, b, groups) for a, b in ((x, y), (x, x), (y, y))))


def test_leave_one_out_equals_recomputing():
    sizes = np.array([5, 30, 11, 17, 8, 24])
    x, y, groups = speakers(np.random.default_rng(6), 6, sizes, 0.5)
    values = leave_one_out_cka(x, y, groups)
    expected = [published_cka(x, y)]
    expected += [published_cka(x[groups != g], y[groups != g]) for g in range(6)]
    np.testing.assert_allclose(values, expected, atol=1e-10)


def test_interval_of_a_mean_is_students():
    data = np.random.default_rng(7).normal(size=12)
    values = np.array([data.mean(), *((data.sum() - one) / 11 for one in data)])
    low, high = jackknife_interval(values, np.ones(12))
    half = 2.200985 * data.std(ddof=1) / np.sqrt(12)  # t, 11 degrees of freedom
    assert (low, high) == pytest.approx((data.mean() - half, data.mean() + half), abs=1e-5)


@pytest.mark.parametrize("effect", [0.0, 0.7])
@pytest.mark.slow
def test_interval_covers(effect):
    """95 % intervals over speakers hold the value of a large population.

    Also where speakers have an effect, which the plain value of few speakers overstates.
    """
    rng = np.random.default_rng(8)
    x, y, _ = speakers(rng, 4000, np.full(4000, 10), effect)
    truth = debiased_cka(x, y)
    draws, hits, plain = 120, 0, 0
    for _ in range(draws):
        sizes = rng.integers(10, 30, 15)
        values = leave_one_out_cka(*speakers(rng, 15, sizes, effect))
        low, high = jackknife_interval(values, sizes)
        hits += low <= truth <= high
        plain += abs(values[0] - truth) <= (high - low) / 2
    assert hits / draws > 0.88
    assert (plain / draws > 0.88) == (effect == 0)
