import pytest
import torch
import yaml

from l2dual.analysis import retrained
from l2dual.analysis.entanglement import AnalysisOptions
from l2dual.analysis.retrained import Texts, encoder_outputs, evaluate, headless, retrain, train
from l2dual.data.datadir import DataDir
from l2dual.models.search import SearchOptions
from l2dual.training.load import fresh_model, load_model
from tests.systems import WIDTH, make_run

QUICK = AnalysisOptions(search=SearchOptions(beam_size=1), max_utts=24, epochs=1)


def test_headless_is_the_same_model(data, runs):
    model = load_model(runs["do"])
    speech = torch.randn(2, 16000, generator=torch.manual_seed(0))
    lengths = torch.tensor([16000, 12000])
    texts = {"surface": torch.tensor([[2, 3], [4, -1]]), "surface_lengths": torch.tensor([2, 1])}
    texts |= {f"meaning{key[7:]}": value for key, value in texts.items()}
    with torch.inference_mode():
        loss, _, _ = model(speech, lengths, **texts)
        states = model.encode(speech, lengths).of(model.outputs[0])
        given, _, _ = headless(model)(*states, **texts)
    assert float(loss) == pytest.approx(float(given), abs=1e-6)


@pytest.mark.slow
def test_new_decoder_learns_what_the_states_say(data, runs):
    """States that spell the text: the new decoder and CTC read them."""
    texts = Texts(DataDir.load(data), runs["so_surface"], "surface")
    table = 3 * torch.eye(WIDTH)

    def spelled(utt):
        return table[torch.tensor(texts.ids[utt])].repeat_interleave(2, 0).half()

    states = sorted(((u, spelled(u)) for u in texts.ids), key=lambda one: -len(one[1]))
    model = headless(fresh_model(runs["do"], runs["so_surface"], "surface", 1))
    before = evaluate(model.eval(), "surface", states, texts, QUICK)
    train(model, "surface", states, texts, 100)
    after = evaluate(model, "surface", states, texts, QUICK)
    errors = [sum(wrong for wrong, _ in found.values()) for found in (before, after)]
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.slow
def test_records(data, runs, monkeypatch):
    few = retrain(data, data, list(runs.values()), QUICK)
    assert len(few) == 3 * 2
    for record in few:
        assert record.value is None and "24 utterances to train on" in record.reason
        assert record.floor is None and record.epochs == 1
    monkeypatch.setattr(retrained, "MIN_FIT", 5)
    alone = retrain(data, data, [runs["do"]], QUICK)
    assert {record.output for record in alone} == {"surface", "meaning"}
    assert all(r.value is not None and r.floor is not None for r in alone)
    assert [r.difference for r in alone] == [None, None]
    beside = retrain(data, data, [runs["do"], runs["so_surface"]], QUICK)
    found = {(r.system, r.output): r for r in beside}
    own, other = found["so_surface", "surface"], found["do", "surface"]
    assert own.difference == 0 and found["do", "meaning"].difference is None
    assert other.difference == pytest.approx(other.value - own.value)


def test_encoder_outputs(data, runs):
    directory, model = DataDir.load(data), load_model(runs["do"])
    states = encoder_outputs(model, directory, QUICK)["meaning"]
    assert len(states) == 36 and states[0][1].dtype == torch.float16
    assert [len(one) for _, one in states] == sorted((len(one) for _, one in states), reverse=True)


def test_new_decoders_are_alike_whatever_the_encoder(runs, tmp_path):
    small = make_run(tmp_path / "do_slight", "do", 1)
    config = yaml.safe_load((small / "config.yaml").read_text())
    config["decoder_conf"]["num_blocks"] = 1
    (small / "config.yaml").write_text(yaml.safe_dump(config))
    ours, theirs = (
        headless(fresh_model(exp, runs["so_surface"], "surface", 1)) for exp in (runs["do"], small)
    )
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert ours.attention_losses["surface"].smoothing == 0.1


def test_a_difference_is_paired_by_utterance(data):
    directory = DataDir.load(data)
    utts = sorted(directory["wav.scp"])
    own = {utt: (index % 5, 10) for index, utt in enumerate(utts)}
    other = {utt: (wrong + 1, 10) for utt, (wrong, _) in own.items()}  # one error more each
    values = retrained._values(other, other, own, directory)
    assert values["difference"] == pytest.approx(0.1)
    assert values["difference_interval"] == pytest.approx([0.1, 0.1])
    low, high = values["interval"]
    assert low < values["value"] < high and high - low > 0.01
