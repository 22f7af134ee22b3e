"""One utterance of a corpus, before it is written to a data directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Utterance:
    """One recording with its texts.

    ``surface`` is None where the corpus does not say what was pronounced. ``canonical`` is what
    ``surface`` would be had the learner made no error: the meaning itself under the convention
    `heard`, its standard pronunciation under `pronounced`; None where ``surface`` is. A native
    speaker makes no learner's errors, so there ``canonical`` is ``surface``.

    ``audio`` is a file, or a command (`CMD |`) where the user allows it. ``meaning`` is None
    where only ``surface`` and ``canonical`` are known.

    ``written`` is the meaning with its case and punctuation, by which it is pronounced; empty where unknown.

    ``segment``: start and end in seconds, of a longer recording. ``facts``: more that is known of
    it, by name: ``age``, ``gender``, ``level``, ...; each becomes a table ``utt2<name>``.
    """

    id: str
    split: str
    speaker: str
    audio: Path | str
    surface: str | None
    meaning: str | None
    canonical: str | None
    l1: str = "unknown"
    segment: tuple[float, float] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    written: str = field(default="", compare=False)
