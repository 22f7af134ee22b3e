"""What a corpus of the user's own needs, in a table (`table`) or a Kaldi directory (`kaldi`)."""

from pathlib import Path

from l2dual import phonology
from l2dual.corpora import Request, Utterance, splits
from l2dual.corpora.disk import as_on_disk
from l2dual.corpora.phones import ERROR, PHONES, plain
from l2dual.errors import DataError

FACTS = ("level", "age", "gender")
SPLITS = {"train": "train", "valid": "valid", "dev": "valid", "test": "test"}  # as users name them


def make(row: dict[str, str], request: Request, audio: Path, where: str) -> Utterance:
    """An utterance from texts by name; ``where`` says in errors what file and line they are from.

    ``row`` has ``id``, ``speaker`` and ``meaning``, and may have ``surface``, ``canonical``,
    ``split``, ``l1``, ``start``, ``end`` (seconds) and the names of ``FACTS``. The id gets its
    speaker as prefix where it lacks it. Without ``canonical``, the meaning is what is due under
    `heard`, its standard pronunciation under `pronounced`.

    Raises:
        DataError: a value is missing or not what it must be.
    """
    for name in ("id", "speaker"):
        if len(row[name].split()) != 1:
            raise DataError(f"{where}: {name} '{row[name]}': one word is needed; change it")
    audio = as_on_disk(audio)
    if not audio.is_file():
        raise DataError(f"{where}: no such audio file: {audio}; mend the path")
    split = row.get("split", "")
    if split and split not in SPLITS:
        raise DataError(f"{where}: split '{split}': write train, valid or test")
    surface, canonical = row.get("surface"), row.get("canonical")
    if canonical is not None and surface is None:
        raise DataError(f"{where}: canonical without surface; give both, or surface alone")
    for name in ("surface", "meaning", "canonical"):
        if row.get(name) == "":
            raise DataError(f"{where}: {name} is empty; fill it in or remove the utterance")
    meaning = row["meaning"]
    if surface is not None and canonical is None:
        canonical = due(meaning, request, where)
    if surface is not None and (request.language, request.convention) == ("en", "pronounced"):
        surface, canonical = (arpabet(text, where) for text in (surface, canonical))
    speaker, name = row["speaker"], row["id"]
    return Utterance(
        id=name if name.startswith(f"{speaker}-") else f"{speaker}-{name}",
        split=SPLITS.get(split, ""),
        speaker=speaker,
        audio=audio,
        surface=surface,
        meaning=meaning,
        canonical=canonical,
        l1=row.get("l1") or "unknown",
        segment=segment(row.get("start", ""), row.get("end", ""), where),
        facts={name: row[name] for name in FACTS if row.get(name)},
    )


def due(meaning: str, request: Request, where: str) -> str:
    """What the surface of ``meaning`` would be without an error."""
    if request.convention == "heard":
        return meaning
    try:
        return phonology.load(request.language).pronounce(meaning)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def arpabet(text: str, where: str) -> str:
    """Phones without stress, if they are phones."""
    phones = [symbol if symbol == ERROR else plain(symbol) for symbol in text.split()]
    for symbol, phone in zip(text.split(), phones, strict=True):
        if phone not in PHONES | {ERROR}:
            raise DataError(
                f"{where}: '{symbol}' is no ARPAbet phone; write the surface in phones, or respell "
                "words and use the convention `heard`"
            )
    return " ".join(phones)


def segment(start: str, end: str, where: str) -> tuple[float, float] | None:
    """The part of a recording, in seconds; None for the whole."""
    if not start and not end:
        return None
    try:
        part = float(start), float(end)
    except ValueError:
        part = (0.0, 0.0)
    if not 0 <= part[0] < part[1]:
        raise DataError(
            f"{where}: start '{start}' and end '{end}': write two numbers of seconds, the end last"
        )
    return part


def finish(
    utterances: list[Utterance], request: Request, source: Path
) -> tuple[list[Utterance], dict]:
    """The utterances with their splits, and the facts for ``corpus.yaml``."""
    try:
        utterances, facts = splits.settle(utterances, request.seed)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    return utterances, {"licence": "that of your recordings", "source": str(source), **facts}
