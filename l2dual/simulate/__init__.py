"""What is said and how it is written: one module per language, all with the same functions.

VOICE, L1S, sentences, canonical, pronounce, nearest, caveats, rules, others, mispronounce, heard,
pronounced, phonemes, contrasts: see english.py.
"""

from importlib import import_module
from types import ModuleType

from l2dual.errors import UsageError

MODULES = {"en": "english", "ko": "korean"}


def phonology(language: str) -> ModuleType:
    """The phonology of ``language`` ("en" or "ko")."""
    if language not in MODULES:
        raise UsageError(f"no phonology for language '{language}'; choose from {sorted(MODULES)}")
    return import_module(f"l2dual.simulate.{MODULES[language]}")
