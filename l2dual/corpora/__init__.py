"""Corpora: each module turns one corpus into a stream of utterances.

Every module but `simulated` has ``prepare(db, request) -> (utterances, info)``. It reads the corpus
in its published layout and gives each utterance its split. conf/corpora.txt lists the modules, with
their languages and conventions; docs/corpora has a page for each.

``info`` becomes ``corpus.yaml``: ``licence``, ``source``, and what there is to know of the data
(utterances and speakers per split, what was left out and why, overlap of the splits).
"""

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

    ``audio`` is a file, or a command (`CMD |`) where the user allows it. ``meaning`` is None where only
    ``surface`` and ``canonical`` are known.

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


@dataclass(frozen=True)
class Request:
    """What a recipe asks of a corpus.

    ``field_map``: YAML file that names the fields of a corpus's labels (AI-Hub's sets differ).
    ``columns``: a table's own column names, by ours. ``canonical``: `dictionary` if a user's corpus
    lacks the canonical phones and the dictionary may give them. ``allow_pipes``: a Kaldi directory
    may name commands.
    """

    language: str
    convention: str
    seed: int = 1
    field_map: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    canonical: str = "given"
    allow_pipes: bool = False
