"""espeak-ng in this process: phoneme mnemonics in, samples out.

The library and its data come from the package `espeakng_loader`, else from the system. espeak-ng
keeps state between utterances (pitch flutter, noise) that none of its functions resets. So every
call here loads the library afresh (a quarter of a millisecond): the same arguments give the same
samples, whatever was said before.
"""

import _ctypes
import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from l2dual.errors import UsageError

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: the callback runs inside espeak_Synth, nothing is played
CHARS_UTF8, PHONEMES = 0x1, 0x100
RATE, PITCH = 1, 3  # espeak_PARAMETER
CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def say_phonemes(
    phonemes: str, voice: str, words_per_minute: int = 120, pitch: int = 50, seed: int = 1
) -> tuple[np.ndarray, int]:
    """Samples (T,), float32 in [-1, 1), and their rate in Hz, of ``phonemes`` said by ``voice``.

    ``phonemes``: espeak-ng mnemonics, words separated by spaces, without the brackets.
    ``voice``: a voice or voice and variant, "en-us+f2". ``words_per_minute``: 80-450.
    ``pitch``: 0-100, 50 is the voice's own. ``seed`` is that of breath and other noise.
    Raises UsageError for an unknown voice or when nothing was spoken.
    """
    chunks = []

    @CALLBACK
    def receive(samples, n_samples, events) -> int:
        if samples and n_samples:
            chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0

    text = f"[[{phonemes}]]".encode()
    with _library(voice) as (library, rate):
        library.espeak_SetSynthCallback(receive)
        library.espeak_SetParameter(RATE, words_per_minute, 0)
        library.espeak_SetParameter(PITCH, pitch, 0)
        ctypes.CDLL(None).srand(ctypes.c_uint(seed))  # of breath and other noise
        if hasattr(library, "espeak_ng_SetRandSeed"):  # that of the Klatt voices, since 1.52
            library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        flags = CHARS_UTF8 | PHONEMES
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, flags, None, None)
    if not any(chunk.any() for chunk in chunks):
        raise UsageError(f"espeak-ng says nothing for the phonemes '{phonemes}' in voice {voice}")
    return np.concatenate(chunks).astype(np.float32) / 32768, rate


def text_to_phonemes(text: str, voice: str) -> str:
    """The mnemonics that ``voice`` itself would use for ``text``, stress marks included."""
    buffer = ctypes.c_char_p(text.encode())
    clauses = []
    with _library(voice) as (library, _):
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        while buffer.value:
            clause = library.espeak_TextToPhonemes(ctypes.byref(buffer), CHARS_UTF8, 0)
            clauses.append(clause.decode().strip())
    return " ".join(clauses)


@cache
def version() -> str:
    """Name and version of the engine, for the record of a corpus."""
    return f"espeak-ng {_info()[0]}"


@cache
def variants() -> tuple[str, ...]:
    """Names of the voice variants: what may follow the "+" of a voice."""
    return tuple(sorted(path.name for path in (_info()[1] / "voices" / "!v").iterdir()))


@contextmanager
def _library(voice: str) -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, initialized and set to ``voice``, with its sampling rate; unloaded after."""
    path, data = _paths()
    variant = voice.partition("+")[2]
    known = not variant or variant in variants()  # espeak-ng itself ignores an unknown variant
    library = ctypes.CDLL(path)
    try:
        rate = library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
        if rate <= 0:
            raise UsageError(f"espeak-ng does not start with the data in {data!r}; reinstall it")
        if library.espeak_SetVoiceByName(voice.encode()) or not known:
            raise UsageError(f"espeak-ng has no voice '{voice}': see espeak-ng --voices; after a +, one of variants()")
        yield library, rate
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


@cache
def _info() -> tuple[str, Path]:
    """The engine's version and the folder of its data."""
    path, data = _paths()
    library = ctypes.CDLL(path)
    library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
    library.espeak_Info.restype = ctypes.c_char_p
    place = ctypes.c_char_p()
    number = library.espeak_Info(ctypes.byref(place)).decode().split()[0]
    folder = Path((place.value or b"").decode())
    library.espeak_Terminate()
    _ctypes.dlclose(library._handle)
    return number, folder


@cache
def _paths() -> tuple[str, bytes | None]:
    """The library and the folder of its data (None: where the system keeps it)."""
    candidates = []
    try:
        import espeakng_loader

        data = espeakng_loader.get_data_path().encode()
        candidates.append((espeakng_loader.get_library_path(), data))
    except (ImportError, RuntimeError):
        pass
    candidates.append((ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1", None))
    for path, data in candidates:
        try:
            _ctypes.dlclose(ctypes.CDLL(path)._handle)
        except OSError:
            continue
        return path, data
    raise UsageError(
        "espeak-ng is missing: pip install espeakng-loader, or install the system's espeak-ng"
    )
