import numpy as np
import pytest
import torch

from l2dual.analysis.cka import debiased_cka
from l2dual.analysis.decoders import (
    ForcedDecoders,
    _pairs,
    comparable,
    compare_decoders,
    force,
    token_ids,
)
from l2dual.analysis.entanglement import AnalysisOptions
from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import DataError, UsageError
from l2dual.training.load import CHECKPOINT, load_model
from tests.systems import OUTPUTS, TOKENS, WIDTH, facts_of, make_data, make_run


def test_where_decoders_are_comparable():
    same, other = list(range(20)), [*range(19), 99]
    ids = {"surface": {"u": same, "v": other, "w": []}, "meaning": {"u": same, "v": same, "w": []}}
    ((outputs, positions),) = comparable(ids, shared=True)
    assert outputs == ("surface", "meaning") and set(positions) == {"u"}
    assert positions["u"].tolist() == [4, 12]
    surface, meaning = comparable(ids, shared=False)
    assert surface[0] == ("surface",) and set(surface[1]) == set(meaning[1]) == {"u", "v"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "test", per_speaker=6)


def test_forced_in_a_batch_as_alone(runs):
    model = load_model(runs["do"])
    states = torch.randn(3, 12, WIDTH, generator=torch.Generator().manual_seed(0))
    lengths, ids = torch.tensor([12, 9, 5]), [[2, 3, 4, 5, 2], [4, 4], [3]]
    with torch.inference_mode():
        batch = force(model, "meaning", states, lengths, ids)
        assert len(batch) == 2 and batch[0].shape == (3, 6, WIDTH)
        for index, one in enumerate(ids):
            length = lengths[index : index + 1]
            alone = force(model, "meaning", states[index, None, : int(length)], length, [one])
            for together, single in zip(batch, alone, strict=True):
                kept = together[index, : len(one) + 1]
                np.testing.assert_allclose(kept, single[0], atol=1e-5)
        # what comes later in the text is not seen
        longer = force(model, "meaning", states[:1], lengths[:1], [[2, 3, 4, 4, 4]])
    np.testing.assert_allclose(longer[1][0, :4], batch[1][0, :4], atol=1e-5)


@pytest.mark.slow
def test_all_pairs(data, runs):
    records = compare_decoders(data, list(runs.values()), AnalysisOptions())
    pairs = {(r.system_x, r.output_x, r.system_y, r.output_y) for r in records}
    assert len(records) == 6 * 2 and len(pairs) == 6  # pairs, layers
    assert {r.n_utts for r in records} == {36}
    for record in records:
        assert record.n_frames >= 4 * WIDTH
        assert record.null is not None and record.floor is not None
        assert (record.system_x, record.seed_x) != (record.system_y, record.seed_y) or record.system_x == "do"


def test_two_dual_systems_are_not_set_beside():
    runs = {f"{system}{seed}": facts_of(system) for system in ("so_surface", "do", "arm") for seed in (1, 2)}
    sides = [(name, output) for name, run in runs.items() for output in run["outputs"]]
    pairs = {
        frozenset((runs[run]["system"], output) for run, output in pair) for pair in _pairs(sides, runs)
    }
    within = {frozenset((system, output) for output in OUTPUTS["do"]) for system in ("do", "arm")}
    single = ("so_surface", "surface")
    across = {frozenset((single, side)) for one in within for side in one}
    assert pairs == within | across


@pytest.mark.slow
def test_one_decoder_under_two_names(data, runs, tmp_path):
    """A dual system whose decoders are equal, on equal targets: the same representation."""
    twin = make_run(tmp_path / "twin", "do", 1)
    state = torch.load(twin / CHECKPOINT, weights_only=True)
    for name in [name for name in state if name.startswith("decoders.meaning")]:
        state[name] = state[name.replace("meaning", "surface")]
    torch.save(state, twin / CHECKPOINT)
    records = compare_decoders(data, [twin], AnalysisOptions())
    assert len(records) == 2
    for record in records:
        assert record.null < record.cka == pytest.approx(1)


@pytest.mark.slow
def test_two_vocabularies_are_compared_by_output(data, tmp_path):
    tokens = [*TOKENS[:2], "c", "b", "a", *TOKENS[5:]]
    run = make_run(tmp_path / "do", "do", 1, tokens=tokens)
    surface = make_run(tmp_path / "so_surface", "so_surface", 1, tokens=tokens)
    records = compare_decoders(data, [run, surface], AnalysisOptions())
    assert {(r.output_x, r.output_y) for r in records} == {("surface", "surface")}
    assert {r.n_utts for r in records} == {72}
    meaning = make_run(tmp_path / "so", "so_meaning", 1)
    with pytest.raises(UsageError, match="another vocabulary of meaning"):
        compare_decoders(data, [run, meaning], AnalysisOptions())


def test_too_little_or_broken(tmp_path, data, runs):
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=2)
    for record in compare_decoders(few, [runs["do"]], AnalysisOptions()):
        assert record.cka is None and "needs 32" in record.reason
    assert compare_decoders(data, [runs["so_surface"]], AnalysisOptions()) == []
    broken = make_run(tmp_path / "broken", "so_meaning", 1)
    (broken / CHECKPOINT).unlink()
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        compare_decoders(few, [runs["so_surface"], broken], AnalysisOptions())


@pytest.mark.slow
def test_sample_is_the_forced_positions(data, runs):
    """A record's value, computed anew from whole utterances."""
    directory, model = DataDir.load(data), load_model(runs["do"])
    ids, shared = token_ids(directory, {runs["do"]: {"outputs": OUTPUTS["do"]}})
    ((outputs, positions),) = comparable(ids, shared)
    samples = ForcedDecoders(directory, positions, outputs, AnalysisOptions(batch_size=1))(model, runs["do"])
    sides = {"surface": [], "meaning": []}
    with torch.inference_mode():
        for (utt,), speech, lengths in batches(directory, 1):
            if utt in positions:
                states, frames = model.encode(speech, lengths).of(model.outputs[0])
                for output, kept in sides.items():
                    layer = force(model, output, states, frames, [ids[output][utt]])[1][0]
                    kept.append(layer[positions[utt]].numpy())
    expected = debiased_cka(*(np.concatenate(kept) for kept in sides.values()))
    both = (samples[output].layers[1] for output in sides)
    assert shared and debiased_cka(*both) == pytest.approx(expected, abs=1e-6)
