"""A corpus of your own as one table, a row per utterance, as spreadsheets save it.

Columns: ``audio``, ``speaker``; ``meaning`` or ``surface`` or both; and, where there is one,
``canonical``, ``id``, ``l1``, ``level``, ``age``, ``gender``, ``split``, ``start``, ``end``.
docs/corpora/table.md says what each holds, and under what other names it is understood.
"""

from collections.abc import Iterator
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import own
from l2dual.corpora.common.disk import is_data
from l2dual.corpora.common.spreadsheet import SEPARATORS, Sheet, read
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.text.cleaning import plain


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
        if changed and (name == "meaning" or not own.in_phones(request)):
            lines.append(f"{name}: punctuation removed from {changed} of {len(texts)} texts")
    doubles = sum(not is_recording(row.values) for row in sheet.rows)
    if doubles:
        lines.append(f"{doubles} rows left out: '._' files of macOS are no recordings")
    return lines + sheet.notes
