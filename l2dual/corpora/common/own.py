"""What a corpus of the user's own needs, in a table (`table`) or a Kaldi directory (`kaldi`)."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import disk, edits, splits
from l2dual.data.recording import is_pipe
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.text import pronunciation
from l2dual.text.cleaning import SPOKEN, plain, spoken
from l2dual.text.phones import ERROR, PHONES
from l2dual.text.phones import plain as plain_phone

FACTS = ("level", "age", "gender")
TEXTS = ("surface", "meaning", "canonical")
SPLITS = {  # as users name them
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
PIPES = "write its output to an audio file and name that (Kaldi directories: or --allow_pipes true)"
LISTED = 20  # faults that one error names
LONGEST = 255  # bytes of an id, with its speaker
TAG = re.compile(r"<\w[^<>]*>|\[\w[^\[\]]*\]")
EXCEL = {"#NAME?", "#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"}


@dataclass(frozen=True)
class Entry:
    """One utterance as the user wrote it, or the ``fault`` for which it can't be read.

    ``where``: its file and line, for errors. ``folders``: audio is relative to one of them.
    """

    where: str
    row: dict[str, str]
    folders: tuple[Path, ...]
    fault: str = ""


def make_all(entries: Iterable[Entry], request: Request) -> tuple[list[Utterance], list[str]]:
    """The utterances of the entries that are right, and every fault of the others.

    A row has ``id``, ``speaker``, ``audio``, a text (of TEXTS), and may have the others, ``split``,
    ``l1``, ``start``, ``end`` (seconds) and the names of FACTS. Ids and speakers get names that a
    data directory can hold, ids their speaker as prefix. Texts lose case and punctuation.
    ``canonical`` is None where it was not given.
    """
    utterances, faults = [], []
    lines: dict[str, str] = {}
    speakers: dict[str, str] = {}
    for entry in entries:
        found = [entry.fault] if entry.fault else list(check(entry, request))
        if not found:
            utterance = make(entry, request)
            if len(utterance.id.encode()) > LONGEST:
                found.append(f"the id {utterance.id[:40]}... is too long; give a shorter one")
            first = lines.setdefault(utterance.id, entry.where)
            if first != entry.where:
                found.append(f"id {utterance.id} is that of {first} too; give different ids")
            written = speakers.setdefault(utterance.speaker, entry.row["speaker"])
            if disk.whole(written) != disk.whole(entry.row["speaker"]):
                found.append(f"speakers {written!r} and {entry.row['speaker']!r} get one id; rename one")
        if found:
            faults += [f"{entry.where}: {fault}" for fault in found]
        else:
            utterances.append(utterance)
    return utterances, faults


def check(entry: Entry, request: Request) -> Iterator[str]:
    """What is wrong with a row, and what to do."""
    row, folders = entry.row, entry.folders
    for name in ("id", "speaker", "audio"):
        if not row[name]:
            yield f"{name} is empty; fill it in"
    audio = row["audio"] and find_audio(row["audio"], folders)
    if is_pipe(row["audio"]):
        if not request.allow_pipes:
            yield f"{row['audio']!r}: a command (|) is not run; {PIPES}"
    elif audio is None:
        yield no_audio(row["audio"], folders)
    elif re.search(r"[\x00-\x1f\x7f]|\s$", str(audio)):
        yield f"the name of {str(audio)!r} has a control character or a space at its end; rename it"
    if row.get("split") and row["split"].lower() not in SPLITS:
        yield f"split '{row['split']}': write train, valid or test"
    for name in TEXTS:
        if name in row:
            yield from check_text(name, row[name], request)
    try:
        segment(row.get("start", ""), row.get("end", ""))
    except DataError as error:
        yield str(error)


def check_text(name: str, text: str, request: Request) -> Iterator[str]:
    """What is wrong with one text."""
    if not text:
        yield f"{name} is empty; fill it in or remove the utterance"
    elif text in EXCEL:
        yield f"{name} is '{text}', an error of Excel's; write the text"
    elif "\ufffd" in text:
        yield f"{name} has damaged characters (\ufffd); save the table as UTF-8 again"
    elif name != "meaning" and request.surface_unit == "phone":
        for symbol in text.split():
            if plain_phone(symbol) not in PHONES and symbol != ERROR:
                yield (
                    f"'{symbol}' is no ARPAbet phone; write the {name} in phones, or respell "
                    "words and use the convention `heard`"
                )
                return
    elif tag := TAG.search(text):
        yield f"{name} has '{tag[0]}', a tag and no word; remove it, or write what was said"
    elif sign := SPOKEN.search(text):
        yield f"{name} has '{sign[0]}', which is said as a word; write the word"
    elif not plain(text):
        yield f"{name} '{text}' has no words; fill it in or remove the utterance"
    elif edits.IPA.search(text):
        yield (
            f"{name} '{text}' is in IPA; write letters of the language, or ARPAbet phones and "
            "--surface_convention pronounced"
        )


def make(entry: Entry, request: Request) -> Utterance:
    """The utterance of a row without faults."""
    row = entry.row
    speaker, name = safe(row["speaker"]), safe(row["id"])
    texts = {}
    for text in TEXTS:
        phones = request.surface_unit == "phone" and text != "meaning"
        written = row.get(text)
        texts[text] = written and (arpabet(written) if phones else plain(written))
    return Utterance(
        id=name if name.startswith(f"{speaker}-") else f"{speaker}-{name}",
        split=SPLITS.get(row.get("split", "").lower(), ""),
        speaker=speaker,
        audio=row["audio"] if is_pipe(row["audio"]) else find_audio(row["audio"], entry.folders),
        l1=row.get("l1") or "unknown",
        segment=segment(row.get("start", ""), row.get("end", "")),
        facts={name: row[name] for name in FACTS if row.get(name)},
        written=spoken(row.get("meaning", "")),
        **texts,
    )


def safe(name: str) -> str:
    """A name as a data directory can hold it: spaces become ``_``, other signs ``=`` and a number."""
    name = re.sub(r"\s+", "_", disk.whole(name).strip())
    return re.sub(r"[^\w.+@=-]|^\.", lambda sign: f"={ord(sign[0]):X}=", name)


def arpabet(text: str) -> str:
    """Phones without stress."""
    return " ".join(symbol if symbol == ERROR else plain_phone(symbol) for symbol in text.split())


def find_audio(name: str, folders: Iterable[Path]) -> Path | None:
    """The file that ``name`` means: as written, with ``/`` for ``\\``, or in other Unicode forms."""
    for folder in folders:
        for written in dict.fromkeys((name, name.replace("\\", "/"))):
            path = disk.as_on_disk(folder / written)
            if os.path.isfile(path):
                return path
    return None


def no_audio(name: str, folders: tuple[Path, ...]) -> str:
    """Why there is no such file, and what to do."""
    if "\\" in name or re.match("[A-Za-z]:", name):
        return f"no such audio file: {name!r}, a Windows path; write / and a path from the table"
    path = folders[0] / name
    if "?" in name:
        return f"no such audio file: {str(path)!r}; where ? was another letter, save it as 'CSV UTF-8'"
    near = [n for n in disk.names(path.parent).values() if Path(n).stem.lower() == path.stem.lower()]
    hint = f"there is '{near[0]}'; correct the name" if near else "correct the path"
    return f"no such audio file: {str(path)!r}; {hint}"


def segment(start: str, end: str) -> tuple[float, float] | None:
    """The part of a recording, in seconds; None for the whole."""
    if not start and not end:
        return None
    try:
        part = float(start.replace(",", ".")), float(end.replace(",", "."))
    except ValueError:
        part = (0.0, 0.0)
    if not 0 <= part[0] < part[1] < float("inf"):
        raise DataError(
            f"start '{start}' and end '{end}': write two numbers of seconds, the end last"
        )
    return part


def check_truth(names: Iterable[str], request: Request, source: Path, canonical: str) -> None:
    """Raise a DataError if the texts that there are don't say what an error is.

    ``names``: the texts there are; ``canonical``: what the user would call the missing one.
    """
    has = [name in names for name in TEXTS]
    if has == [False, False, False] or has == [False, False, True]:
        raise DataError(f"{source}: no text; give the meaning, the surface or both")
    if has == [False, True, True]:
        raise DataError(f"{source}: canonical without surface; give both, or surface alone")
    if has == [True, False, False]:
        raise DataError(
            f"{source}: a surface without meaning; add {canonical}, the surface without errors"
        )
    if has == [True, True, False] and request.convention == "pronounced":
        if request.canonical != "dictionary":
            raise DataError(
                f"{source}: the surface says what was pronounced, and nothing says what is right: "
                f"add {canonical}, in the annotators' symbols; or write --canonical dictionary, "
                "which counts each departure from the dictionary as a learner's error"
            )


def finish(
    utterances: list[Utterance], faults: list[str], request: Request, source: Path
) -> tuple[list[Utterance], dict]:
    """The utterances with what is due and their splits, and the facts for ``corpus.yaml``.

    Raises:
        DataError: there are ``faults`` (the first of them are listed), or the texts or the splits
            can't be right.
    """
    refuse(faults, source)
    if any(u.surface is not None and u.canonical is None for u in utterances):
        utterances, faults = add_canonical(utterances, request)
        refuse(faults, source)
        heard = request.convention == "heard"
        compared = "the meaning" if heard else "the standard pronunciation"
        edits.refuse_implausible(utterances, request.surface_unit, source, compared)
    try:
        utterances, facts = splits.settle(utterances, request.seed)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    return utterances, {"licence": "that of your recordings", "source": str(source), **facts}


def add_canonical(
    utterances: list[Utterance], request: Request
) -> tuple[list[Utterance], list[str]]:
    """What is due; and faults: the meanings that have no pronunciation."""
    done, faults = [], []
    for utterance in utterances:
        try:
            canonical = due(utterance, request)
            done.append(replace(utterance, canonical=canonical))
        except DataError as error:
            faults.append(f"utterance {utterance.id}: {error}")
    return done, faults


def due(utterance: Utterance, request: Request) -> str:
    """The surface without errors: the meaning under `heard`, else the pronunciation of it that is
    right and nearest to what was said."""
    if request.convention == "heard":
        return utterance.meaning
    form = pronunciation(request.language).nearest(utterance.written, utterance.surface)
    return arpabet(form) if request.surface_unit == "phone" else form


def refuse(faults: list[str], source: Path) -> None:
    """Raise a DataError of all faults; where there are several, the first ones are its notes."""
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        more = f" (the first {LISTED} are listed)" if len(faults) > LISTED else ""
        error = DataError(f"{source}: {len(faults)} faults{more}; correct them all")
        for fault in faults[:LISTED]:
            error.add_note(fault)
        raise error
