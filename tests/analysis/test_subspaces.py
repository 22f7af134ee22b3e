import numpy as np
import pytest
import soundfile
import torch
from scipy.stats import ortho_group

from l2dual.analysis.entanglement import AnalysisOptions
from l2dual.analysis.subspaces import Moments, overlaps, rank, root, span_overlap
from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError
from l2dual.training.load import load_model
from tests.systems import WIDTH, make_data, make_run


def test_same_subspace_and_orthogonal_ones():
    rng = np.random.default_rng(0)
    one, other = np.eye(6)[:2], np.eye(6)[2:4]
    same = rng.normal(size=(5, 2)) @ one  # other coordinates of the same span
    assert span_overlap(one, same, np.eye(6), 2) == pytest.approx(1)
    assert span_overlap(one, other, np.eye(6), 2) == pytest.approx(0, abs=1e-12)
    assert span_overlap(one, np.eye(6)[1:3], np.eye(6), 2) == pytest.approx(0.5)


def test_angle():
    one = np.array([[1.0, 0.0, 0.0]])
    other = np.array([[0.5, np.sqrt(0.75), 0.0]])  # 60 degrees
    assert span_overlap(one, other, np.eye(3), 1) == pytest.approx(0.25)


def test_covariance_weighs_directions():
    """Directions in which the encoder does not vary count for nothing."""
    one, other = np.array([[1.0, 1, 0]]), np.array([[1.0, 0, 1]])
    assert span_overlap(one, other, np.eye(3), 1) == pytest.approx(0.25)
    whitener = root(np.diag([1.0, 1e-12, 1e-12]))
    assert span_overlap(one, other, whitener, 1) == pytest.approx(1)


def test_rank_holds_90_percent():
    assert rank(np.eye(10), np.eye(10)) == 9
    assert rank(np.diag([4.0, 1.0, 0.1]), np.eye(3)) == 1
    assert rank(np.diag([2.0, 1.0, 0.1]), np.eye(3)) == 2


def test_random_subspaces_overlap_by_rank_over_dimension():
    weight = np.eye(20)[:5]
    values = [span_overlap(weight, weight @ turn, np.eye(20), 5) for turn in ortho_group.rvs(20, 100, 1)]
    assert np.mean(values) == pytest.approx(5 / 20, abs=0.02)


@pytest.fixture(scope="module")
def dual(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("exp") / "do", "do", 1)


@pytest.mark.slow
def test_moments_are_those_of_all_frames(data, dual):
    directory, model = DataDir.load(data), load_model(dual)
    moments = Moments.collect(model, directory, batch_size=1)
    frames, speakers = [], []
    with torch.inference_mode():
        for utt, path in directory["wav.scp"].items():
            wave, _ = soundfile.read(path, dtype="float32")
            out, _ = model.encode(torch.from_numpy(wave)[None], torch.tensor([len(wave)])).of(model.outputs[0])
            frames.append(out[0].double().numpy())
            speakers += [directory["utt2spk"][utt]] * len(frames[-1])
    x, speakers = np.concatenate(frames), np.array(speakers)
    assert moments.counts.sum() == len(x) and len(moments.counts) == 12
    np.testing.assert_allclose(moments.covariance(), np.cov(x.T, bias=True), atol=1e-6)
    rest = np.cov(x[speakers != "s03"].T, bias=True)
    np.testing.assert_allclose(moments.covariance(3), rest, atol=1e-6)


def test_records(data, dual, tmp_path):
    surface = make_run(tmp_path / "so_surface", "so_surface", 1)
    records = overlaps(data, [surface, dual], AnalysisOptions())
    assert [(r.layer, r.projection) for r in records] == [
        (layer, projection) for layer in (1, 2) for projection in ("key", "value")
    ]
    for record in records:
        low, high = record.interval
        assert record.system == "do" and record.seed == 1
        assert 0 <= record.value <= 1 and low < high and 1 <= record.rank <= WIDTH
        assert 0 < record.null < 1 and 0 < record.floor <= 1
        assert record.reason is None
    assert overlaps(data, [surface], AnalysisOptions()) == []


def test_decoders_that_read_the_same(data, dual, tmp_path):
    from l2dual.training.load import CHECKPOINT

    twin = make_run(tmp_path / "twin", "do", 2)
    state = torch.load(twin / CHECKPOINT, weights_only=True)
    for name in [name for name in state if name.startswith("decoders.meaning")]:
        state[name] = state[name.replace("meaning", "surface")]
    torch.save(state, twin / CHECKPOINT)
    for record in overlaps(data, [twin], AnalysisOptions()):
        assert record.value == pytest.approx(1)


def test_too_little_is_null(tmp_path, dual):
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=1)
    wide = make_run(tmp_path / "wide", "do", 1, width=64)
    for record in overlaps(few, [wide], AnalysisOptions()):
        assert record.value is None and "needs 6400" in record.reason
    alone = make_data(tmp_path / "alone", n_speakers=1, per_speaker=24)
    for record in overlaps(alone, [dual], AnalysisOptions()):
        assert record.value is not None and record.interval is None and "10 speakers or voices (has 1)" in record.reason
    with pytest.raises(UsageError, match="of seed 1"):
        overlaps(few, [dual, wide], AnalysisOptions())
