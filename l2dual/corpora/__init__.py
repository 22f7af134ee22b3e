"""Corpora: each module turns one corpus into utterances with a surface and a meaning."""

from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Utterance:
    """One recording with its texts.

    ``canonical`` is what ``surface`` would be had the learner made no error: the meaning itself
    under the convention `heard`, its standard pronunciation under `pronounced`.
    """

    id: str
    split: str
    speaker: str
    audio: Path
    surface: str
    meaning: str
    canonical: str
    l1: str = "unknown"
