import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
import yaml

from l2dual.analysis.activations import Activations, collect, frame_positions, shuffled_pairs
from l2dual.analysis.cka import debiased_cka
from l2dual.analysis.entanglement import AnalysisOptions, analyse
from l2dual.analysis.kinds import read_analysis
from l2dual.analysis.similarity import Side, Similarities
from l2dual.bin.analyse import main
from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, UsageError, run
from l2dual.training.load import CHECKPOINT, load_model
from tests.systems import OUTPUTS, WIDTH, make_data, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three systems, two seeds each."""
    exp = tmp_path_factory.mktemp("exp")
    pairs = [(system, seed) for system in OUTPUTS for seed in (1, 2)]
    return {pair: make_run(exp / f"{pair[0]}_{pair[1]}", *pair) for pair in pairs}


def first_seeds(runs):
    return [exp for (_, seed), exp in runs.items() if seed == 1]


@pytest.fixture(scope="module")
def two_seeds(data, runs):
    return analyse(data, list(runs.values()), AnalysisOptions())


@pytest.mark.parametrize(
    "length,expected", [(1, [0]), (24, [12]), (25, [12]), (37, [12]), (38, [12, 37])]
)
def test_frame_positions(length, expected):
    assert frame_positions(length).tolist() == expected


def test_collect_equals_whole_utterances(data, runs):
    """The sampled frames are those of each utterance encoded alone, whatever the batch."""
    directory = DataDir.load(data)
    model = load_model(runs["do", 1])
    sample = collect(model, directory, batch_size=1)["meaning"]
    batched = collect(model, directory, batch_size=8)["surface"]
    assert sample.utts == batched.utts and len(set(sample.utts)) == 36
    assert len(sample.layers) == 2 and sample.layers[0].shape == (len(sample.rows), WIDTH)
    wave, _ = soundfile.read(directory["wav.scp"][sample.utts[5]], dtype="float32")
    with torch.inference_mode():
        out, lengths = model.encode(torch.from_numpy(wave)[None], torch.tensor([len(wave)])).of(model.outputs[0])
        positions = frame_positions(int(lengths))
        mine = model.encoder.after_norm(torch.from_numpy(sample.layers[1][sample.rows == 5]))
    assert sample.lengths[5] == int(lengths) == out.shape[1]
    np.testing.assert_allclose(mine, out[0, positions], atol=1e-5)
    for alone, padded in zip(sample.layers, batched.layers, strict=True):
        np.testing.assert_allclose(padded, alone, atol=0.01)  # padding leaks at convolutions
    assert not any(block._forward_hooks for block in model.encoder.encoders)


def make_sample(lengths):
    sizes = [len(frame_positions(length)) for length in lengths]
    rows = np.repeat(np.arange(len(lengths)), sizes)
    order = np.concatenate([np.arange(size) for size in sizes])
    layers = [np.stack([rows, order], axis=1).astype(np.float32)]
    return Activations(tuple(map(str, range(len(lengths)))), np.array(lengths), rows, layers)


def test_shuffled_pairs():
    rng = np.random.default_rng(0)
    sample = make_sample(rng.integers(10, 400, 45))
    left, right = shuffled_pairs(sample, rng)
    one, other = sample.layers[0][left], sample.layers[0][right]
    assert (one[:, 0] != other[:, 0]).all()  # never its own partner
    np.testing.assert_array_equal(one[:, 1], other[:, 1])  # the same place in the utterance
    partners = dict(zip(sample.rows[left], sample.rows[right], strict=True))
    assert sorted(partners) == sorted(partners.values()) == list(range(45))
    ranks = np.argsort(np.argsort(sample.lengths, kind="stable"))
    assert max(abs(ranks[a] - ranks[b]) for a, b in partners.items()) < 5
    assert shuffled_pairs(sample, rng)[1].tolist() != right.tolist()


@pytest.mark.slow
def test_records(data, runs, two_seeds):
    """Every number of a record, computed anew from the encoders."""
    records = two_seeds
    assert len(records) == 3 * 4 * 2  # comparisons, pairs of seeds, blocks
    wanted = ("so_surface", 1, "so_meaning", 2, 2)
    keys = ("system_x", "seed_x", "system_y", "seed_y", "layer")
    (record,) = (r for r in records if tuple(getattr(r, key) for key in keys) == wanted)
    directory = DataDir.load(data)
    samples = {pair: next(iter(collect(load_model(exp), directory, 8).values())) for pair, exp in runs.items()}
    layers = {pair: sample.layers[1] for pair, sample in samples.items()}
    cka = debiased_cka(layers["so_surface", 1], layers["so_meaning", 2])
    ceilings = [debiased_cka(layers[s, 1], layers[s, 2]) for s in ("so_surface", "so_meaning")]
    assert record.cka == pytest.approx(cka, abs=1e-9)
    assert record.ceiling == pytest.approx(np.sqrt(np.prod(ceilings)), abs=1e-9)
    assert record.ceiling_without == {"1": None, "2": None}  # a pair takes both
    assert record.n_clusters == 12 and record.n_utts == 36 and record.dim == WIDTH
    assert record.n_frames == len(samples["do", 1].rows) >= 4 * WIDTH
    assert record.null < cka
    low, high = record.interval
    assert -1 < low < high < 1.5
    pairs = {(r.system_x, r.system_y) for r in records}
    assert pairs == {("so_surface", "so_meaning"), ("do", "so_surface"), ("do", "so_meaning")}


def test_value_lies_between_null_and_one(two_seeds):
    """The two encoders of one seed start alike, those of two seeds do not."""
    same, other = [], []
    for record in two_seeds:
        assert abs(record.null) < 0.3 and 0 < record.floor < 0.999
        (same if record.seed_x == record.seed_y else other).append(record.cka)
    assert np.mean(other) < np.mean(same) < 1


def test_networks_of_unlike_depth(data, runs):
    """As a decoder of one layer beside one of two: a block that one has not has no ceiling."""
    directory = DataDir.load(data)
    sides = {}
    for system, depth in (("do", 2), ("so_surface", 1)):
        for seed in (1, 2):
            sample = collect(load_model(runs[system, seed]), directory, 8)["surface"]
            sample = replace(sample, layers=sample.layers[:depth])
            sides[f"{system}{seed}"] = Side(f"{system}{seed}", system, seed, sample, lambda _, one=sample: one)
    table = Similarities(directory, sides)
    for x, y in (("do1", "so_surface2"), ("so_surface1", "do2")):
        (block,) = table.blocks(x, y)
        assert block["ceiling"] is not None and block["null"] is not None


def test_a_missing_statistics_file_is_named(tmp_path):
    exp = make_run(tmp_path / "exp", "do", 1)
    config = yaml.safe_load((exp / "config.yaml").read_text())
    config |= {"normalize": "global_mvn", "normalize_conf": {"stats_file": "exp/stats/feats_stats.npz"}}
    (exp / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(DataError, match="exp/stats/feats_stats.npz: no such file, which .*run stage 7"):
        load_model(exp)


def test_one_seed_has_no_ceiling(data, runs):
    records = analyse(data, first_seeds(runs), AnalysisOptions())
    for record in records:
        assert record.ceiling is None and record.null is not None
        assert "second seed of" in record.reason and record.interval is not None


@pytest.mark.slow
def test_too_little_is_null_with_its_reason(tmp_path, data, runs):
    wide = [make_run(tmp_path / s, s, 1, width=64) for s in ("so_surface", "so_meaning")]
    for record in analyse(data, wide, AnalysisOptions()):
        assert record.cka is None and "needs 256" in record.reason
    few = make_data(tmp_path / "few", n_speakers=3, per_speaker=6)
    records = analyse(few, first_seeds(runs)[:2], AnalysisOptions())
    for record in records:
        assert record.cka is not None and record.interval is None and record.null is None
        assert "10 speakers or voices (has 3)" in record.reason
        assert "20 utterances (has 18)" in record.reason
    handful = make_data(tmp_path / "handful", n_speakers=1, per_speaker=1)
    for record in analyse(handful, list(runs.values()), AnalysisOptions()):
        assert record.cka is None and "needs 32" in record.reason
    assert analyse(data, first_seeds(runs)[:1], AnalysisOptions()) == []


def test_a_bounded_sample_is_drawn_before_anything_is_encoded(data, runs):
    records = analyse(data, first_seeds(runs)[:2], AnalysisOptions(max_utts=15))
    assert {record.n_utts for record in records} == {15}
    again = analyse(data, first_seeds(runs)[:2], AnalysisOptions(max_utts=15))
    assert again == records


def test_runs_that_cannot_be_compared(tmp_path, data, runs):
    surface = runs["so_surface", 1]
    other = make_run(tmp_path / "other", "so_meaning", 1, data="dump/else")
    with pytest.raises(UsageError, match="other: data is dump/else"):
        analyse(data, [surface, other], AnalysisOptions())
    strange = make_data(tmp_path / "strange", n_speakers=1)
    info = strange / "corpus.yaml"
    info.write_text(info.read_text().replace("convention: heard", "convention: pronounced"))
    with pytest.raises(UsageError, match="strange: convention is pronounced, but heard in .*so_surface"):
        analyse(strange, [surface], AnalysisOptions())
    again = make_run(tmp_path / "again", "so_surface", 1)
    with pytest.raises(UsageError, match="again: so_surface of seed 1"):
        analyse(data, [surface, again], AnalysisOptions())


def test_broken_models_are_named(tmp_path, data, runs):
    surface = runs["so_surface", 1]
    broken = make_run(tmp_path / "broken", "so_meaning", 1)
    state = torch.load(broken / CHECKPOINT, weights_only=True)
    state["encoder.encoders.0.norm_final.bias"][0] = float("nan")
    torch.save(state, broken / CHECKPOINT)
    with pytest.raises(DataError, match="broken: utterance s.* not finite"):
        analyse(data, [surface, broken], AnalysisOptions())
    (broken / CHECKPOINT).write_bytes((broken / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        analyse(data, [surface, broken], AnalysisOptions())
    (broken / CHECKPOINT).unlink()
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        analyse(data, [surface, broken], AnalysisOptions())
    (broken / "run.yaml").unlink()
    with pytest.raises(DataError, match="broken/run.yaml"):
        analyse(data, [surface, broken], AnalysisOptions())


@pytest.mark.slow
def test_command(tmp_path, data, runs, monkeypatch, capsys):
    out = tmp_path / "exp/cka.json"

    def command(*exps, split=data, what="cka"):
        args = ["analyse", "--data", str(split), "--what", what, "--out", str(out), "--exp", *map(str, exps)]
        monkeypatch.setattr(sys, "argv", args)
        run(main)
        return capsys.readouterr().out

    stdout = command(*first_seeds(runs))
    found = read_analysis(out)
    assert found.records == analyse(data, first_seeds(runs), AnalysisOptions())
    assert found.meta.command.startswith("python -m l2dual.bin.analyse --data")
    assert found.meta.runs == {exp.name: "abc" for exp in first_seeds(runs)}
    assert found.meta.data == str(data.parent) and found.meta.split == "test"
    assert "cka: 6 records\n  ceiling needs a second seed of" in stdout and "(2 more reasons in cka.json)" in stdout
    before = out.read_bytes()
    command(*first_seeds(runs))
    assert out.read_bytes() == before
    with pytest.raises(SystemExit, match="1"):
        command(tmp_path / "nothing")
    error = capsys.readouterr().err
    assert error.startswith("l2dual: error:") and error.count("\n") == 1 and "nothing" in error
    assert out.read_bytes() == before
    ctc_only = make_run(tmp_path / "do_ctconly", "do", 3, attention=0.0)
    assert "nothing to compare" in command(ctc_only, what="decoders")
    assert "subspaces: 4 records" in command(ctc_only, runs["do", 1], what="subspaces")
    cached = make_data(tmp_path / "test", n_speakers=1, per_speaker=1)
    with (cached / "corpus.yaml").open("a") as info:
        info.write("features_of: dump/original\n")
    assert "nothing to compare" in command(runs["do", 1], split=cached)
    assert read_analysis(out).meta.data == "dump/original" and read_analysis(out).records == []


@pytest.mark.parametrize("text", ["", "[]", '{"meta": {}, "records": []}', "[" * 5000])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "cka.json").write_text(text)
    with pytest.raises(DataError, match="cka.json: not a file of stage 11"):
        read_analysis(tmp_path / "cka.json")
