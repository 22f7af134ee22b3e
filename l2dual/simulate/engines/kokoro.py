"""Kokoro-82M (StyleTTS 2, int8 ONNX): IPA in, samples out. Optional; tools/get_kokoro.py gets it.

It has no pitch of its own: ``pitch`` is how fast its samples are played. A step moves the
fundamental and the formants, as a shorter or longer vocal tract would, and the tempo, by half a
per cent. It has no noise either: ``seed`` changes nothing. Its voices are of nine languages but not
Korean; any voice says any phonemes, with an accent. docs/simulator.md says how well.
"""

import hashlib
import json
import os
import re
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

import l2dual
from l2dual.errors import UsageError
from l2dual.simulate.ipa import ipa

CHECKOUT = Path(l2dual.__file__).parents[1]
FOLDER = Path(os.environ.get("L2DUAL_KOKORO") or CHECKOUT / ".tools" / "kokoro")
RATE = 24000
MAX_SYMBOLS = 509  # of an utterance: the rows of a voice, the first one for none
WORDS_PER_MINUTE = 190  # at which espeak-ng takes as long as this at speed 1, in both languages
SILENCE, MARGIN = 0.01, 0.05  # of the peak; seconds kept around the speech
# IPA to the symbols that the model was trained with; longer ones first. Its stops are voiced,
# voiceless or aspirated: Korean's lax stops become voiced, the tense ones voiceless.
SYMBOLS = {
    **{"t͈ɕ": "ʨ", "tɕʰ": "ʨʰ", "tɕ": "ʥ", "dʑ": "ʥ", "tʃ": "ʧ", "dʒ": "ʤ"},
    **{"k͈": "k", "t͈": "t", "p͈": "p", "s͈": "sː", "k̚": "k", "t̚": "t", "p̚": "p"},
    **{"kʰ": "kʰ", "tʰ": "tʰ", "pʰ": "pʰ"},
    **{"eɪ": "A", "aɪ": "I", "oʊ": "O", "aʊ": "W", "ɔɪ": "Y", "ɝ": "ɜɹ", "ɚ": "əɹ"},
}
LAX = {"k": "ɡ", "t": "d", "p": "b"}


def say(
    language: str,
    speech: object,
    voice: str,
    words_per_minute: float = 120,
    pitch: float = 50,
    seed: int = 1,
) -> tuple[np.ndarray, int]:
    """See l2dual.simulate.engines; ``voice`` is one of voices()."""
    symbols = to_symbols(language, ipa(language, speech))
    if len(symbols) > MAX_SYMBOLS:
        raise UsageError(
            f"Kokoro says at most {MAX_SYMBOLS} phonemes at once, but this has {len(symbols)}:"
            f" {symbols[:40]}...; give it a shorter text"
        )
    samples = _synthesize(symbols, voice, words_per_minute / WORDS_PER_MINUTE)
    return samples, round(RATE * 1.005 ** (pitch - 50))


@lru_cache(maxsize=2)  # the audible gate asks for one thing at several pitches
def _synthesize(symbols: str, voice: str, speed: float) -> np.ndarray:
    [samples] = _session().run(
        None,
        {
            "tokens": np.array([[0, *(_vocabulary()[symbol] for symbol in symbols), 0]]),
            "style": _style(voice)[[len(symbols)]],
            "speed": np.array([speed], dtype=np.float32),
        },
    )
    return _trimmed(samples)


def to_symbols(language: str, phonemes: str) -> str:
    """The model's symbols for ``phonemes``, in IPA."""
    table = SYMBOLS | LAX if language == "ko" else SYMBOLS
    return re.sub("|".join(table), lambda match: table[match[0]], phonemes)


def voices(language: str) -> tuple[str, ...]:
    """Names of the voices: language and sex, then a name. All of them say every language."""
    return tuple(sorted(path.stem for path in _file("voices").glob("*.bin")))


@cache
def version() -> str:
    """Name and version of the engine, with the beginning of its weights' sha256."""
    digest = hashlib.sha256(_file("model.onnx").read_bytes()).hexdigest()
    return f"Kokoro-82M 1.0 int8 {digest[:12]}, onnxruntime {_onnxruntime().__version__}"


def _trimmed(samples: np.ndarray) -> np.ndarray:
    """``samples`` (T,) without the silence at both ends."""
    [loud] = np.nonzero(np.abs(samples) > SILENCE * np.abs(samples).max())
    margin = round(MARGIN * RATE)
    return np.clip(samples[max(0, loud[0] - margin) : loud[-1] + margin], -1, 1 - 2**-15)


@cache
def _session():
    """The model; one thread, so that jobs do not compete and sums have one order."""
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        _file("model.onnx"), options, providers=["CPUExecutionProvider"]
    )


@cache
def _vocabulary() -> dict[str, int]:
    return json.loads(_file("vocabulary.json").read_text(encoding="utf-8"))


@cache
def _style(voice: str) -> np.ndarray:
    """The voice's styles (510, 256), by the number of symbols."""
    path = _file("voices") / f"{voice}.bin"
    if not path.is_file():
        raise UsageError(f"Kokoro has no voice '{voice}'; see the files in {path.parent}")
    return np.fromfile(path, dtype="<f4").reshape(-1, 256)


def _file(name: str) -> Path:
    if not (FOLDER / name).exists():
        raise UsageError(
            f"Kokoro is missing ({FOLDER / name}): run python tools/get_kokoro.py of the checkout,"
            " and let L2DUAL_KOKORO name another folder that it lies in"
        )
    return FOLDER / name


def _onnxruntime():
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("Kokoro needs onnxruntime; python tools/get_kokoro.py gets it") from None
    return onnxruntime
