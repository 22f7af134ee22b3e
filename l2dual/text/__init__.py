"""Letters and phones: pronunciation, normalizing, alignment."""

from importlib import import_module
from types import ModuleType

from l2dual.errors import UsageError

TOKEN_TYPES = ("char", "jamo", "bpe", "phn", "word", "whisper")
BLANK, UNKNOWN, SOS_EOS = "<blank>", "<unk>", "<sos/eos>"  # of every token list
LANGUAGES = {"en": "English", "ko": "Korean"}
MODULES = {"en": "english", "ko": "korean"}


def pronunciation(language: str) -> ModuleType:
    """The module with ``pronounce`` and ``nearest`` of ``language`` ("en" or "ko")."""
    if language not in MODULES:
        raise UsageError(f"no pronunciation for language '{language}'; choose from {sorted(MODULES)}")
    return import_module(f"l2dual.text.{MODULES[language]}")
