"""The command that gets Whisper base; the download itself is not tested."""

import pytest

from l2dual.bin import get_whisper
from l2dual.errors import UsageError
from l2dual.models import fetch_whisper


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch_whisper, "fetch", lambda folder: (folder / "..").resolve().joinpath("got").touch())

    def run(out):
        monkeypatch.setattr("sys.argv", ["get_whisper", "--out", str(out)])
        get_whisper.main()
        return (tmp_path / "got").exists()

    return run


def test_a_directory_with_something_else_stays(call, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(UsageError, match="mine: is there, and no Whisper: give a new directory"):
        call(tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").exists() and not (tmp_path / "got").exists()


def test_what_is_there_is_not_got_again(call, tmp_path, capsys):
    assert call(tmp_path / "new")
    (tmp_path / "got").unlink()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/tokenizer.json").touch()
    assert not call(tmp_path / "here") and "there already" in capsys.readouterr().out
