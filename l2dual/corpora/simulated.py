"""Simulated learners (l2dual.simulate): speech for comparing systems, not for error rates of people."""

from collections.abc import Iterator
from pathlib import Path

from l2dual.corpora import Request
from l2dual.data.utterance import Utterance
from l2dual.files import read_yaml

LANGUAGES = ("en", "ko")
CONVENTIONS = ("heard", "pronounced")
SURFACE = "annotated"
OPTIONS = ("severity", "errors", "engine", "prompts")


def prepare(db: Path, request: Request) -> tuple[Iterator[Utterance], dict]:
    """Simulate the corpus; its audio is written to ``request.out``/audio as utterances are drawn.

    Args:
        db: its sizes and voices, as conf/simulate/*.yaml.
        request: without the suffix `.tmp`, ``out`` is where the audio will be.

    Raises:
        UsageError: an option or the sizes are wrong.
        DataError: the prompts are.
    """
    from l2dual.simulate import learners  # takes a second

    db = Path(db)
    final = request.out.with_name(request.out.name.removesuffix(".tmp"))
    utterances, info = learners.prepare(
        request.language,
        read_yaml(db),
        request.convention,
        request.out,
        final / "audio",
        request.nj,
        request.seed,
        preset_file=str(db),
        severity=request.severity,
        errors=request.errors,
        engine=request.engine,
        prompts=request.prompts,
    )
    return utterances, info | {"preset": db.stem}
