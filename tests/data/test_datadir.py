"""Data directories: what is written is read, and faults are named."""

from pathlib import Path

import pytest
from espnet2.fileio.read_text import read_2columns_text

from l2dual.data.datadir import DataDir, read_table, write_datadir
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError

INFO = {"corpus": "c", "language": "ko", "surface_unit": "char", "meaning_unit": "char"}


def utterance(name: str, speaker: str = "s1", **changes) -> Utterance:
    fields = dict(split="train", audio=Path("a dir/a.wav"), surface="생크", meaning="생각")
    fields |= dict(canonical="생각", l1="english") | changes
    return Utterance(id=name, speaker=speaker, **fields)


def test_what_is_written_is_read(tmp_path):
    write_datadir(tmp_path, [utterance("s1-b"), utterance("s1-a", surface="a b")], INFO)
    data = DataDir.load(tmp_path)
    assert list(data["wav.scp"]) == ["s1-a", "s1-b"]
    assert data["wav.scp"]["s1-a"] == "a dir/a.wav"
    assert data["text.surface"] == {"s1-a": "a b", "s1-b": "생크"}
    assert data["utt2l1"]["s1-b"] == "english"
    assert data.info == INFO


def test_a_subset_keeps_all_tables_alike(tmp_path):
    write_datadir(tmp_path, [utterance(f"s1-{i}") for i in range(5)], INFO)
    DataDir.load(tmp_path).subset(["s1-1", "s1-3"]).write(tmp_path / "part")
    assert set(DataDir.load(tmp_path / "part")["text.meaning"]) == {"s1-1", "s1-3"}


@pytest.mark.parametrize(
    "utterances, fault",
    [
        ([utterance("s1-a"), utterance("s1-a")], "two utterances have the id s1-a"),
        ([utterance("x-a")], "x-a does not begin with its speaker s1"),
        ([], "no utterance"),
    ],
)
def test_bad_utterances_are_named(tmp_path, utterances, fault):
    with pytest.raises(DataError, match=fault):
        write_datadir(tmp_path, utterances, INFO)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["text.surface", "text.meaning", "utt2spk"])
def test_an_utterance_without_a_text_is_named(tmp_path, name):
    write_datadir(tmp_path, [utterance("s1-a"), utterance("s1-b")], INFO)
    lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
    (tmp_path / name).write_text(lines[0] + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}: utterance s1-b is missing") as error:
        DataDir.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, fault",
    [("a 1\na 2\n", "line 2: utterance a is a duplicate"), ("a 1\n\n", "line 2: the line is blank")],
)
def test_bad_tables_are_named(tmp_path, content, fault):
    (tmp_path / "t").write_text(content)
    with pytest.raises(DataError, match=fault):
        read_table(tmp_path / "t")


def test_a_line_ends_and_a_field_begins_where_espnet_says(tmp_path):
    (tmp_path / "t").write_text("a one\u2028two\nb\tthree  four\nc\n", encoding="utf-8")
    expected = {"a": "one\u2028two", "b": "three  four", "c": ""}
    assert read_table(tmp_path / "t") == read_2columns_text(tmp_path / "t") == expected


def test_a_table_in_another_encoding_is_named(tmp_path):
    (tmp_path / "t").write_bytes("a 생각".encode("euc-kr"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_table(tmp_path / "t")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file"):
        read_table(tmp_path / "nowhere")
