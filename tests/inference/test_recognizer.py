"""DualSpeech2Text: what stage 9 gives, with times, from any kind of recording."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from l2dual import DualSpeech2Text
from l2dual.bin import decode
from l2dual.data.datadir import read_table
from l2dual.data.recording import read
from l2dual.errors import DataError, UsageError
from l2dual.inference import listening
from tests.checkout import ROOT
from tests.recordings import compress, noise
from tests.systems import RATE, make_data, make_run

LOADED = """
import sys, l2dual
assert "torch" not in sys.modules
l2dual.DualSpeech2Text.from_pretrained(sys.argv[1])
print(*sys.modules)
"""


def test_hypotheses_are_those_of_stage_9(run, root, tmp_path, monkeypatch):
    data = make_data(tmp_path / "data", n_speakers=2, per_speaker=2)
    words = ["decode", "--exp", run, "--data", data, "--config", root / "conf/decode.yaml", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    decode.main()
    places = read_table(data / "wav.scp")
    found = DualSpeech2Text.from_pretrained(run)(list(places.values()))
    for output in ("surface", "meaning"):
        expected = read_table(tmp_path / "out" / f"text.{output}")
        assert any(expected.values())
        assert [getattr(one, output).text for one in found] == [expected[utt] for utt in places]


def test_a_recording_in_any_form_is_the_same(model, folder):
    samples, _ = soundfile.read("recording.wav", dtype="int16")
    stereo = np.stack([samples, samples], 1) / 32768
    whole, *others = model(["recording.wav", (samples, RATE), (stereo, RATE)])
    assert whole.name == "recording.wav" and whole.seconds == 1.5 and whole.surface.text
    for one in others:
        assert (one.surface.text, one.meaning.text) == (whole.surface.text, whole.meaning.text)
    assert [one.name for one in others] == ["1", "2"]


def test_unsigned_samples_are_centred(folder):
    samples, _ = soundfile.read("recording.wav", dtype="int16")
    eight = (samples // 256 + 128).astype(np.uint8)
    one, other = (listening.listen((each, RATE), RATE).samples for each in (samples, eight))
    assert np.abs(one - other).max() < 0.01


def test_tokens_are_the_text_and_have_times(model, folder):
    found = model("recording.wav", n_best=3)
    for said in (found.surface, found.meaning):
        assert "".join(token.text for token in said.tokens) == said.text
        times = [time for token in said.tokens for time in (token.start, token.end)]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= 1.5
        assert all(0 < token.confidence <= 1 for token in said.tokens)
        assert len(said.nbest) == 3 and said.nbest[0] == (said.text, said.score)
    steps = found.alignment
    assert "".join(step.said for step in steps) == found.surface.text
    assert "".join(step.due for step in steps) == found.meaning.text


def test_posteriors_are_log_probabilities_of_every_frame(model, folder):
    for output, log_probs in model.posteriors("recording.wav").items():
        assert log_probs.shape[1] == len(model.token_lists[output])
        torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(len(log_probs)))
        end = model.clock.start + len(log_probs) * model.clock.step
        assert 1.4 < end < 1.5 and model.clock.step == 0.04


def test_a_model_with_one_output(tmp_path, folder):
    found = DualSpeech2Text.from_pretrained(make_run(tmp_path / "so", "so_meaning", 1))("recording.wav")
    assert found.surface is None and found.meaning.text and found.differences == found.alignment == ()


def test_without_ctc_there_are_no_times(model, folder, monkeypatch):
    monkeypatch.setitem(model.model._modules, "ctcs", torch.nn.ModuleDict())
    assert {token.start for token in model("recording.wav").surface.tokens} == {None}


@pytest.fixture(scope="module")
def voice():
    """Somebody who speaks."""
    sound = read(str(ROOT / "docs/corpora/examples/audio/mina.opus"))
    return listening.listen((sound.samples, sound.rate), RATE).samples


@pytest.mark.slow
def test_what_is_long_is_cut_at_pauses(model, voice):
    pause = np.zeros(3 * RATE, np.float32)
    number = int(25 * RATE / len(voice))
    long = np.concatenate([voice, pause] * number)
    cuts = listening.pieces(long, RATE)
    assert len(cuts) >= number and all(end - start <= listening.ALONE * RATE for start, end in cuts)
    silent = [(i + 1) * (len(voice) + len(pause)) - len(pause) // 2 for i in range(number)]
    assert not [place for place in silent if any(start < place < end for start, end in cuts)]
    found = model((long, RATE))
    start, end = cuts[-1]
    last = model((long[start:end], RATE))
    assert found.surface.text.endswith(f" {last.surface.text}")
    assert "".join(token.text for token in found.surface.tokens) == found.surface.text
    shift = found.surface.tokens[-1].start - last.surface.tokens[-1].start
    assert shift == pytest.approx(start / RATE, abs=0.002)
    assert "".join(step.said for step in found.alignment) == found.surface.text
    texts = [found.surface.tokens[step.token].text for step in found.alignment if step.said]
    assert texts == [step.said for step in found.alignment if step.said]


@pytest.mark.slow
def test_no_trainer_is_imported(archive):
    command = [sys.executable, "-c", LOADED, str(archive)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    unwanted = ("espnet2.train.trainer", "espnet2.tasks", "tensorboard", "matplotlib", "sklearn", "torch._dynamo.utils")
    assert [name for name in unwanted if name in loaded] == []


def test_bad_options(archive):
    with pytest.raises(UsageError, match="unknown option beam"):
        DualSpeech2Text.from_pretrained(archive, beam=2)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device cuda: no GPU here: use cpu"):
            DualSpeech2Text.from_pretrained(archive, "cuda")


BAD = {
    "empty": (np.zeros(0), RATE, "no samples"),
    "silent": (np.zeros(RATE), RATE, "nothing but zeros"),
    "silent, of 8 bits": (np.full(RATE, 128, np.uint8), RATE, "nothing but zeros"),
    "channels first": (np.stack([noise(), noise()]), RATE, r"an array \(2, \d+\)"),
    "of another scale": (20000 * noise(), RATE, "where 1 is full scale"),
    "without a rate": (noise(), 0, "a sampling rate of 0 Hz"),
    "quiet": (0.002 * noise(), RATE, "silence"),
    "8 kHz": (noise(1.0, 8000), 8000, "sampled at 8000 Hz, the model needs 16000"),
    "short": (noise(0.03), RATE, "0.03 s long, too short"),
    "not finite": (np.full(RATE, np.nan), RATE, "not finite"),
    "of another shape": (np.zeros((2, 2, 2)), RATE, r"an array \(2, 2, 2\)"),
    "without a voice": (noise(25.0), RATE, "no voice in it"),
    "3 hours": (np.zeros(3 * 3600 * 16, np.float32), 16, "180 minutes long"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays(model, name):
    samples, rate, said = BAD[name]
    with pytest.raises(DataError, match=f"^0: .*{said}"):
        model([(samples, rate)])


def test_bad_files(model, folder):
    (folder / "nothing.wav").touch()
    compress(folder / "phone.m4a", "mp4", "aac", 48000)
    soundfile.write("long.wav", np.zeros(4000 * 16, np.int16), 16)
    said = {
        "none.wav": "none.wav: no such file: check the name",
        ".": ".: a directory: check the name",
        "nothing.wav": "nothing.wav: an empty file: record it again",
        "long.wav": "long.wav: 67 minutes long: cut it into parts of 60 minutes at most",
    }
    for name, words in said.items():
        with pytest.raises(DataError) as error:
            model(name)
        assert str(error.value) == words
    assert model("phone.m4a").seconds == pytest.approx(2.0, abs=0.1)
