"""Files as macOS writes them: names in parts, and files that are no data."""

import unicodedata
from pathlib import Path

import pytest

from l2dual.corpora import Request
from l2dual.corpora.common.disk import as_on_disk, files
from l2dual.corpora.table import prepare
from tests.mac import from_a_mac

WHOLE = "한국어/김서연 é.wav"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "한국어").mkdir()
    (tmp_path / WHOLE).write_bytes(b"here")
    return tmp_path


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("mac", [True, False])
def test_a_file_is_found_in_whatever_form_its_name_is(folder, form, mac):
    if mac:
        from_a_mac(folder)
    asked = folder / unicodedata.normalize(form, WHOLE)
    assert as_on_disk(asked).read_bytes() == b"here"
    [found] = files(folder, unicodedata.normalize(form, "한국어/*.wav"))
    assert found.read_bytes() == b"here"


def test_each_folder_may_be_in_another_form(folder):
    (folder / "한국어").rename(folder / unicodedata.normalize("NFD", "한국어"))
    assert as_on_disk(folder / WHOLE).read_bytes() == b"here"
    absent = folder / "한국어/없다.wav"
    assert as_on_disk(absent) == absent


def test_white_space_and_mixed_forms_are_no_difference(folder):
    mixed = unicodedata.normalize("NFD", "한") + "국  어.wav"
    (folder / mixed).touch()
    assert as_on_disk(folder / "한국 어.wav") == folder / mixed
    odd = [folder / ("a" * 300), folder / "a\0b", folder / "한국어" / "x" / "y"]
    assert [as_on_disk(path) for path in odd] == odd


def test_relative_paths_are_found(folder, monkeypatch):
    monkeypatch.chdir(from_a_mac(folder))
    assert as_on_disk(Path(WHOLE)).read_bytes() == b"here"


def test_what_macos_leaves_is_no_data(folder):
    from_a_mac(folder)
    (folder / "__MACOSX" / "a.wav").touch()
    found = [path.name for path in files(folder, "**/*") if path.is_file()]
    assert found == [unicodedata.normalize("NFD", "김서연 é.wav")]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_may_name_a_file_in_another_form(folder, form):
    audio, table = unicodedata.normalize(form, WHOLE), from_a_mac(folder) / "t.csv"
    rows = [f"{audio},{split},{split},가요\n" for split in ("train", "valid", "test")]
    table.write_text("audio,speaker,split,meaning\n" + "".join(rows), encoding="utf-8")
    utterances, _ = prepare(table, Request("ko", "heard"))
    assert [utterance.audio.read_bytes() for utterance in utterances] == [b"here"] * 3
