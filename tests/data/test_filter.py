"""The filter of stage 4: what is dropped, and why."""

import sys

import pytest
import yaml

from l2dual.bin.filter import main as filter_main
from l2dual.data.datadir import DataDir
from l2dual.data.filter import filter_data
from l2dual.data.validate import SHORTEST
from l2dual.errors import DataError, UsageError
from tests.commands import python_m

GOOD = {"text.surface": "i sink so", "text.meaning": "i think so", "utt2dur": "2.0"}
FAULTS = {
    "empty-surface": ({"text.surface": ""}, "text.surface: the utterance has no value"),
    "empty-meaning": ({"text.meaning": ""}, "text.meaning: the utterance has no value"),
    "very-short": ({"utt2dur": "0.05"}, f"wav.scp: the audio is shorter than {SHORTEST} s"),
    "short": ({"utt2dur": "0.35"} | dict.fromkeys(list(GOOD)[:2], "so"), "shorter than 0.4 s"),
    "long": ({"utt2dur": "31"}, "longer than 20 s"),
    "dense": ({"text.meaning": "abcdefghij" * 6}, "text.meaning: the text is too long"),
    "repeating": ({"text.surface": "a" * 26}, "text.surface: the text is too long"),
}
INFO = {"corpus": "c", "language": "en", "convention": "heard", "surface": "annotated"}
INFO |= {"surface_unit": "char", "meaning_unit": "char"}


def write(path, utterances, **changes):
    """A formatted data directory of ``utterances``: {name: values by table}."""
    default = {"wav.scp": "x.flac", "text.canonical": "i think so", "utt2spk": "s", "utt2l1": "x"}
    tables = {name: {} for name in (*default, *GOOD)}
    for name, values in utterances.items():
        for table in tables:
            tables[table][f"s-{name}"] = (default | values)[table]
    if changes.get("surface") == "none":
        del tables["text.surface"], tables["text.canonical"]
    DataDir(path, tables, INFO | changes).write(path)
    return path


def faulty():
    return {"good": GOOD} | {name: GOOD | change for name, (change, _) in FAULTS.items()}


def names(utts):
    return {utt.removeprefix("s-") for utt in utts}


def test_each_fault_is_dropped_from_training_for_its_reason(tmp_path):
    kept, dropped, repaired = filter_data(write(tmp_path, faulty()), True, 0.4, 20, 25)
    assert names(kept["text.surface"]) == {"good"} and repaired == []
    assert names(dropped) == set(FAULTS)
    for name, (_, reason) in FAULTS.items():
        assert dropped[f"s-{name}"].startswith(reason)


def test_a_test_set_loses_only_what_cannot_be_scored(tmp_path):
    dropped = filter_data(write(tmp_path, faulty()), False, 0.4, 20, 25).dropped
    assert names(dropped) == {"empty-surface", "empty-meaning", "very-short"}


def test_without_a_surface_the_meaning_alone_counts(tmp_path):
    kept, dropped, _ = filter_data(write(tmp_path, faulty(), surface="none"), True, 0.4, 20, 25)
    assert set(FAULTS) - names(dropped) == {"empty-surface", "repeating"}
    assert "text.surface" not in kept.tables


@pytest.mark.parametrize("seconds, is_kept", [("2.4120", True), ("2.4119", False)])
def test_phones_are_counted_as_phones(tmp_path, seconds, is_kept):
    """30 phones and 29 repeats need 59 frames: 239 windows, the last from sample 38080 on."""
    texts = {"good": GOOD | {"text.surface": "DH " * 29 + "DH", "text.meaning": "so"}}
    texts["good"] |= {"utt2dur": seconds}
    texts["other"] = GOOD | {"text.surface": "S OW", "text.meaning": "so"}
    write(tmp_path, texts, surface_unit="phone")
    kept = filter_data(tmp_path, True, 0.4, 20, 25).data
    assert ("s-good" in kept["wav.scp"]) == is_kept


