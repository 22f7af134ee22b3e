"""The commands: l2dual transcribe, l2dual models; and the examples of docs/transcribe.md."""

import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from l2dual.bin import models, transcribe
from l2dual.errors import DataError, UsageError
from l2dual.inference import shelf
from l2dual.inference.formats import FORMATS
from tests.checkout import ROOT
from tests.systems import RATE

PAGE = (ROOT / "docs/transcribe.md").read_text(encoding="utf-8")


@pytest.fixture
def command(archive, monkeypatch, capsys):
    """Call a command with words; what it printed, its errors, and its status."""

    def call(words, main=transcribe.main):
        monkeypatch.setattr(sys, "argv", ["l2dual", *(word.replace("MODEL", str(archive)) for word in words.split())])
        try:
            main()
            status = 0
        except SystemExit as error:
            status = error.code
        return *capsys.readouterr(), status

    return call


@pytest.fixture
def shelves(archive, tmp_path, monkeypatch):
    """The archive as the only model that is there, in a cache."""
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "none")
    monkeypatch.setattr(shelf, "RECIPES", tmp_path / "egs2")
    monkeypatch.setenv("L2DUAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    shutil.copy(archive, tmp_path / "cache/mine.zip")
    return tmp_path


def test_a_bad_file_does_not_end_the_others(command, folder, model, monkeypatch):
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    monkeypatch.setenv("COLUMNS", "1000")
    said, wrong, status = command("--model MODEL none.wav recording.wav silent.wav")
    found = model("recording.wav")
    lines = said.splitlines()
    assert status == 1 and lines[0] == "recording.wav (1.5 s)" and len(lines) == 4
    assert re.sub("[ -]", "", lines[1]) == f"surface{found.surface.text}".replace(" ", "")
    assert re.sub("[ -]", "", lines[2]) == f"meaning{found.meaning.text}".replace(" ", "")
    assert wrong.splitlines() == [
        "l2dual: error: none.wav: no such file: check the name",
        "l2dual: error: silent.wav: nothing but zeros: replace or remove it",
        "1 of 3 recordings transcribed; not: none.wav, silent.wav",
    ]


def test_a_directory_stands_for_its_recordings(command, folder):
    (folder / "in").mkdir()
    for name in ("b.wav", "a.WAV"):
        shutil.copy("recording.wav", folder / "in" / name)
    (folder / "in/notes.txt").write_text("no sound")
    said, _, status = command("--model MODEL --format tsv in")
    assert status == 0 and [line.split("\t")[0] for line in said.splitlines()] == ["file", "in/a.WAV", "in/b.wav"]
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no recordings in it"):
        command("--model MODEL empty")


@pytest.mark.parametrize("kind", FORMATS)
def test_each_recording_has_a_file(command, folder, kind):
    suffix = {"text": "txt", "textgrid": "TextGrid"}.get(kind, kind)
    (folder / "in").mkdir()
    shutil.copy("recording.wav", "in/recording.wav")
    assert command(f"--model MODEL --format {kind} --out out recording.wav in")[::2] == ("", 0)
    assert sorted(path.name for path in Path("out").iterdir()) == [f"recording.{suffix}", f"recording~2.{suffix}"]
    one, other = (Path("out", f"recording{end}.{suffix}").read_text() for end in ("", "~2"))
    assert one.replace("in/", "") == other.replace("in/", "") and len(one) > 20


def test_a_file_is_not_written_over_that_of_another(command, folder):
    (folder / "in").mkdir()
    shutil.copy("recording.wav", "recording~2.wav")
    shutil.copy("recording.wav", "in/recording.wav")
    command("--model MODEL --out out recording.wav in recording~2.wav")
    assert sorted(path.stem for path in Path("out").iterdir()) == ["recording", "recording~2", "recording~3"]


def test_a_textgrid_is_of_one_recording(command, folder):
    assert command("--model MODEL --format textgrid recording.wav")[0].startswith("File type")
    with pytest.raises(UsageError, match="give --out DIR"):
        command("--model MODEL --format srt recording.wav recording.wav")


def test_many_files_show_their_progress(command, folder, monkeypatch):
    monkeypatch.setattr(transcribe, "PATIENCE", 0.0)
    monkeypatch.setattr(transcribe, "TOGETHER", 2.0)
    _, wrong, _ = command("--model MODEL recording.wav recording.wav recording.wav")
    assert re.fullmatch(r"progress: 2 of 3 files, \d+ s to go\n", wrong)


def test_models_are_found_by_name_and_language(shelves, command, folder):
    assert "surface  " in command("recording.wav")[0] and "surface  " in command("--model mine recording.wav")[0]
    with pytest.raises(DataError, match="no Korean model here: give --model, or train one"):
        command("--language ko recording.wav")
    run = shelves / "egs2/l2_en/exp/mini/do.seed1"
    run.mkdir(parents=True)
    (run / "model.zip").write_text("no archive")
    with zipfile.ZipFile(shelves / "cache/old.zip", "w") as old:
        old.writestr("run.yaml", "language: en")
    with pytest.raises(DataError, match="old.zip: not a model.zip .its run.yaml lacks what it needs"):
        shelf.facts_of(shelves / "cache/old.zip")
    (shelves / "cache/old.zip").unlink()
    assert list(shelf.models()) == ["mine", "l2_en/mini/do.seed1"]
    said, _, status = command("", models.main)
    assert status == 0 and said.startswith("mine\n    English, surface and meaning, surface as heard\n")
    assert "    not scored\n" in said and "not a model.zip" in " ".join(said.split())
    assert said.endswith("None of them is for grading, hiring, admitting or diagnosing people.\n")


def test_the_examples_of_the_page(shelves, command, folder, archive, capsys):
    shutil.copy(archive, "model.zip")
    Path("recordings").mkdir()
    shutil.copy("recording.wav", "recordings/one.wav")
    lines = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    for line in lines:
        program, name, *words = shlex.split(line)
        assert program == "l2dual"
        said, _, status = command(" ".join(words), {"models": models.main, "transcribe": transcribe.main}[name])
        assert status == 0 and (said or "--out" in words)
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example, {})
    assert " | " in capsys.readouterr().out
