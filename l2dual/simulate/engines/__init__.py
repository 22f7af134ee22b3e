"""Speech synthesis for simulated learners: one module per engine, all with the same functions.

version() -> str                   name and version, for the record of a corpus
voices(language) -> tuple[str]     what a preset may name under voices: ENGINE
say(language, speech, voice, words_per_minute, pitch, seed) -> (samples, rate)
    samples (T,), float32 in [-1, 1), and their rate in Hz, of a phonology's Speech
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import soxr

from l2dual.errors import UsageError

ENGINES = ("espeak", "kokoro")


def load(name: str) -> ModuleType:
    """The engine ``name``."""
    if name not in ENGINES:
        raise UsageError(f"no synthesis engine '{name}'; choose from {', '.join(ENGINES)}")
    return import_module(f"l2dual.simulate.engines.{name}")


def resample(samples: np.ndarray, rate: int, new_rate: int = 16000) -> np.ndarray:
    """``samples`` (T,) at ``rate`` Hz, as float32 at ``new_rate`` Hz."""
    return soxr.resample(samples, rate, new_rate).astype(np.float32)
