"""A corpus of your own as one table, a row per utterance, as spreadsheets save it.

Columns: ``audio``, ``speaker``; ``meaning`` or ``surface`` or both; and, where there is one,
``canonical``, ``id``, ``l1``, ``level``, ``age``, ``gender``, ``split``, ``start``, ``end``.
docs/corpora/table.md says what each holds, and under what other names it is understood.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import edits, own
from l2dual.corpora.common.disk import is_data
from l2dual.corpora.common.spreadsheet import SEPARATORS, Sheet, read
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text import phones
from l2dual.text.cleaning import plain
from l2dual.text.units import align, normalize

LANGUAGES = ("en", "ko")
CONVENTIONS = ("heard", "pronounced")
SURFACE = "either"
OPTIONS = ("columns", "canonical")
SHOWN = 3  # utterances in full, of a preview


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read the table.

    Args:
        db: the file. Audio paths are relative to its directory.
        request: without a ``canonical``, language and convention give it; without splits, the
            seed draws them; ``columns`` has the file's own names.

    Raises:
        DataError: the file or rows of it are not valid; names them all.
    """
    sheet = read(Path(db), request.language, request.columns)
    check_columns(sheet, request)
    utterances, faults = own.make_all(entries(sheet), request)
    utterances, info = own.finish(utterances, faults, request, sheet.path)
    return utterances, info | {"notes": notes(sheet, request)}


def check_columns(sheet: Sheet, request: Request) -> None:
    """Raise a DataError if a needed column is missing."""
    for name in ("audio", "speaker"):
        if name not in sheet.columns:
            there = ", ".join(f"'{column}'" for column in [*sheet.columns.values(), *sheet.ignored])
            raise DataError(
                f"{sheet.path}, line 1: no column '{name}' among {there}; add it, or say which it "
                f"is: --columns {name}=NAME"
            )
    texts = [name for name in own.TEXTS if name in sheet.columns]
    own.check_truth(texts, request, sheet.path, "a column canonical")


def entries(sheet: Sheet) -> Iterator[own.Entry]:
    """The rows as `own` takes them, each with its file and line; none of an Apple double."""
    for row in sheet.rows:
        values = row.values
        if not is_recording(values):
            continue
        if "id" not in values and not row.fault:
            values = values | {"id": default_id(values)}
        yield own.Entry(f"{sheet.path}, line {row.line}", values, (sheet.path.parent,), row.fault)


def is_recording(row: dict[str, str]) -> bool:
    """Whether the audio is not what macOS keeps beside files on other disks."""
    return is_data(Path(row.get("audio", "").replace("\\", "/")))


def default_id(row: dict[str, str]) -> str:
    """The audio file's name, and its start in milliseconds where the row has one."""
    name = Path(row["audio"].replace("\\", "/")).stem
    start = row.get("start", "").replace(",", ".")
    return f"{name}-{round(1000 * float(start)):07d}" if is_number(start) else name


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def notes(sheet: Sheet, request: Request) -> list[str]:
    """What was guessed of the table, and what was left out."""
    separator = SEPARATORS.get(sheet.separator, sheet.separator)
    named = ", ".join(
        ours if ours == theirs else f"{ours} is '{theirs}'" for ours, theirs in sheet.columns.items()
    )
    lines = [f"separator {separator}, encoding {sheet.encoding}; columns: {named}"]
    if sheet.ignored:
        lines.append(f"columns not used: {', '.join(sheet.ignored)}")
    for name in own.TEXTS:
        texts = [row.values[name] for row in sheet.rows if row.values.get(name)]
        changed = sum(plain(text) != text.lower() for text in texts)
        if changed and (name == "meaning" or request.surface_unit != "phone"):
            lines.append(f"{name}: punctuation removed from {changed} of {len(texts)} texts")
    doubles = sum(not is_recording(row.values) for row in sheet.rows)
    if doubles:
        lines.append(f"{doubles} rows left out: '._' files of macOS are no recordings")
    return lines + sheet.notes


