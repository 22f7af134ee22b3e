from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from l2dual.analysis.entanglement import Options
from l2dual.analysis.functional import encoder_outputs, evaluate, functional, train
from l2dual.analysis.swap import (
    CONTEXT,
    RANDOM,
    Tally,
    Texts,
    again,
    encoded,
    fit_maps,
    headless,
    swap,
    swapped,
    through,
    windows,
)
from l2dual.datadir import DataDir
from l2dual.decode import SearchOptions
from l2dual.errors import DataError
from l2dual.load import CHECKPOINT, fresh_model, load_model, random_model
from tests.systems import OUTPUTS, WIDTH, make_data, make_run

QUICK = Options(search=SearchOptions(beam_size=1), max_utts=24, epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "test")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    exp = tmp_path_factory.mktemp("exp")
    return {system: make_run(exp / system, system, 1) for system in OUTPUTS}


class Turned(torch.nn.Module):
    """An encoder whose output is another's, turned and shifted."""

    def __init__(self, encoder, turn):
        super().__init__()
        self.encoder, self.turn = encoder, turn

    def forward(self, feats, lengths):
        states, lengths, _ = self.encoder(feats, lengths)
        return states @ self.turn + 1.5, lengths, None

    def output_size(self):
        return self.encoder.output_size()


def test_linear_map_undoes_a_rotation(data, runs):
    """A decoder on a turned copy of its own encoder does through the map what it did before."""
    directory = DataDir.load(data).subset([f"s{i:02d}-{n}" for i in range(12) for n in (0, 1)])
    turned = again("do")
    models = {"do": load_model(runs["do"]), turned: load_model(runs["do"])}
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.manual_seed(0)))[0]
    models[turned].encoder = Turned(models[turned].encoder, turn)
    back = fit_maps(models, [turned], directory, QUICK)["do", turned]
    states = torch.nn.functional.layer_norm(torch.randn(2, 3, WIDTH), (WIDTH,))  # as encoders give
    there = through(back, states, torch.tensor([3, 3]))
    np.testing.assert_allclose(there, states @ turn + 1.5, atol=1e-3)
    models[RANDOM] = random_model(runs["do"], 1)
    maps = fit_maps(models, ["do"], directory, QUICK)
    tallies = swapped(models, {"do": runs["do"]}, {"do": ["do"]}, maps, directory, QUICK)
    for output in ("surface", "meaning"):
        own, other = (tallies["do", output][name].values(directory, output) for name in ("do", turned))
        assert own["r2"] is None and other["r2"] == pytest.approx(1, abs=1e-4)
        assert other["loss"] == pytest.approx(own["loss"], abs=1e-3)
        assert other["value"] == pytest.approx(own["value"], abs=0.02)
        assert own["n_utts"] == 24 and own["interval"] is not None