@pytest.mark.parametrize(
    "rate, encoder, most",
    [
        (16000, 25, 48),
        (8000, 25, 48),  # windows as long in seconds
        (16000, 50, 96),
        (16000, "conv2d", 48),
        (8000, "conv2d", 48),
        (16000, "conv2d8", 23),
        (16000, "linear", 197),
    ],
)
def test_the_encoder_bounds_the_tokens(tmp_path, capsys, monkeypatch, rate, encoder, most):
    front = {"n_fft": 512, "win_length": 400, "hop_length": 160, "center": False}
    config = {"frontend_conf": front, "encoder_conf": {"input_layer": encoder}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    choice = ["--train_config", str(tmp_path / "train.yaml")]
    if isinstance(encoder, int):
        choice = ["--frames_per_second", str(encoder)]
    phones = {n: GOOD | {"text.surface": " ".join(f"P{i}" for i in range(n))} for n in (most, most + 1)}
    path = write(tmp_path / "in", phones, surface_unit="phone", sampling_rate=rate)
    command = ["filter", "--data", str(path), "--split", "train", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command + choice)
    filter_main()
    assert list(DataDir.load(tmp_path / "out")["wav.scp"]) == [f"s-{most}"]
    assert "dropped 1: text.surface: the text is too long" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_frames_a_second_are_above_0(tmp_path, wrong):
    with pytest.raises(UsageError, match="frames_per_second .*: give a number above 0"):
        filter_data(write(tmp_path, faulty()), True, 0.4, 20, wrong)


@pytest.mark.parametrize("rate", ["8k", 0, -8000, 1, None, 8000.5])
def test_a_wrong_sampling_rate_is_no_traceback(tmp_path, rate):
    data = write(tmp_path, {"a": GOOD, "b": GOOD}, sampling_rate=rate)
    try:
        filter_data(data, False, 0.4, 20, 25)
    except DataError as error:
        assert "\n" not in str(error)


def test_what_is_safe_is_repaired_and_what_is_not_stops(tmp_path):
    write(tmp_path, {"a": GOOD | {"text.surface": "e\u0301\u200b"}, "b": GOOD})
    kept, dropped, repaired = filter_data(tmp_path, True, 0.4, 20, 25)
    assert kept["text.surface"]["s-a"] == "é" and dropped == {}
    assert [finding.check for finding in repaired] == ["control", "nfc"]
    (tmp_path / "corpus.yaml").write_text("corpus: c\n")
    with pytest.raises(DataError, match=r"corpus.yaml: error: .*no language.*and 3 more"):
        filter_data(tmp_path, True, 0.4, 20, 25)


def test_command_line(tmp_path):
    write(tmp_path / "in", faulty())
    command = ["l2dual.bin.filter", "--data", tmp_path / "in", "--split", "test", "--out", tmp_path / "out"]
    failed = python_m(*command)
    assert "--train_config --frames_per_second is required" in failed.stderr
    done = python_m(*command, "--frames_per_second", "25")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "test: kept 5 of 8 utterances" and len(lines) == 4
    assert all(line.startswith("test: dropped 1: ") for line in lines[1:])
    assert len((tmp_path / "out/utts").read_text().splitlines()) == 5
    assert "s-very-short wav.scp: the audio is shorter" in (tmp_path / "out/dropped").read_text()
    assert len(DataDir.load(tmp_path / "out")["wav.scp"]) == 5


def test_an_l1_is_left_out_of_training_and_alone_in_the_test(tmp_path):
    l1s = {"one": "japanese", "two": "korean", "three": "korean"}
    path = write(tmp_path, {name: GOOD | {"utt2l1": l1} for name, l1 in l1s.items()})
    for train, left in ((True, {"one"}), (False, {"two", "three"})):
        kept, dropped, _ = filter_data(path, train, 0.3, 20, 25, "korean")
        assert names(kept["wav.scp"]) == left and names(dropped) == set(l1s) - left
        assert all("first language" in reason for reason in dropped.values())
    with pytest.raises(DataError, match="language thai: use japanese, korean"):
        filter_data(path, True, 0.3, 20, 25, "thai")
    path = path.rename(path.with_name("valid"))
    assert len(filter_data(path, True, 0.3, 20, 25, "thai")[0]["wav.scp"]) == 3  # nobody of it is to be left out
