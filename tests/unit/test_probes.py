from dataclasses import replace

import numpy as np
import pytest
import torch

from l2dual.analysis import probes
from l2dual.analysis.alignment import Aligned, align_texts, widened
from l2dual.analysis.entanglement import Options
from l2dual.analysis.probes import Bench, Place, Tokens, fit_probe, probe, token_states
from l2dual.datadir import DataDir
from l2dual.errors import DataError, UsageError
from l2dual.load import CHECKPOINT, load_model
from l2dual.stats import next_seed
from tests.systems import OUTPUTS, make_data, make_run


def test_segments_are_widened_to_the_middle_of_a_gap():
    assert widened([(3, 3), (4, 5), (20, 20)], 22) == [(1, 3), (4, 7), (18, 21)]
    assert widened([(3, 3), (6, 6)], 7) == [(1, 4), (5, 6)]
    assert widened([(0, 0)], 1) == [(0, 0)]


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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    exp = tmp_path_factory.mktemp("exp")
    return {system: make_run(exp / system, system, 1) for system in OUTPUTS}


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
    x = x.astype(np.float32)
    guess = fit_probe(x[:400], labels[:400])(x[400:])
    assert (guess == labels[400:]).mean() > 0.95
    noise = fit_probe(x[:400, :3], labels[:400])(x[400:, :3])
    assert (noise == labels[400:]).mean() < 0.5


def planted_tokens(rng, n=600):
    """600 tokens of 12 speakers, of which a quarter differ, all of types seen in training."""
    surface = rng.integers(2, 6, n)
    meaning = np.where(rng.random(n) < 0.25, 2 + (surface - 1) % 4, surface)
    utts = [f"s{index // 3:02d}-{index % 3}" for index in range(36)]
    rows = np.sort(rng.integers(0, 36, n))
    places = rng.integers(0, 30, n)  # types are finer than labels
    types = [(int(one), 0, int(place)) for one, place in zip(surface, places, strict=True)]
    return Tokens(utts, {}, rows, {"surface": surface, "meaning": meaning}, types)


def test_planted_information_shows_where_outputs_differ(data):
    rng = np.random.default_rng(1)
    directory = DataDir.load(data[0])
    splits = [planted_tokens(rng), planted_tokens(rng)]
    bench = Bench((directory, directory), splits, Options())
    fit, test = (
        (np.eye(8)[one.labels["surface"]] + 0.05 * rng.normal(size=(600, 8))).astype("float32")
        for one in splits
    )
    surface = bench._token_probe("surface", fit, test)
    meaning = bench._token_probe("meaning", fit, test)
    assert surface["differ"].values["value"] > 0.99
    assert surface["differ"].values["other"] < 0.01
    assert meaning["same"].values["value"] > 0.99
    assert meaning["differ"].values["value"] < 0.01  # it has no way to tell
    assert meaning["differ"].values["other"] > 0.99
    assert surface["all"].values["selectivity"] > 0.3  # it can't know the random labels
    assert surface["all"].values["n_test"] == 600
    assert surface["differ"].values["n_clusters"] == 12
    assert surface["all"].values["interval"] == pytest.approx([1, 1])


