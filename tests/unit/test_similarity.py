import numpy as np
import pytest

from l2dual.analysis.similarity import mark_disagreement, procrustes_distance
from l2dual.errors import DataError


def test_rotation_shift_and_scale_are_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert procrustes_distance(x, 3 * x @ turn - 2) == pytest.approx(0, abs=1e-12)
    wider = np.hstack([x @ turn, np.zeros((50, 3))])
    assert procrustes_distance(x, wider) == pytest.approx(0, abs=1e-12)


def test_known_distance():
    """Of two sets of orthonormal columns: 1 - the mean cosine of their principal angles."""
    columns = np.linalg.qr(np.hstack([np.ones((8, 1)), np.eye(8)[:, :4]]))[0][:, 1:]
    x, y = columns[:, :2], columns[:, 1:3]  # one direction in common
    assert procrustes_distance(x, y) == pytest.approx(0.5)
    assert procrustes_distance(x, columns[:, 2:]) == pytest.approx(1)
    angle = np.cos(0.3) * columns[:, :1] + np.sin(0.3) * columns[:, 1:2]
    assert procrustes_distance(columns[:, :1], angle) == pytest.approx(1 - np.cos(0.3))


def test_bad_input():
    x = np.random.default_rng(1).normal(size=(10, 3))
    assert np.isnan(procrustes_distance(x, np.ones((10, 2))))
    with pytest.raises(DataError, match="10.*9"):
        procrustes_distance(x, x[:9])


def record(cka, distance, systems=("so_surface", "so_meaning"), seeds=(1, 2)):
    sides = {f"{key}_{side}": value for key, both in (("system", systems), ("seed", seeds)) for side, value in zip("xy", both)}
    return {"cka": cka, "procrustes": distance, **sides}


def marked(*records):
    records = [dict(one) if isinstance(one, dict) else record(*one) for one in records]
    mark_disagreement(records)
    return [(one["discordant"], one["disagrees"]) for one in records]


def test_disagreement():
    assert marked((0.9, 0.1), (0.5, 0.4), (0.2, 0.8)) == [(0.0, False)] * 3
    odd = marked((0.9, 0.1), (0.5, 0.4), (0.2, 0.0))
    assert odd == [(0.5, True), (0.5, True), (1.0, True)]
    assert marked((0.9, 0.1), (0.89, 0.5)) == [(None, None)] * 2  # CKA gives no order
    assert marked((0.9, 0.1), (None, None), (0.5, 0.6))[1] == (None, None)


def test_disagreement_does_not_hang_on_other_arms_or_shared_seeds():
    own = record(0.9, 0.1), record(0.5, 0.4)
    arm = record(0.2, 0.0, ("do_small", "so_surface"))  # ordered oppositely to both
    assert marked(*own, arm)[:2] == marked(*own) == [(0.0, False)] * 2
    assert marked(*own, arm)[2] == (1.0, True)  # the arm itself is held against the single ones
    assert marked(*own, record(0.2, 0.0, seeds=(1, 1)))[:2] == marked(*own)
