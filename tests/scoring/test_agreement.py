"""Agreement of scores, against numpy and by hand."""

import numpy as np
import pytest

from l2dual.scoring.agreement import Judged, correlation, detection, limit_of


@pytest.fixture
def judged():
    rng = np.random.default_rng(0)
    raters = rng.choice([0.0, 0.4, 1.0, 1.8, 2.0], 400)
    return Judged(raters + rng.normal(size=400), raters, rng.integers(0, 20, 400).astype(str))


def test_correlation(judged):
    other = judged._replace(machine=judged.machine**3)
    found = correlation([judged, other])
    each = [np.corrcoef(one.machine, one.raters)[0, 1] for one in (judged, other)]
    assert np.allclose(found.each, each) and np.isclose(found.value, np.mean(each))
    assert found.interval[0] < found.value < found.interval[1] and correlation([judged, other]) == found
    few = judged._replace(speakers=np.arange(400) % 5)  # speakers
    assert correlation([few]).interval is None and np.isclose(correlation([few]).value, each[0])
    flat = judged._replace(machine=np.ones(400))
    assert correlation([flat, judged]).value is None and correlation([flat, judged]).each[0] is None


def test_the_interval_is_that_of_a_bootstrap_over_speakers(judged):
    rng, names = np.random.default_rng(7), np.unique(judged.speakers)
    rows = {name: np.flatnonzero(judged.speakers == name) for name in names}
    draws = [np.concatenate([rows[name] for name in rng.choice(names, len(names))]) for _ in range(2000)]
    values = [np.corrcoef(judged.machine[take], judged.raters[take])[0, 1] for take in draws]
    assert np.allclose(correlation([judged]).interval, np.percentile(values, [2.5, 97.5]), atol=0.01)


def test_errors_by_hand():
    marks = np.array([0.0, 0.6, 1.0, 1.2, 2.0, 2.0, 2.0, 2.0])
    machine = np.array([0.1, 1.9, 0.4, 0.3, 2.0, 2.0, 0.2, 2.0])
    judged = Judged(machine, marks, np.arange(8))
    found = {name: one.value for name, one in detection([judged], [0.5]).items()}
    assert found == {
        "precision": 2 / 4,
        "recall": 2 / 3,
        "f1": pytest.approx(4 / 7),
        "false_acceptance_rate": pytest.approx(1 / 3),
        "false_rejection_rate": 2 / 5,
    }
    assert detection([judged], [0.5], marked=True)["recall"].value == 1.0  # only 0.0 is below 0.5


@pytest.mark.parametrize("chance, limit", [([-3.0, 4.0], 0.75), ([20.0, 0.0], -np.inf), ([-1.0, -2.0], np.inf)])
def test_an_error_is_what_is_more_likely_wrong_than_right(chance, limit):
    assert limit_of(chance) == limit
