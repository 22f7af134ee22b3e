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