def preview(
    path: Path, columns: Mapping[str, str] | None = None, canonical: str = "given"
) -> bool:
    """Print what was understood of a table, and what will be refused; True if nothing will be.

    Language and convention are taken from the texts: Hangul, ARPAbet phones. ``canonical``:
    `dictionary` where that may say what is right.
    """
    path = Path(path)
    sheet = read(path, columns=columns)
    request = guess(sheet, columns or {}, canonical)
    sheet = read(path, request.language, columns)
    print(f"{path}: {len(sheet.rows)} rows")
    for note in notes(sheet, request):
        print(f"  {note}")
    check_columns(sheet, replace(request, canonical="dictionary"))
    utterances, faults = own.make_all(entries(sheet), request)
    refused = list(faults)
    print(f"read as: language {request.language}, convention {request.convention}")
    for line in counts(utterances):
        print(f"  {line}")
    try:
        check_columns(sheet, request)
        if utterances and not faults:
            settled, info = own.finish(utterances, [], request, path)
            print(f"splits: {info['splits']['method']}: {split_counts(settled)}")
            for line in edits.report(settled, request.surface_unit):
                print(f"  {line}")
            due = {utterance.id: utterance for utterance in settled}
            utterances = [due.get(utterance.id, utterance) for utterance in utterances]
    except DataError as error:
        refused += getattr(error, "__notes__", [str(error)])
    for utterance in utterances[:SHOWN]:
        print("\n".join(show(utterance, request)))
    say_refused(refused, path, request, utterances)
    return not refused


def guess(sheet: Sheet, columns: Mapping[str, str], canonical: str) -> Request:
    """Language and convention, from the texts."""
    texts = {
        name: " ".join(row.values.get(name, "") for row in sheet.rows) for name in own.TEXTS
    }
    language = "ko" if re.search("[가-힣ㄱ-ㅣ]", " ".join(texts.values())) else "en"
    symbols = {phones.plain(symbol) for symbol in texts["surface"].split()}
    in_phones = bool(symbols) and symbols <= phones.PHONES | {phones.ERROR}
    given = bool(texts["canonical"].split())
    pronounced = in_phones or canonical == "dictionary"
    pronounced |= language == "ko" and given and texts["meaning"] != texts["canonical"]
    convention = "pronounced" if pronounced else "heard"
    return Request(language, convention, columns=columns, canonical=canonical)


def counts(utterances: list[Utterance]) -> list[str]:
    """Utterances by what is known of them."""
    speakers = Counter(utterance.speaker for utterance in utterances)
    lines = [f"{len(utterances)} utterances of {len(speakers)} speakers: {listed(speakers)}"]
    l1s = Counter(utterance.l1 for utterance in utterances)
    if set(l1s) - {"unknown"}:
        lines.append(f"first languages: {listed(l1s)}")
    return lines


def split_counts(utterances: list[Utterance]) -> str:
    found = Counter(utterance.split for utterance in utterances)
    return ", ".join(f"{split} {found[split]}" for split in SPLITS)


def listed(counter: Counter, most: int = 8) -> str:
    """The most common, with their numbers."""
    some = ", ".join(f"{name} {number}" for name, number in counter.most_common(most))
    return some + (", ..." if len(counter) > most else "")


def show(utterance: Utterance, request: Request) -> list[str]:
    """An utterance: its texts, and where they differ."""
    if request.convention == "heard" and utterance.canonical is None:
        utterance = replace(utterance, canonical=utterance.meaning)
    lines = [f"{utterance.id} ({utterance.audio.name})"]
    for name in own.TEXTS:
        text = getattr(utterance, name)
        if text is not None and (name != "canonical" or text != utterance.meaning):
            lines.append(f"  {name:9} {text}")
    if utterance.surface is not None and utterance.canonical is not None:
        lines.append(f"  {'errors':9} {differences(utterance, request.surface_unit)}")
    return lines


def differences(utterance: Utterance, unit: str) -> str:
    """The words (or phones) of canonical and surface that differ."""
    words = "phone" if unit == "phone" else "word"
    pairs = align(normalize(utterance.canonical), normalize(utterance.surface), words)
    some = [f"{due or '-'} > {said or '-'}" for due, said in pairs if due != said]
    return ", ".join(some) or "none"


def say_refused(refused: list[str], path: Path, request: Request, utterances: list[Utterance]) -> None:
    """What stage 1 will refuse, or the command to run all stages."""
    if refused:
        print(f"refused: {len(refused)} faults; correct them:")
        for fault in refused[: own.LISTED]:
            print(f"  {fault}")
        if len(refused) > own.LISTED:
            print(f"  ... and {len(refused) - own.LISTED} more")
        return
    command = ["./run.sh", "--corpus", "table", "--db", str(path.resolve())]
    command += ["--surface_convention", request.convention]
    if request.canonical != "given":
        command += ["--canonical", request.canonical]
    if request.columns:
        pairs = (f"{ours}={theirs}" for ours, theirs in request.columns.items())
        command += ["--columns", ",".join(pairs)]
    if {utterance.split for utterance in utterances} == {"test"}:  # for --test_data
        command += ["--stop_stage", "4"]
    elif not any(utterance.surface for utterance in utterances):
        command += ["--systems", "so_meaning_attention"]
    elif not any(utterance.meaning for utterance in utterances):
        command += ["--systems", "so_surface_ctconly"]
    print(f"nothing is refused; in egs2/l2_{request.language}: {shlex.join(command)}")
