import numpy as np
import pytest
import torch

from l2dual.analysis import probes
from l2dual.analysis.alignment import Aligned, align_texts, widened
from l2dual.analysis.entanglement import AnalysisOptions
from l2dual.analysis.probes import (
    NONE,
    Bench,
    Tokens,
    fit_probe,
    intended_tokens,
    other_seed,
    probe,
    token_states,
)
from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, UsageError
from l2dual.training.load import CHECKPOINT, load_model
from tests.systems import make_data, make_run


def test_segments_are_widened_to_the_middle_of_a_gap():
    assert widened([(3, 3), (4, 5), (20, 20)], 22) == [(1, 3), (4, 7), (18, 21)]
    assert widened([(3, 3), (6, 6)], 7) == [(1, 4), (5, 6)]
    assert widened([(0, 0)], 1) == [(0, 0)]


def test_intended_tokens():
    """sink ~ think: s stands for one of the two letters of th; a dropped one has no place."""
    sink, think = [1, 2, 3, 4], [9, 8, 2, 3, 4]
    found = intended_tokens(sink, think)
    assert found[0] in (9, 8) and found[1:] == [2, 3, 4]
    assert intended_tokens([5], [5, 6]) == [5] and intended_tokens([5, 6], [5]) == [5, NONE]


class Script(torch.nn.Module):
    """A CTC that emits given tokens at given frames."""

    def __init__(self, emitted, length, size):
        super().__init__()
        self.logits = torch.zeros(length, size)
        self.logits[:, 0] = 5
        for frame, token in emitted.items():
            self.logits[frame] = 10 * torch.nn.functional.one_hot(torch.tensor(token), size)

    def log_softmax(self, states):
        return self.logits[: states.shape[1]].log_softmax(-1).expand(len(states), -1, -1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two splits of 12 and 8 speakers."""
    folder = tmp_path_factory.mktemp("data")
    return make_data(folder / "test"), make_data(folder / "valid", n_speakers=8)


def test_tokens_where_ctc_emits_them(data, runs):
    model, directory = load_model(runs["so_surface"]), DataDir.load(data[0])
    model.ctcs["surface"] = Script({4: 2, 9: 3, 10: 3}, 200, 7)
    ids = {utt: [2, 3] for utt in directory["wav.scp"]}
    ids["s00-0"] = [2] * 500  # more than CTC can align
    found = align_texts(model, "surface", directory, ids, 8)
    assert set(found) == set(ids) - {"s00-0"}
    longest = max(found.values(), key=lambda one: one.length)
    assert longest.segments == [(2, 6), (7, 12)]
    with pytest.raises(UsageError, match="no CTC on meaning"):
        align_texts(model, "meaning", directory, ids, 8)


def test_probe_finds_what_is_planted():
    rng = np.random.default_rng(0)
    labels = np.array([7, 2, 5])[rng.integers(0, 3, 600)]
    x = rng.normal(size=(600, 10)) * 100 + 50
    x[:, 3] += 400 * (labels == 2)
    x[:, 8] -= 400 * (labels == 5)
    x, given = x.astype(np.float32), labels.copy()
    given[400:] = probes.NONE
    given[:20] = probes.NONE
    assert (fit_probe(x, given, x[400:]) == labels[400:]).mean() > 0.95
    noise = fit_probe(x[:, :3], given, x[400:, :3])
    assert (noise == labels[400:]).mean() < 0.5
    assert set(fit_probe(x, np.where(given == 2, 2, probes.NONE), x)) == {2}


def planted_tokens(rng, n=600):
    """600 tokens of 12 speakers, of which a quarter differ."""
    surface = rng.integers(2, 6, n)
    meaning = np.where(rng.random(n) < 0.25, 2 + (surface - 1) % 4, surface)
    utts = [f"s{index // 3:02d}-{index % 3}" for index in range(36)]
    rows = np.sort(rng.integers(0, 36, n))
    return Tokens(utts, {}, rows, {"surface": surface, "meaning": meaning})


def test_planted_information_shows_where_outputs_differ(data):
    rng = np.random.default_rng(1)
    directory = DataDir.load(data[0])
    splits = [planted_tokens(rng), planted_tokens(rng)]
    bench = Bench((directory, directory), splits, AnalysisOptions())
    fit, test = (
        (np.eye(8)[one.labels["surface"]] + 0.05 * rng.normal(size=(600, 8))).astype("float32")
        for one in splits
    )

    def values(target, name):
        guess = fit_probe(fit, splits[0].labels[target], test)
        return bench.values(target, name, guess, None, None)

    assert values("surface", "differ")["value"] > 0.99
    assert values("surface", "differ")["other"] < 0.01
    assert values("meaning", "same")["value"] > 0.99
    assert values("meaning", "differ")["value"] < 0.01  # it has no way to tell
    assert values("meaning", "differ")["other"] > 0.99
    everywhere = values("surface", "all")
    assert everywhere["n_test"] == 600 and everywhere["n_clusters"] == 12
    assert everywhere["interval"] == pytest.approx([1, 1]) and everywhere["chance"] < 0.3


def test_loss_of_a_probe_is_paired(data):
    """What is lost is the same in every speaker, whatever each one's accuracy."""
    directory = DataDir.load(data[0])
    tokens = planted_tokens(np.random.default_rng(1))
    bench = Bench((directory, directory), [tokens, tokens], AnalysisOptions())
    right = tokens.labels["surface"].copy()
    for name in sorted(set(bench.clusters))[::2]:  # half of the speakers are read badly by both
        right[np.flatnonzero(bench.clusters == name)[:20]] = 7
    worse = right.copy()
    for name in set(bench.clusters):
        own = np.flatnonzero((bench.clusters == name) & (right != 7))
        worse[own[: round(0.1 * (bench.clusters == name).sum())]] = 7
    found = bench.values("surface", "all", worse, right, right)
    assert found["loss"] == pytest.approx(0.1, abs=0.01)
    low, high = found["loss_interval"]
    assert high - low < 0.02 < found["interval"][1] - found["interval"][0]
    assert found["floor"] == pytest.approx(found["value"] + found["loss"])
    assert "loss" not in bench.values("meaning", "all", worse, None, right)


def test_another_seed_aligns_where_there_is_one():
    seeds = dict.fromkeys((1, 2, 5))
    assert [other_seed(seed, seeds) for seed in (1, 2, 3, 5)] == [2, 5, 5, 1]
    assert other_seed(1, {1: None}) == 1


def test_utterances_are_drawn_up_to_so_many_tokens(monkeypatch):
    monkeypatch.setattr(probes, "MAX_TOKENS", 10)
    counts = dict.fromkeys("abcdef", 4)
    assert len(probes.draw(counts)) == 2 and probes.draw(counts)[0] != "a"
    assert sorted(probes.draw({"a": 5, "b": 5})) == ["a", "b"]


def test_states_are_means_over_the_frames_of_a_token(data, runs):
    directory, model = DataDir.load(data[0]), load_model(runs["do"])
    rows = {}
    with torch.inference_mode(), probes.recorded_blocks(model) as given:
        for (utt,), states in probes.encoded(model, directory.subset(["s01-0", "s02-1"]), 1):
            rows[utt] = int(states.lengths), given[model.blocks("surface")[1]][0].numpy()
    segments = {utt: Aligned(length, [(1, 3), (5, 5)]) for utt, (length, _) in rows.items()}
    tokens = Tokens(list(rows), segments, np.array([0, 0, 1, 1]), {})
    by_token = token_states(model, directory, tokens, 1, runs["do"])["meaning"]
    for index, (_, frames) in enumerate(rows.values()):
        np.testing.assert_allclose(by_token[1][2 * index], frames[1:4].mean(0), atol=1e-5)
        np.testing.assert_allclose(by_token[1][2 * index + 1], frames[5], atol=1e-5)
    segments["s01-0"] = Aligned(3, [(1, 2)])
    with pytest.raises(UsageError, match="3 in the aligner"):
        token_states(model, directory, tokens, 1, runs["do"])


@pytest.mark.slow
def test_records(data, runs, tmp_path):
    records = probe(*data, list(runs.values()), AnalysisOptions())
    assert len(records) == 3 * 2 * 2 * 3  # runs, blocks, targets, sets of tokens
    for record in records:
        assert (record.value is None) <= bool(record.reason)
        if record.tokens == "all":
            assert 0 < record.value <= 1 and 0 < record.floor <= 1 and record.n_test > 50
            beside = record.target == "surface" and record.system != "so_surface"
            assert (record.loss is not None) == beside
    single, dual = (
        next(r for r in records if (r.system, r.layer, r.target, r.tokens) == (system, 2, "surface", "all"))
        for system in ("so_surface", "do")
    )
    assert dual.loss == pytest.approx(single.value - dual.value)
    assert probe(*data, [runs["do"]], AnalysisOptions()) == []
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=1)
    for record in probe(few, few, [runs["so_surface"]], AnalysisOptions()):
        assert record.value is None and "needs" in record.reason
    broken = make_run(tmp_path / "broken", "do", 1)
    (broken / CHECKPOINT).unlink()
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        probe(few, few, [runs["so_surface"], broken], AnalysisOptions())
