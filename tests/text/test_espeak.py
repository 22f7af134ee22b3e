"""espeak-ng in process."""

import ctypes.util
import subprocess
import sys

import numpy as np
import pytest

from l2dual.errors import UsageError
from l2dual.simulate import engines
from l2dual.text import espeak

THINK = "aI s'INk soU"


def pitch(samples: np.ndarray, rate: int) -> float:
    """Frequency in Hz of the autocorrelation's peak in the loudest 50 ms."""
    width = rate // 20
    starts = range(0, len(samples) - width, width // 2)
    frame = max((samples[i : i + width] for i in starts), key=lambda part: (part**2).sum())
    correlation = np.correlate(frame, frame, "full")[width - 1 :]
    lags = slice(rate // 250, rate // 60)
    return rate / (rate // 250 + correlation[lags].argmax())


def test_samples_are_speech():
    samples, rate = espeak.say_phonemes(THINK, "en-us")
    assert samples.dtype == np.float32 and rate == 22050
    assert 0.05 < np.abs(samples).max() < 1
    assert 0.5 < len(samples) / rate < 2


@pytest.mark.parametrize("voice", ["en-us", "en-us+f2", "en-us+Andrea", "en-us+klatt4", "ko+m3"])
def test_same_arguments_give_the_same_samples_whatever_came_before(voice):
    first = espeak.say_phonemes("s'ada", voice, seed=3)[0]
    espeak.say_phonemes("r'aIt l'aIt r'aIt", "en-us+f4", words_per_minute=133, pitch=77, seed=9)
    np.testing.assert_array_equal(espeak.say_phonemes("s'ada", voice, seed=3)[0], first)


def test_other_phonemes_and_voices_sound_other():
    think, sink = (espeak.say_phonemes(p, "en-us")[0] for p in ("T'INk", "s'INk"))
    assert len(think) != len(sink) or not np.array_equal(think, sink)
    assert not np.array_equal(espeak.say_phonemes("T'INk", "en-us+f2")[0][:5000], think[:5000])


def test_rate_and_pitch_are_obeyed():
    slow, fast = (espeak.say_phonemes(THINK, "en-us", words_per_minute=w)[0] for w in (90, 140))
    assert len(slow) > 1.2 * len(fast)
    low, high = (pitch(*espeak.say_phonemes("'A:", "en-us", pitch=p)) for p in (20, 80))
    assert high > 1.2 * low


@pytest.mark.parametrize("voice", ["en-us+nobody", "xx-nowhere"])
def test_unknown_voice_is_named(voice):
    with pytest.raises(UsageError, match=f"'{voice}'".replace("+", r"\+")):
        espeak.say_phonemes(THINK, voice)


def test_nothing_said_is_an_error():
    with pytest.raises(UsageError, match="says nothing"):
        espeak.say_phonemes("", "en-us")


def test_resampling_keeps_duration_and_frequency():
    tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)
    new = engines.resample(tone, 22050)
    assert len(new) == 16000 and new.dtype == np.float32
    assert np.abs(np.fft.rfft(new)).argmax() == 440


def test_text_to_phonemes():
    assert espeak.text_to_phonemes("think, sink", "en-us").split() == ["T'INk", "s'INk"]


def test_version_and_variants():
    assert espeak.version().startswith("espeak-ng 1.")
    assert {"f2", "m3"} <= set(espeak.variants())


SYSTEM = """
import sys
sys.modules["espeakng_loader"] = None  # as if it were not installed
from l2dual.text import espeak
assert espeak._paths()[1] is None and "f2" in espeak.variants(), espeak._paths()
for voice in ("en-us+f2", "en-us+klatt4", "ko+m3"):
    first, rate = espeak.say_phonemes("s'ada", voice, seed=3)
    espeak.say_phonemes("r'aIt l'aIt", "en-us+f4", seed=9)
    again, _ = espeak.say_phonemes("s'ada", voice, seed=3)
    assert rate == 22050 and 0.05 < abs(first).max() < 1 and (first == again).all(), voice
assert espeak.text_to_phonemes("think", "en-us").split() == ["T'INk"]
print(espeak.version())
"""


def test_the_systems_library_serves_where_the_package_is_missing():
    name = ctypes.util.find_library("espeak-ng")
    if not name:
        pytest.skip("the system has no espeak-ng: apt-get install libespeak-ng1")
    done = subprocess.run([sys.executable, "-c", SYSTEM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("espeak-ng 1.")
