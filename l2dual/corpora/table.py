"""A corpus of your own as one table: CSV or TSV, a line per utterance.

Columns, in any order: ``audio``, ``meaning``, ``speaker``; and, where there is one, ``surface``,
``canonical``, ``id``, ``l1``, ``level``, ``age``, ``gender``, ``split``, ``start``, ``end``.
docs/corpora/table.md says what each holds.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from l2dual.corpora import Request, Utterance
from l2dual.corpora.own import FACTS, finish, make
from l2dual.errors import DataError

REQUIRED = ("audio", "meaning", "speaker")
COLUMNS = (*REQUIRED, "surface", "canonical", "id", "l1", *FACTS, "split", "start", "end")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read the table.

    Args:
        db: the file, its name ending in .csv or .tsv; UTF-8, with a line of column names.
            Audio paths are relative to its directory.
        request: language and convention decide what is due where no ``canonical`` is given; the
            seed draws the splits where none are given.

    Raises:
        DataError: the file or a line of it is not as it must be; names both.
    """
    path = Path(db)
    if path.suffix.lower() not in DELIMITERS or not path.is_file():
        raise DataError(f"{path}: no such table; give a file .csv or .tsv by --db")
    lines = {}
    utterances = []
    for number, row in read_rows(path):
        utterance = make(row, request, path.parent / row["audio"], f"{path}, line {number}")
        if utterance.id in lines:
            raise DataError(
                f"{path}, line {number}: id {utterance.id} stands in line {lines[utterance.id]} "
                "too; give a column id with unlike ids"
            )
        lines[utterance.id] = number
        utterances.append(utterance)
    return finish(utterances, request, path)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line's number and its values by column, with single spaces."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=DELIMITERS[path.suffix.lower()], strict=True)
        try:
            columns = [name.strip().lower() for name in next(reader, [])]
            check_columns(path, columns)
            for values in reader:
                if not any(values):
                    continue
                if len(values) != len(columns):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(values)} values for "
                        f"{len(columns)} columns; quote values that hold the delimiter"
                    )
                row = dict(zip(columns, (" ".join(value.split()) for value in values), strict=True))
                if "id" not in row:
                    row["id"] = default_id(row)
                yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}; mend the quotes") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None


def check_columns(path: Path, columns: list[str]) -> None:
    """Raise a DataError if one is missing, unknown or stands twice."""
    for name in REQUIRED:
        if name not in columns:
            raise DataError(f"{path}, line 1: no column '{name}'; add it")
    for name in columns:
        if name not in COLUMNS:
            raise DataError(f"{path}, line 1: unknown column '{name}'; known: {', '.join(COLUMNS)}")
        if columns.count(name) > 1:
            raise DataError(f"{path}, line 1: column '{name}' stands twice; remove one")


def default_id(row: dict[str, str]) -> str:
    """The audio file's name, and its start in milliseconds where the line has one."""
    name = "_".join(Path(row["audio"]).stem.split())
    start = row.get("start", "")
    return f"{name}-{round(1000 * float(start)):07d}" if is_number(start) else name


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
