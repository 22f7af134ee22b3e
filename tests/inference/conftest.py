"""One small model, as stage 8 leaves it and packed, and recordings for it."""

import numpy as np
import pytest
import soundfile

from l2dual.inference.packing import pack
from tests.recordings import noise
from tests.systems import RATE, make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("recipe") / "do.seed1", "do", 1)


@pytest.fixture(scope="session")
def archive(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "model.zip"
    pack(run, path)
    return path


@pytest.fixture(scope="session")
def model(archive):
    from l2dual import DualSpeech2Text

    return DualSpeech2Text.from_pretrained(archive)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a recording.wav."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("recording.wav", noise(1.5) * np.linspace(0, 3, int(1.5 * RATE)), RATE)
    return tmp_path
