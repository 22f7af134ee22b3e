"""Corpora: each module here is one corpus, a stream of utterances with their splits.

A module says in constants what it has (`Facts`), and has ``prepare(db, request) -> (utterances,
info)``, which reads ``db``. ``info`` becomes ``corpus.yaml``: ``licence``, ``source``, and what
there is to know of the data (what was left out and why, overlap of the splits). docs/corpora has a
page for each; docs/guides/add_a_corpus.md adds one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from l2dual.errors import UsageError

CORPORA = tuple(sorted(found.name for found in iter_modules(__path__) if not found.ispkg))
FOR_ALL = ("language", "convention", "seed", "nj", "out")  # of a request


@dataclass(frozen=True)
class Facts:
    """What a corpus has, as the constants of its module say.

    ``conventions``: how its surface may be written, the default first. ``surface``: `annotated`,
    `none`, or `either` for a user's own. ``options``: those of `Request` that it takes.
    """

    languages: tuple[str, ...]
    conventions: tuple[str, ...]
    surface: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What a recipe asks of a corpus; the options of one corpus alone have defaults.

    ``seed``: of splits, or of the simulation. ``nj``: processes. ``out``: where a corpus that is
    made here may write its audio. ``field_map``: names the fields of AI-Hub's labels.
    ``columns``: a table's own column names, by ours. ``canonical``: `dictionary` if a user's corpus
    lacks the canonical phones and the dictionary may give them. ``allow_pipes``: a Kaldi directory
    may name commands. The rest: see l2dual/simulate/learners.py.
    """

    language: str
    convention: str
    seed: int = 1
    nj: int = 1
    out: Path | None = None
    field_map: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    canonical: str = "given"
    allow_pipes: bool = False
    severity: str = "paper"
    errors: str = "rules"
    engine: str = "espeak"
    prompts: Path | None = None

    @property
    def surface_unit(self) -> str:
        """`phone` or `char`."""
        return "phone" if (self.language, self.convention) == ("en", "pronounced") else "char"


def module(name: str) -> ModuleType:
    """The module of a corpus.

    Raises:
        UsageError: there is none.
    """
    if name not in CORPORA:
        raise UsageError(f"no corpus '{name}': choose from {', '.join(CORPORA)}")
    return import_module(f"l2dual.corpora.{name}")


def facts(name: str) -> Facts:
    """What the module of a corpus says of it.

    Raises:
        UsageError: there is no such corpus.
    """
    said = module(name)
    return Facts(said.LANGUAGES, said.CONVENTIONS, said.SURFACE, getattr(said, "OPTIONS", ()))


def check(name: str, request: Request) -> None:
    """Raise a UsageError where a corpus has not what is asked of it."""
    has = facts(name)
    if request.language not in has.languages:
        raise UsageError(f"corpus {name} is in {', '.join(has.languages)}, not {request.language}")
    if request.convention not in has.conventions:
        some = " or ".join(has.conventions)
        raise UsageError(f"corpus {name} provides its surface as {some}, not {request.convention}")
    plain = Request(request.language, request.convention)
    for option in (one.name for one in fields(Request) if one.name not in FOR_ALL):
        if option not in has.options and getattr(request, option) != getattr(plain, option):
            takers = " or ".join(other for other in CORPORA if option in facts(other).options)
            raise UsageError(f"--{option} is for --corpus {takers}, not {name}")
