import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from l2dual.corpora import Request, table
from l2dual.corpora.kaldi import prepare
from l2dual.data.datadir import write_datadir
from l2dual.errors import DataError

REQUEST = Request(language="en", convention="heard")


@pytest.fixture
def example(root, tmp_path):
    """A copy of the documented example."""
    shutil.copytree(root / "docs" / "corpora" / "examples", tmp_path / "examples")
    return tmp_path / "examples" / "kaldi"


def texts(utterances):
    return {(u.speaker, u.meaning, u.surface, u.canonical, u.l1, u.segment) for u in utterances}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_documented_example(example):
    utterances, info = prepare(example, REQUEST)
    ids = [f"{speaker}-0{n}" for speaker in ("kenji", "lucia", "mina") for n in (1, 2)]
    assert [u.id for u in utterances] == ids
    assert texts(utterances) == texts(table.prepare(example.parent / "learners.csv", REQUEST)[0])
    assert {u.split for u in utterances} == {"train", "valid", "test"}
    assert info["dropped"] == {} and info["left_out"] == {"audio without text": 0}
    assert utterances[0].facts == {"gender": "m"}
    assert all(soundfile.info(u.audio).duration > u.segment[1] for u in utterances)


def test_directories_named_by_split(example, tmp_path, monkeypatch):
    """As a Kaldi recipe has them; one recording an utterance, paths from where it runs."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.zeros(8000), 16000)
    for split, speaker in (("train", "x"), ("dev", "y"), ("test", "z")):
        path = tmp_path / "data" / split
        path.mkdir(parents=True)
        (path / "wav.scp").write_text("01\ta.wav\n02\ta.wav\n03\ta.wav\n")
        (path / "text").write_text("01 same words\n02 of all\n")
        (path / "utt2spk").write_text(f"01 {speaker}\n02 {speaker}\n03 {speaker}\n")
    utterances, info = prepare(tmp_path / "data", REQUEST)
    assert {(u.id, u.split) for u in utterances} == {
        (f"{speaker}-0{n}", split)
        for speaker, split in (("x", "train"), ("y", "valid"), ("z", "test"))
        for n in (1, 2)
    }
    assert {u.surface for u in utterances} == {None}
    assert info["splits"] == {"method": "as given"}
    assert info["overlap"]["train-test"] == {"speakers": 0, "prompts": 2, "utterances": 2}
    assert info["left_out"] == {"audio without text": 3}


def test_utt2split_and_utt2l1(example):
    splits = {"kenji": "train", "mina": "dev", "lucia": "test"}
    utts = [line.split()[0] for line in (example / "utt2spk").read_text().splitlines()]
    lines = (f"{utt} {splits[utt.split('-')[0]]}\n" for utt in utts)
    (example / "utt2split").write_text("".join(lines))
    (example / "utt2l1").write_text("".join(f"{utt} dutch\n" for utt in utts))
    utterances, _ = prepare(example, REQUEST)
    assert {(u.speaker, u.split, u.l1) for u in utterances} == {
        ("kenji", "train", "dutch"),
        ("mina", "valid", "dutch"),
        ("lucia", "test", "dutch"),
    }


def test_reads_what_l2dual_writes(example, tmp_path):
    utterances, info = prepare(example, REQUEST)
    for split in ("train", "valid", "test"):
        some = [u for u in utterances if u.split == split]
        write_datadir(tmp_path / "data" / split, some, info)
    again, _ = prepare(tmp_path / "data", REQUEST)
    assert sorted(again, key=lambda u: u.id) == utterances


def test_a_surface_that_l2dual_writes_is_no_meaning(example, tmp_path):
    utterances, info = prepare(example, REQUEST)
    some = [replace(u, meaning=None, split="test", canonical=u.surface) for u in utterances]
    write_datadir(tmp_path / "data/test", some, info)
    (tmp_path / "data/test/corpus.yaml").write_text("meaning: none")
    again, _ = prepare(tmp_path / "data", REQUEST)
    assert {u.meaning for u in again} == {None}
    (tmp_path / "data/test/corpus.yaml").unlink()  # a user's own: text is the meaning
    again, _ = prepare(tmp_path / "data", REQUEST)
    assert {u.meaning for u in again} == {u.surface for u in utterances}


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("wav.scp", "../audio/mina.opus", "sox a - |", r"utterance mina-01: 'sox a - \|': a command \(\|\)"),
        ("wav.scp", "mina.opus", "nina.opus", "utterance mina-01: no such audio file"),
        ("wav.scp", "mina ../", "nina ../", "wav.scp: mina is missing, but text.meaning needs it"),
        ("wav.scp", " ../audio/mina.opus", "", "wav.scp, line 3: no `<key> <value>`"),
        ("segments", "mina-01", "mina-03", "segments: mina-01 is missing"),
        ("segments", " 1.33", "", "segments: mina-01: no `<recording> <start> <end>`"),
        ("segments", "1.33", "-1", "utterance mina-01: start '0.05' and end '-1'"),
        ("utt2spk", "mina-01 mina", "mina-01 mina x", "spk2l1: mina x is missing"),
        ("utt2spk", "mina-01", "mina-09", "utt2spk: mina-01 is missing"),
        ("utt2spk", "mina-01", "kenji-01", "utt2spk, line 5: kenji-01 is a duplicate"),
        ("text.surface", "mina-01", "mina-09", "text.surface: mina-01 is missing"),
        ("spk2l1", "mina", "nina", "spk2l1: mina is missing"),
        ("text.meaning", "mina-01 i think so", "", "text.meaning, line 5: no `<key> <value>`"),
    ],
)
def test_bad_directories(example, file, old, new, message):
    edit(example / file, old, new)
    with pytest.raises(DataError, match=message) as caught:
        prepare(example, REQUEST)
    assert "\n" not in str(caught.value)


def test_commands_where_the_user_allows_them(example):
    command = "curl https://example.org//mina.wav |"
    edit(example / "wav.scp", "../audio/mina.opus", command)
    utterances, _ = prepare(example, replace(REQUEST, allow_pipes=True))
    assert {str(u.audio) for u in utterances if u.speaker == "mina"} == {command}


def test_missing_tables(example, tmp_path):
    (example / "utt2spk").unlink()
    with pytest.raises(DataError, match="utt2spk: missing; correct"):
        prepare(example, REQUEST)
    with pytest.raises(DataError, match="no wav.scp here, nor in train, valid and test below it"):
        prepare(tmp_path / "nothing", REQUEST)