def test_unnamed_tokens_are_told_with_their_false_alarms(data):
    rng = np.random.default_rng(1)
    directory = DataDir.load(data[0])
    split = planted_tokens(rng)
    split.labels["surface"] = np.where(split.sets["differ"], 6, split.labels["surface"])
    split.unnamed = 6
    heard = split.labels["surface"].copy()
    kept, wrong = (np.flatnonzero(split.sets[name]) for name in ("same", "differ"))
    heard[kept[::10]] = 6  # sounds wrong, and is not
    heard[wrong[: len(wrong) // 2]] = 7  # sounds like nothing in training
    fit = np.eye(8)[split.labels["surface"]].astype("float32")
    found = Bench((directory, directory), [split, split], Options())._token_probe(
        "surface", fit, np.eye(8)[heard].astype("float32")
    )
    false_alarms = len(kept[::10]) / len(kept)
    assert found["same"].values["unnamed"] == pytest.approx(false_alarms)
    low, high = found["same"].values["unnamed_interval"]
    assert low < false_alarms < high
    assert found["differ"].values["unnamed"] >= 0.5
    assert found["differ"].values["unnamed"] == found["differ"].values["value"]


def test_without_unnamed_tokens_nothing_is_told_of_them(data):
    directory = DataDir.load(data[0])
    split = planted_tokens(np.random.default_rng(1))
    x = np.eye(8)[split.labels["surface"]].astype("float32")
    found = Bench((directory, directory), [split, split], Options())._token_probe("surface", x, x)
    assert found["same"].values["unnamed"] is None


def test_loss_of_a_probe_is_paired():
    speakers = np.repeat(np.arange(12), 10)
    right, wrong = np.ones(120, bool), np.tile([True, False], 60)
    values = probes._nothing(None, 300, 120).values
    place = Place(1, "surface", "differ")
    sides = [{place: probes.Result(values, one, speakers)} for one in (right, wrong)]
    same = Place(1, "surface", "same")
    for side in sides:
        side[same] = probes.Result(values, right, speakers)
    found = dict(probes._losses(*sides))
    assert list(found) == [place, same, Place(1, "surface", probes.BEYOND)]
    assert found[place]["value"] == 0.5 and found[same]["value"] == 0.0
    assert found[place]["interval"] == pytest.approx([0.5, 0.5])  # every speaker alike


def losses(values: np.ndarray, voices: np.ndarray) -> probes.Result:
    return probes.Result(probes._mean(values, voices), values, voices)


def test_what_is_lost_beyond_the_other_tokens():
    """What a voice loses everywhere cancels; what it loses where they differ stays."""
    rng = np.random.default_rng(0)
    differ, same = rng.integers(0, 12, 600), rng.integers(0, 12, 900)
    everywhere, there = rng.normal(size=12), rng.normal(0.3, 0.1, size=12)
    found = probes._beyond(
        losses((everywhere + there)[differ], differ), losses(everywhere[same], same)
    )
    low, high = found["interval"]
    assert low < found["value"] < high and found["n_clusters"] == 12
    alone = losses((everywhere + there)[differ], differ).values["interval"]
    assert high - low < 0.3 * (alone[1] - alone[0])
    whole = (everywhere + there)[differ].mean() - everywhere[same].mean()
    assert found["value"] == pytest.approx(whole)


def test_what_is_lost_beyond_counts_voices_without_replaced_tokens():
    rng = np.random.default_rng(1)
    same = rng.integers(0, 20, 900)
    lost = rng.normal(size=20)[same]
    few = np.repeat(np.arange(12), 10)
    found = probes._beyond(losses(np.full(120, 0.5), few), losses(lost, same))
    assert found["n_clusters"] == 20
    own = losses(lost, same).values["interval"]
    assert found["interval"][1] - found["interval"][0] == pytest.approx(own[1] - own[0], rel=0.2)


def test_nothing_is_lost_beyond_too_few_tokens():
    few = probes.Result(probes._nothing("3 tokens to test on; needs 50", 300, 3).values)
    enough = losses(np.ones(120), np.repeat(np.arange(12), 10))
    for sides in ((few, enough), (enough, few)):
        nothing = probes._beyond(*sides)
        assert (nothing["value"], nothing["interval"]) == (None, None)
        assert nothing["reason"].startswith("3 tokens")


def test_another_seed_aligns_where_there_is_one():
    three = {seed: f"so_surface.seed{seed}" for seed in (1, 2, 5)}
    found = {seed: three[next_seed(seed, three)] for seed in (1, 2, 3, 5)}
    assert found == {1: three[2], 2: three[5], 3: three[5], 5: three[1]}
    assert next_seed(1, [1]) == 1


def test_folds():
    speakers = np.repeat([f"s{i:02d}" for i in range(12)], 20)
    l1s = np.repeat(["x", "y"] * 5 + ["z", "unknown"], 20)
    kept, folds, reason = probes._folds("l1", l1s, speakers)
    assert reason is None and kept.sum() == 200  # z has one speaker
    assert all(len(set(folds[speakers == one])) == 1 for one in set(speakers[kept]))
    kept, folds, reason = probes._folds("speaker", speakers, speakers)
    assert reason is None and kept.all()
    assert all(np.bincount(folds[speakers == one]).tolist() == [4] * 5 for one in speakers)
    assert probes._folds("l1", l1s[:60], speakers[:60])[2].startswith("needs two first languages")
    voices = np.repeat([f"v{i:02d}" for i in range(10)], 24)  # some of several first languages
    kept, folds, reason = probes._folds("l1", l1s, voices)
    assert reason is None and set(l1s[kept]) == {"x", "y", "z"}  # z in two voices
    assert all(len(set(folds[voices == one][kept[voices == one]])) <= 1 for one in voices)
    assert probes._folds("speaker", speakers[:100], speakers[:100])[2] == "100 utterances; needs 200"


def test_first_language_is_not_read_from_the_voice():
    """Speakers of one first language share voices: a voice in training and test would tell it."""
    rng = np.random.default_rng(0)
    voices = np.repeat(np.arange(12), 20)
    l1s = np.array(["x", "y", "z"])[voices % 3]
    x = np.eye(12)[voices] + 0.01 * rng.normal(size=(240, 12))
    speakers = np.array([f"s{one}" for one in np.arange(240) // 5])
    labels = np.unique(l1s, return_inverse=True)[1]
    read = {
        name: (probes._cross_validated(x, labels, probes._folds("l1", l1s, whose)[1]) == labels).mean()
        for name, whose in (("voices", voices.astype(str)), ("speakers", speakers))
    }
    assert read["speakers"] > 0.95 and read["voices"] < 0.5


def test_utterances_are_drawn_up_to_so_many_tokens(monkeypatch):
    monkeypatch.setattr(probes, "MAX_TOKENS", 10)
    counts = dict.fromkeys("abcdef", 4)
    assert len(probes._drawn(counts)) == 2 and probes._drawn(counts)[0] != "a"
    assert sorted(probes._drawn({"a": 5, "b": 5})) == ["a", "b"]


def test_states_are_means_over_the_frames_of_a_token(data, runs):
    directory, model = DataDir.load(data[0]), load_model(runs["do"])
    rows = {}
    with torch.inference_mode(), probes.recorded_blocks(model) as outputs:
        for (utt,), speech, lengths in probes.batches(directory.subset(["s01-0", "s02-1"]), 1):
            _, frames = model.encode(speech, lengths)
            rows[utt] = int(frames), outputs[1][0].numpy()
    segments = {utt: Aligned(length, [(1, 3), (5, 5)]) for utt, (length, _) in rows.items()}
    tokens = Tokens(list(rows), segments, np.array([0, 0, 1, 1]), {}, [])
    by_token, by_utt = token_states(model, directory, tokens, 1, runs["do"])
    for index, (length, frames) in enumerate(rows.values()):
        np.testing.assert_allclose(by_token[1][2 * index], frames[1:4].mean(0), atol=1e-5)
        np.testing.assert_allclose(by_token[1][2 * index + 1], frames[5], atol=1e-5)
        np.testing.assert_allclose(by_utt[1][index], frames[:length].mean(0), atol=1e-5)
    segments["s01-0"] = Aligned(3, [(1, 2)])
    with pytest.raises(UsageError, match="3 in the aligner"):
        token_states(model, directory, tokens, 1, runs["do"])


def test_records(data, runs, tmp_path):
    records = probe(*data, list(runs.values()), Options())
    kinds = [record["kind"] for record in records]
    assert kinds.count("probe") == 3 * 2 * 8 and kinds.count("probe loss") == 2 * 2 * 4
    for record in records:
        assert record["aligner"] == str(runs["so_surface"]) and record["fit_split"] == "valid"
        assert (record["value"] is None) <= bool(record["reason"])
        if record["target"] in ("l1", "speaker"):
            assert record["value"] is None  # 36 utterances
        elif record["tokens"] == "all":
            assert 0 < record["value"] <= 1 and record["n_test"] > 50
    assert {r["system"] for r in records if r["kind"] == "probe loss"} == {"so_meaning", "do"}
    assert probe(*data, [runs["do"]], Options()) == []
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=1)
    for record in probe(few, few, [runs["so_surface"]], Options()):
        assert record["value"] is None and "needs" in record["reason"]
    broken = make_run(tmp_path / "broken", "do", 1)
    (broken / CHECKPOINT).unlink()
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        probe(few, few, [runs["so_surface"], broken], Options())


@pytest.mark.parametrize("target", ["l1", "speaker"])
def test_utterance_probe_finds_what_is_planted(tmp_path, target):
    data = make_data(tmp_path / "many", n_speakers=12, per_speaker=18)
    directory = DataDir.load(data)
    tokens = replace(planted_tokens(np.random.default_rng(0)), utts=sorted(directory["utt2spk"]))
    bench = Bench((directory, directory), [tokens, tokens], Options())
    names = [directory["utt2l1" if target == "l1" else "utt2spk"][utt] for utt in bench.splits[1].utts]
    kinds, labels = np.unique(names, return_inverse=True)
    noise = np.random.default_rng(0).normal(size=(len(names), 16))
    told = bench._utterance_probe(target, noise + 4 * np.eye(16)[labels]).values
    nothing = bench._utterance_probe(target, noise).values
    assert told["value"] > 0.95 and told["control"] is None and told["interval"]
    assert nothing["value"] < told["value"] - 0.3 and told["n_test"] == len(names)
