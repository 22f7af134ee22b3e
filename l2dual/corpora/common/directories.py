"""Write a corpus's utterances as data directories, one for each split."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import edits
from l2dual.data.datadir import write_datadir
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError, UsageError
from l2dual.text import pronunciation


def write(
    out: Path,
    corpus: str,
    request: Request,
    utterances: Iterable[Utterance],
    info: dict,
    assume: bool = False,
) -> Iterator[str]:
    """Write ``out``/train, valid and test; only test, where no other split has an utterance.

    Args:
        info: what `prepare` says of the corpus; corpus.yaml gets the facts of every corpus too.
        assume: give a corpus without a surface that of speakers who make no errors.

    Yields:
        What there is to say of it, line by line.

    Raises:
        DataError: some utterances lack a surface, or a split has no utterance.
        UsageError: the surface is there and can't be assumed.
    """
    utterances = list(utterances)
    surface = surface_state(utterances, assume)
    if surface == "assumed":
        utterances = assume_surface(utterances, request.language, request.convention)
    facts = describe(corpus, request, utterances, surface) | info
    test_only = {utterance.split for utterance in utterances} == {"test"}
    for split in ("test",) if test_only else SPLITS:
        chosen = [utterance for utterance in utterances if utterance.split == split]
        write_datadir(out / split, chosen, facts)
        yield f"{split}: {len(chosen)} utterances, {len({u.speaker for u in chosen})} speakers"
    yield from said(info)
    yield from edits.report(utterances, facts["surface_unit"])
    if test_only:
        yield "test set only: run stages 3 and 4, then decode it with --test_data"


def surface_state(utterances: list[Utterance], assume: bool) -> str:
    """Whether the surface is `annotated`, `assumed` or absent: `none`."""
    without = [utterance.id for utterance in utterances if utterance.surface is None]
    if without and len(without) < len(utterances):
        raise DataError(
            f"utterance {without[0]} has no surface, but others have: "
            "add it to all, or remove the utterances without it"
        )
    if assume and not without:
        raise UsageError("--assume_surface true: this corpus has a surface: leave the option out")
    if without:
        return "assumed" if assume else "none"
    return "annotated"


def assume_surface(utterances: list[Utterance], language: str, convention: str) -> list[Utterance]:
    """The utterances with the surface of a speaker who makes no errors."""
    pronounce = pronunciation(language).pronounce
    assumed = []
    for number, utterance in enumerate(utterances, 1):
        surface = utterance.meaning if convention == "heard" else pronounce(utterance.written or utterance.meaning)
        assumed.append(replace(utterance, surface=surface, canonical=surface))
        if number % 1000 == 0:
            print(f"progress: pronounced {number} of {len(utterances)} texts", flush=True)
    return assumed


def describe(
    corpus: str, request: Request, utterances: list[Utterance], surface: str
) -> dict[str, object]:
    """The facts that every corpus has."""
    by_split = {name: [u for u in utterances if u.split == name] for name in SPLITS}
    meaning = {"meaning": "none"} if all(u.meaning is None for u in utterances) else {}
    return {
        "corpus": corpus,
        "language": request.language,
        "convention": request.convention,
        "surface": surface,
        **meaning,
        "surface_unit": request.surface_unit,
        "meaning_unit": "char",
        "seed": request.seed,
        "utterances": {name: len(some) for name, some in by_split.items()},
        "speakers": {name: len({u.speaker for u in some}) for name, some in by_split.items()},
    }


def said(info: dict) -> Iterator[str]:
    """Notes of a corpus: how it was read, utterances left out, overlap of its splits."""
    yield from (f"note: {note}" for note in info.get("notes", ()))
    for key in info:
        if key.startswith(("left_out", "dropped")) and info[key]:
            yield f"{key.replace('_', ' ')}: {info[key]}"
        if key.startswith("overlap"):
            shared = {pair: n for pair, n in info[key].items() if n["speakers"] or n["prompts"]}
            yield f"{key.replace('_', ' ')}: {shared or 'none'}"
