"""Every analysis reads each output where that output's decoder does."""

import numpy as np
import pytest
import torch
from torchaudio.functional import forced_align, merge_tokens

from l2dual.analysis import retrained
from l2dual.analysis.activations import collect, frame_positions
from l2dual.analysis.alignment import Aligned, align_texts, widened
from l2dual.analysis.decoders import ForcedDecoders, compare_decoders, force
from l2dual.analysis.entanglement import AnalysisOptions, analyse
from l2dual.analysis.probes import Tokens, probe, token_states
from l2dual.analysis.retrained import encoder_outputs, retrain
from l2dual.analysis.subspaces import APART, overlaps
from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.models.search import SearchOptions
from l2dual.training.load import CHECKPOINT, load_model, text_to_ids
from tests.systems import OUTPUTS, make_run

QUICK = AnalysisOptions(search=SearchOptions(beam_size=1), max_utts=24, epochs=1, batch_size=1)
SHARINGS = {
    "do": None,
    "pull": {"pull": {"meaning": 0.3}},
    "branch": {"branch": {"depth": 1}},
    "apart": {"branch": {"depth": 0}},
    "surface_first": {"surface_first": {"depth": 1}},
}
NORMS = {  # after the last block that each output passes
    "do": lambda model, output: model.encoder.after_norm,
    "pull": lambda model, output: model.encoder.encoder.after_norm,
    "branch": lambda model, output: model.encoder.private[output].after_norm,
    "apart": lambda model, output: model.encoder.encoders[output].after_norm,
    "surface_first": lambda model, output: model.encoder.private[output].after_norm,
}
SHARED = ("do", "pull")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each; what is the meaning's own has moved away from the surface's, as in training."""
    exp = tmp_path_factory.mktemp("exp")
    made = {name: make_run(exp / name, name, 1, sharing=sharing) for name, sharing in SHARINGS.items()}
    made |= {name: make_run(exp / name, name, 1) for name in ("so_surface", "so_meaning")}
    for path in made.values():
        state = torch.load(path / CHECKPOINT, weights_only=True)
        for name, weight in state.items():
            if name.startswith("encoder") and ".meaning." in name and name.endswith("norm_ff.weight"):
                weight *= torch.linspace(0.2, 3, len(weight))
        torch.save(state, path / CHECKPOINT)
    return made


@pytest.fixture(scope="module")
def directory(data):
    return DataDir.load(data).sample(5)


def read_by(model, directory, output):
    """What an output's decoder and CTC read of each utterance, (T', D)."""
    with torch.inference_mode():
        return {
            utt: model.encode(speech, lengths).of(output)[0][0] for (utt,), speech, lengths in batches(directory, 1)
        }


@pytest.mark.parametrize("output", OUTPUTS["do"])
@pytest.mark.parametrize("arm", SHARINGS)
def test_blocks_are_those_that_the_output_passes(runs, directory, arm, output):
    model = load_model(runs[arm])
    expected, norm = read_by(model, directory, output), NORMS[arm](model, output)
    sample = collect(model, directory, 1)[output]
    utts = list(sample.utts)
    one_frame = {utt: Aligned(len(states), [(1, 1)]) for utt, states in expected.items()}
    tokens = Tokens(utts, one_frame, np.arange(len(utts)), {})
    means = token_states(model, directory, tokens, 1, runs[arm])[output]
    assert len(means) == len(sample.layers) == 2
    with torch.inference_mode():
        last, of_tokens = (norm(torch.from_numpy(layers[1])) for layers in (sample.layers, means))
    for row, utt in enumerate(utts):
        states = expected[utt][frame_positions(len(expected[utt]))]
        torch.testing.assert_close(last[sample.rows == row], states, atol=1e-5, rtol=0)
        torch.testing.assert_close(of_tokens[row], expected[utt][1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("output", OUTPUTS["do"])
@pytest.mark.parametrize("arm", SHARINGS)
def test_decoders_and_ctc_read_what_they_read_in_the_model(runs, directory, arm, output):
    model, run = load_model(runs[arm]), runs[arm]
    expected = read_by(model, directory, output)
    kept = dict(encoder_outputs(model, directory, QUICK)[output])
    first = {utt: np.array([0]) for utt in expected}
    forced = ForcedDecoders(directory, first, (output,), QUICK)(model, run)[output]
    ids = {utt: text_to_ids(run, output)(directory[f"text.{output}"][utt])[:2] for utt in expected}
    aligned = align_texts(model, output, directory, ids, 1)
    for utt, states in expected.items():
        assert torch.equal(kept[utt], states.half())
        with torch.inference_mode():
            layers = force(model, output, states[None], torch.tensor([len(states)]), [ids[utt]])
            log_probs = model.ctcs[output].log_softmax(states[None])
        row = forced.utts.index(utt)
        np.testing.assert_allclose(forced.layers[1][row], layers[1][0, 0], atol=1e-4)
        path, scores = forced_align(log_probs, torch.tensor([ids[utt]]), blank=0)
        spans = merge_tokens(path[0], scores[0].exp())
        assert aligned[utt].segments == widened([(one.start, one.end - 1) for one in spans], len(states))


@pytest.mark.parametrize("arm", SHARINGS)
def test_outputs_of_one_path_are_measured_once(runs, directory, arm):
    model = load_model(runs[arm])
    for found in (collect(model, directory, 8), encoder_outputs(model, directory, QUICK)):
        surface, meaning = (found[output] for output in OUTPUTS["do"])
        assert (surface is meaning) == (arm in SHARED)


@pytest.mark.slow
def test_subspaces_need_states_that_both_read(runs, data):
    records = overlaps(data, list(runs.values()), QUICK)
    assert {record.system for record in records if record.value is not None} == set(SHARED)
    assert {record.reason for record in records if record.value is None} == {APART}


@pytest.mark.slow
def test_every_analysis_of_every_arm(runs, data, monkeypatch):
    monkeypatch.setattr(retrained, "MIN_FIT", 5)
    exps = list(runs.values())
    by_pair = {(r.system_x, r.system_y, r.layer): r.cka for r in analyse(data, exps, AnalysisOptions())}
    for arm in SHARINGS:
        for single in ("so_surface", "so_meaning"):
            assert all(np.isfinite(by_pair[arm, single, layer]) for layer in (1, 2))
    assert {r.system_x for r in compare_decoders(data, exps, QUICK)} >= set(SHARINGS)
    some = [runs[name] for name in ("so_surface", "so_meaning", "branch", "surface_first")]
    for records in (probe(data, data, some, QUICK), retrain(data, data, some, QUICK)):
        assert {r.system for r in records} == {path.name for path in some}
        assert all(r.value is not None for r in records if getattr(r, "tokens", "all") == "all")
