"""The command l2dual feedback, with a small packed model."""

import json
import sys

import numpy as np
import pytest
import soundfile

from l2dual.bin import feedback
from l2dual.errors import DataError, UsageError
from tests.systems import RATE


@pytest.fixture
def command(archive, folder, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["l2dual feedback", "recording.wav", "--model", str(archive), *words])
        feedback.main()
        return capsys.readouterr().out

    return call


def test_feedback_in_three_forms(command, folder):
    lines = command("--text", "Cab, abba!").splitlines()
    assert lines[0] == "recording.wav  1.5 s" and lines[2].split()[:3] == ["meant", "cab", "abba"]
    record = json.loads(command("--text", "cab abba", "--format", "json"))
    assert [word["text"] for word in record["words"]] == ["cab", "abba"] and record["prompt_is_given"]
    said = command("--text", "cab abba", "--format", "html", "--feedback_language", "ko", "--out", "a.html")
    page = (folder / "a.html").read_text(encoding="utf-8")
    assert said == "wrote a.html\n" and page.startswith("<!doctype html>") and "발음 도움말" in page


@pytest.mark.parametrize(
    "text, error, why",
    [
        (" ", UsageError, "--text is empty"),
        ("!?", UsageError, "the text is empty"),
        ("떡을 먹어요", UsageError, "is not English, the model's language"),
        ("cab " * 40, DataError, "recording.wav: the prompt is too long for the recording"),
        ("zebra", DataError, "recording.wav: the prompt can't be scored: the model does not know e, r"),
    ],
)
def test_texts_that_are_refused(command, text, error, why):
    with pytest.raises(error, match=why):
        command("--text", text)


def test_recordings_that_are_refused(command, folder):
    for samples, why in ((np.zeros(0), "no samples|empty"), (np.zeros(RATE), "nothing but zeros")):
        soundfile.write("recording.wav", samples, RATE)
        with pytest.raises(DataError, match=why):
            command("--text", "cab")
