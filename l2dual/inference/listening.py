"""A recording as a model takes it: one channel, its sampling rate, and not too much of it at once."""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr

from l2dual.data.recording import Sound, Unusable, check, read, seconds_of
from l2dual.errors import DataError

LONGEST = 3600  # seconds of a recording
QUIET = 1e-3  # peak (-60 dB) of what counts as silence
ALONE = 20.0  # seconds that a model takes at once: it was trained on no longer utterances
RATE = 16000  # Hz that the detector of voices takes

Recording = str | Path | tuple[np.ndarray, int]


class Heard(NamedTuple):
    """A recording that can be recognized."""

    name: str
    samples: np.ndarray  # (T,), float32 in [-1, 1], at the model's rate
    seconds: float
    parts: tuple[tuple[int, int], ...] = ()  # what of it is recognized at once: first sample and end of each


def listen(recording: Recording, rate: int, name: str = "") -> Heard:
    """Read a recording, mix it to one channel and resample it.

    Args:
        recording: a file that soundfile or PyAV reads (of a video its sound), or samples, (T,) or
            (T, C), and their rate in Hz.
        rate: Hz of the result.
        name: of an array.

    Raises:
        DataError: it can't be read, is empty, silent, too long, or sampled at less than ``rate``.
    """
    named = str(recording) if isinstance(recording, str | Path) else name or "samples"
    try:
        samples, found = _samples(recording)
        return _heard(named, samples, found, rate)
    except Unusable as error:
        raise DataError(f"{named}: {error.why}: {error.remedy}") from error


def _samples(recording: Recording) -> tuple[np.ndarray, int]:
    """Samples (T, C) and their rate."""
    if isinstance(recording, str | Path):
        if not Path(recording).is_file():
            kind = "a directory" if Path(recording).is_dir() else "no such file"
            raise Unusable(kind, "check the name")
        if not Path(recording).stat().st_size:
            raise Unusable("an empty file", "record it again")
        _check_length(seconds_of(Path(recording)))
        sound = read(str(recording))
        if sound.rate is None:
            raise Unusable("it does not say its sampling rate", "give a recording, as WAV")
        return sound.samples, sound.rate
    samples, rate = np.asarray(recording[0]), recording[1]
    if not rate > 0:
        raise Unusable(f"a sampling rate of {rate} Hz", "give the rate in Hz")
    shape, form = samples.shape, samples.dtype
    if form.kind == "i":
        samples = samples / np.iinfo(form).max
    elif form.kind == "u":
        samples = samples / 2 ** (8 * form.itemsize - 1) - 1
    if samples.ndim not in (1, 2) or samples.dtype.kind != "f" or (samples.ndim == 2 and 0 < shape[0] < shape[1]):
        raise Unusable(f"an array {shape} of {form}", "give samples (T,) or (T, C)")
    samples = np.atleast_2d(samples.astype(np.float32).T).T
    _check_length(len(samples) / rate)
    check(Sound(samples, rate, ("ARRAY", "")))
    return samples, rate


def _heard(name: str, samples: np.ndarray, found: int, rate: int) -> Heard:
    _check_length(len(samples) / found)
    if found < rate:
        raise Unusable(f"sampled at {found} Hz, the model needs {rate}", "record it again at a higher rate")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if np.abs(mono).max() < QUIET:
        raise Unusable("silence", "check the microphone, and record it again")
    if found != rate:
        mono = soxr.resample(mono, found, rate)
    return Heard(name, np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False), len(samples) / found)


def _check_length(seconds: float | None) -> None:
    if seconds is not None and seconds > LONGEST:
        raise Unusable(f"{seconds / 60:.0f} minutes long", f"cut it into parts of {LONGEST // 60} minutes at most")


def pieces(samples: np.ndarray, rate: int, longest: float = ALONE) -> tuple[tuple[int, int], ...]:
    """Where to cut speech (T,), so that every piece can be recognized at once: first sample and end of each.

    A recording of ``longest`` seconds is one piece. A longer one is cut where silero-vad hears no voice, and
    what has none is left out.
    """
    if len(samples) <= longest * rate:
        return ((0, len(samples)),)
    found: list[list[int]] = []
    for start, end in _voices(samples, rate, longest):
        near = found and end - found[-1][0] <= longest * rate
        if near and start - found[-1][1] < rate:  # a shorter pause is within a sentence
            found[-1][1] = end
        else:
            found.append([start, end])
    return tuple((start, end) for start, end in found)


def _voices(samples: np.ndarray, rate: int, longest: float) -> Sequence[tuple[int, int]]:
    """Stretches of voice, each shorter than ``longest`` seconds: first sample and end."""
    import torch
    from silero_vad import get_speech_timestamps

    wave = samples if rate == RATE else soxr.resample(samples, rate, RATE)
    options = {"max_speech_duration_s": longest - 1, "speech_pad_ms": 200, "min_silence_duration_ms": 300}
    found = get_speech_timestamps(torch.from_numpy(wave), _detector(), sampling_rate=RATE, **options)
    scale = rate / RATE
    return [(int(one["start"] * scale), min(len(samples), int(one["end"] * scale))) for one in found]


@cache
def _detector() -> Any:
    from silero_vad import load_silero_vad

    with warnings.catch_warnings(action="ignore"):  # of torch, that it will read such files in another way
        return load_silero_vad()
