"""espeak-ng as an engine: formant synthesis of the phonemes that the learner says."""

import numpy as np

from l2dual.simulate import phonology
from l2dual.text.espeak import say_phonemes, variants
from l2dual.text.espeak import version as version


def say(
    language: str,
    speech: object,
    voice: str,
    words_per_minute: int = 120,
    pitch: int = 50,
    seed: int = 1,
) -> tuple[np.ndarray, int]:
    """See l2dual.simulate.engines; ``voice`` is a variant of the language's own voice, "f2"."""
    module = phonology(language)
    voice = f"{module.VOICE}+{voice}"
    return say_phonemes(module.phonemes(speech), voice, words_per_minute, pitch, seed)


def voices(language: str) -> tuple[str, ...]:
    """Names of the voices of ``language``: espeak-ng offers the same variants for each."""
    return variants()