class Late(torch.nn.Module):
    """An encoder whose output is another's, two frames late."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, feats, lengths):
        states, lengths, _ = self.encoder(feats, lengths)
        return torch.nn.functional.pad(states, (0, 0, 2, 0))[:, :-2], lengths, None

    def output_size(self):
        return self.encoder.output_size()


@torch.inference_mode()
def test_linear_map_undoes_a_delay(data, runs, monkeypatch):
    directory, late = DataDir.load(data), again("do")
    models = {"do": load_model(runs["do"]), late: load_model(runs["do"])}
    models[late].encoder = Late(models[late].encoder)

    def residual():
        mapping, tally = fit_maps(models, ["do"], directory, QUICK)[late, "do"], Tally(None)
        for _, states, lengths in encoded(models, directory, QUICK):
            given = through(mapping, states[late], lengths)
            tally.compare(given, states["do"], lengths - 2)  # the last two have not been heard
        return tally.residual / tally.squares

    assert residual() < 0.02
    monkeypatch.setattr("l2dual.analysis.swap.CONTEXT", 0)
    assert residual() > 0.2


def test_windows_hear_nothing_beyond_an_utterance():
    states = torch.arange(1.0, 13).view(2, 3, 2)
    found = windows(states, torch.tensor([3, 1]))
    assert found.shape == (2, 3, 2 * (2 * CONTEXT + 1) + 1) and bool((found[..., -1] == 1).all())
    frame = found[0, 1, :-1].view(2, -1).T
    assert frame.tolist() == [[0, 0], [1, 2], [3, 4], [5, 6], [0, 0]]
    alone = windows(states[1:, :1], torch.tensor([1]))
    assert torch.equal(found[1, :1], alone[0])


def test_headless_is_the_same_model(data, runs):
    model = load_model(runs["do"])
    speech = torch.randn(2, 16000, generator=torch.manual_seed(0))
    lengths = torch.tensor([16000, 12000])
    texts = {"surface": torch.tensor([[2, 3], [4, -1]]), "surface_lengths": torch.tensor([2, 1])}
    texts |= {f"meaning{key[7:]}": value for key, value in texts.items()}
    with torch.inference_mode():
        loss, _, _ = model(speech, lengths, **texts)
        given, _, _ = headless(model)(*model.encode(speech, lengths), **texts)
    assert float(loss) == pytest.approx(float(given), abs=1e-6)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    exp = tmp_path_factory.mktemp("second")
    return {system: make_run(exp / system, system, 2) for system in ("so_surface", "do")}


def test_swap_records(data, runs, second):
    records = swap(data, data, [*runs.values(), *second.values()], QUICK)
    assert len(records) == (4 + 3) * 3  # decoders of seeds 1 and 2, systems
    for record in records:
        assert record["kind"] == "swap" and record["own"] is not None and record["floor"] is not None
        assert record["n_utts"] == 24 and record["unit"] == "char"
        if record["encoder"] == "so_meaning" and record["seed"] == 1:
            assert record["value"] is None and "so_meaning has no second seed" in record["reason"]
            assert record["encoder_seed"] is None and "exp_encoder" not in record
            continue
        assert record["encoder_seed"] == 3 - record["seed"] and record["r2"] < 1
        assert Path(record["exp_encoder"]).name == record["encoder"]
        assert yaml.safe_load((Path(record["exp_encoder"]) / "run.yaml").read_text())["seed"] == (
            record["encoder_seed"]
        )
        if record["decoder"] == "so_meaning":  # it has no second seed
            assert record["ceiling"] is None and record["difference"] is None
            continue
        own = record["encoder"] == record["decoder"]
        assert record["difference"] == pytest.approx(record["value"] - record["ceiling"], abs=1e-12)
        assert (record["difference_interval"] is None) == own
        assert record["difference"] == 0 or not own


def test_a_swap_of_one_seed_is_null(data, runs):
    records = swap(data, data, list(runs.values()), QUICK)
    assert len(records) == 4 * 3
    for record in records:
        assert record["value"] is record["r2"] is record["ceiling"] is None
        assert record["reason"].startswith(f"{record['encoder']} has no second seed")
        assert record["own"] is not None


def test_a_swap_of_too_little_data_is_null(runs, second, tmp_path):
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=1)
    for record in swap(few, few, [runs["do"], second["do"]], QUICK):
        assert record["value"] is record["own"] is None and "needs 410" in record["reason"]
    broken = make_run(tmp_path / "broken", "so_meaning", 1)
    (broken / CHECKPOINT).write_bytes(b"no")
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        swap(few, few, [runs["so_surface"], broken], QUICK)


def test_swapped_values_are_of_the_next_seed(data, runs, second):
    found = swap(data, data, [runs["do"], *second.values()], QUICK)
    part = DataDir.load(data).sample(QUICK.max_utts)
    other = again("so_surface")
    models = {"do": load_model(runs["do"]), other: load_model(second["so_surface"])}
    models[RANDOM] = random_model(runs["do"], 1)
    maps = fit_maps(models, ["do"], part, QUICK)
    assert set(maps) == {(other, "do"), (RANDOM, "do")}
    tallies = swapped(models, {"do": runs["do"]}, {"do": ["so_surface"]}, maps, part, QUICK)
    for output in ("surface", "meaning"):
        expected = tallies["do", output][other].values(part, output)
        (record,) = (
            r
            for r in found
            if (r["decoder"], r["seed"], r["output"], r["encoder"]) == ("do", 1, output, "so_surface")
        )
        assert record["r2"] == pytest.approx(expected["r2"], abs=1e-4)
        assert record["value"] == pytest.approx(expected["value"], abs=0.02)


def test_two_dual_systems_are_not_swapped(data, tmp_path):
    paths = [tmp_path / f"{system}{seed}" for system in ("so_surface", "do", "arm") for seed in (1, 2)]
    for path in paths:
        make_run(path, "so_surface" if path.name[:-1] == "so_surface" else "do", int(path.name[-1]))
        run = yaml.safe_load((path / "run.yaml").read_text())
        (path / "run.yaml").write_text(yaml.safe_dump(run | {"system": path.name[:-1]}))
    found = {(r["decoder"], r["encoder"]) for r in swap(data, data, paths, QUICK)}
    dual = {(one, other) for one in ("do", "arm") for other in (one, "so_surface")}
    assert found == dual | {("so_surface", other) for other in ("so_surface", "do", "arm")}


def test_fresh_decoder_learns_what_the_states_say(data, runs):
    """States that spell the text: the fresh decoder and CTC read them."""
    texts = Texts(DataDir.load(data), runs["so_surface"], "surface")
    table = 3 * torch.eye(WIDTH)

    def spelled(utt):
        return table[torch.tensor(texts.ids[utt])].repeat_interleave(2, 0).half()

    states = sorted(((u, spelled(u)) for u in texts.ids), key=lambda one: -len(one[1]))
    model = headless(fresh_model(runs["do"], runs["so_surface"], "surface", 1))
    before = evaluate(model.eval(), "surface", states, texts, QUICK)
    train(model, "surface", states, texts, 100)
    after = evaluate(model, "surface", states, texts, QUICK)
    assert after.nats < 0.3 * before.nats
    errors = [sum(wrong for wrong, _ in tally.errors.values()) for tally in (before, after)]
    assert errors[1] < errors[0]


def test_functional_records(data, runs, monkeypatch):
    few = functional(data, data, list(runs.values()), QUICK)
    assert len(few) == 3 * 2
    for record in few:
        assert record["value"] is None and "24 utterances to train on" in record["reason"]
        assert record["floor"] is None and record["epochs"] == 1
    monkeypatch.setattr("l2dual.analysis.functional.MIN_UTTERANCES", 5)
    again = functional(data, data, [runs["do"]], QUICK)
    assert {record["output"] for record in again} == {"surface", "meaning"}
    assert all(r["value"] is not None and r["floor"] is not None for r in again)
    assert [r["difference"] for r in again] == [None, None]
    beside = functional(data, data, [runs["do"], runs["so_surface"]], QUICK)
    found = {(r["system"], r["output"]): r for r in beside}
    own, other = found["so_surface", "surface"], found["do", "surface"]
    assert own["difference"] == 0 and found["do", "meaning"]["difference"] is None
    assert other["difference"] == pytest.approx(other["value"] - own["value"])


def test_encoder_outputs(data, runs):
    directory, model = DataDir.load(data), load_model(runs["do"])
    states = encoder_outputs(model, directory, QUICK)
    assert len(states) == 36 and states[0][1].dtype == torch.float16
    assert [len(one) for _, one in states] == sorted((len(one) for _, one in states), reverse=True)


def test_fresh_decoders_are_alike_whatever_the_encoder(runs, tmp_path):
    small = make_run(tmp_path / "do_small", "do", 1)
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
    own, other = Tally(None), Tally(None)
    for index, utt in enumerate(utts):
        own.errors[utt] = index % 5, 10
        other.errors[utt] = index % 5 + 1, 10  # harder by one error each, whatever the utterance
    for tally in (own, other):
        tally.tokens = 1
    values = other.values(directory, "surface", own)
    assert values["difference"] == pytest.approx(0.1)
    assert values["difference_interval"] == pytest.approx([0.1, 0.1])
    low, high = values["interval"]
    assert low < values["value"] < high and high - low > 0.01
