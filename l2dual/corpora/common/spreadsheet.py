"""A table as a spreadsheet writes it: its encoding, separator and columns, found and named.

Comma, semicolon, tab or ``|`` between values; UTF-8, UTF-16, CP949 or CP1252; columns in any order,
under our names, usual ones ("Text", "Speaker ID") or those that the user gives. Everything that was
guessed is in the notes. A line that can't be read as one row is a fault, never joined silently.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from l2dual.errors import DataError, UsageError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
NAMES = {  # each column's own name is understood too; case, spaces and signs are ignored
    "audio": "path file filename audiopath audiofile wav wavpath filepath recording clip "
    "파일 파일명 음성",
    "speaker": "speakerid spk spkid learner learnerid participant student subject clientid "
    "화자 학습자",
    "meaning": "text transcript transcription sentence intended prompt 문장 의미 전사",
    "surface": "heard pronounced said spoken asheard aspronounced 발음 발음전사",
    "canonical": "expected canonicalphones 표준발음",
    "id": "utt uttid utterance utteranceid",
    "l1": "firstlanguage nativelanguage mothertongue 모국어",
    "level": "proficiency cefr 수준 등급",
    "age": "나이 연령",
    "gender": "sex 성별",
    "split": "set subset partition",
    "start": "begin starttime onset 시작",
    "end": "stop endtime offset 끝",
}
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls begin
LINE = re.compile(r"\r\n|\n|\r")
RUN_ON = 20  # lines that one quoted value may hold
SAVE = "save it as 'CSV UTF-8'"


@dataclass(frozen=True)
class SheetRow:
    """One row: its line, and its values by our names, or why it has none."""

    line: int
    values: dict[str, str]
    fault: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table. ``columns``: the file's name of each of our columns; ``ignored``: its other ones."""

    path: Path
    encoding: str
    separator: str
    columns: dict[str, str]
    ignored: list[str]
    rows: list[SheetRow]
    notes: list[str] = field(default_factory=list)


def read(path: Path, language: str = "en", columns: Mapping[str, str] | None = None) -> Sheet:
    """Read a table.

    Args:
        path: the file.
        language: ``ko`` or ``en``; decides between CP949 and CP1252 if it is not UTF-8 or UTF-16.
        columns: the file's own name of a column, by our name.

    Raises:
        DataError: it is no table, or a column is missing or ambiguous; names the file and the line.
        UsageError: ``columns`` names a column that we don't have.
    """
    text, encoding, notes = decode(path, language)
    lines = LINE.split(text)
    separator, start = find_separator(path, lines, columns or {})
    records = list(split_rows(lines, separator, start))
    if not records or isinstance(records[0][1], str):
        fault = records[0][1] if records else "the table is empty; write a line of column names"
        raise DataError(f"{path}, line {records[0][0] if records else 1}: {fault}")
    line, header, _ = records[0]
    header = [clean(name) for name in header]
    places, extra = find_columns(f"{path}, line {line}", header, columns or {})
    rows, quotes = [], []
    for line, cells, joined in records[1:]:
        if isinstance(cells, str):
            rows.append(SheetRow(line, {}, cells))
        elif any(clean(cell) for cell in cells):
            rows.append(make_row(line, cells, places, header))
            if joined:
                notes.append(f"line {line}: a value holds a line break; it is read as a space")
            if any('"' in cell for cell in cells):
                quotes.append(str(line))
    if quotes and separator == "\t":
        more = ", ..." if len(quotes) > 5 else ""
        notes.append(f"quotation marks are read as text: line {', '.join(quotes[:5])}{more}")
    right = [row for row in rows if not row.fault]
    empty = [name for name in places if right and not any(row.values.get(name) for row in right)]
    for name in empty:
        place = places.pop(name)
        notes.append(f"column '{header[place]}' is empty: ignored")
    used = {name: header[place] for name, place in places.items()}
    rows = [SheetRow(r.line, {n: v for n, v in r.values.items() if n in used}, r.fault) for r in rows]
    return Sheet(path, encoding, separator, used, [header[i] for i in extra], rows, notes)


def parse_columns(choice: str) -> dict[str, str]:
    """The file's names of columns by ours, from ``meaning=Text,surface=Heard``."""
    pairs = [pair.partition("=") for pair in choice.split(",") if pair.strip()]
    if not all(ours.strip() and theirs.strip() for ours, _, theirs in pairs):
        raise UsageError(f"--columns '{choice}': write it as meaning=Text,surface=Heard")
    return {ours.strip().lower(): theirs.strip() for ours, _, theirs in pairs}


def decode(path: Path, language: str) -> tuple[str, str, list[str]]:
    """The text of a file, its encoding, and a note where the encoding was guessed."""
    if not path.is_file():
        raise DataError(f"{path}: no such table; give a CSV or TSV file")
    data = path.read_bytes()
    if data.startswith(WORKBOOKS):
        raise DataError(f"{path}: this is an Excel workbook, not a text file; {SAVE} in Excel")
    text, encoding = decode_bytes(data, language)
    if "\0" in text:
        line = 1 + len(LINE.findall(text[: text.index("\0")]))
        raise DataError(f"{path}, line {line}: a NUL byte: the file is damaged; {SAVE} again")
    guessed = encoding in ("cp949", "cp1252")
    note = f"not UTF-8: read as {encoding}; check the texts, and {SAVE} if they are wrong"
    return text, encoding, [note] if guessed else []


def decode_bytes(data: bytes, language: str) -> tuple[str, str]:
    """The text and the encoding of a file's bytes."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), "utf-16"
    half = len(data[:1000]) // 2
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # as ASCII looks without a mark
        if half and data[:1000][place::2].count(0) > 0.8 * half:
            return data.decode(name, errors="replace"), name
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp949")
        if language == "ko" or re.search("[가-힣]{2}", text):
            return text, "cp949"
    except UnicodeDecodeError:
        pass
    return data.decode("cp1252", errors="replace"), "cp1252"


def find_separator(path: Path, lines: list[str], columns: Mapping[str, str]) -> tuple[str, int]:
    """The separator, and the index of the line at which the table begins."""
    for index, line in enumerate(lines):
        said = re.fullmatch(r'"?sep=(.)"?', line, re.IGNORECASE)  # a line for Excel
        if said:
            return said[1], index + 1
        if line.strip():
            break
    else:
        return ",", 0

    def fit(separator: str) -> tuple[int, int]:
        names = next(split_rows([line], separator, 0))[1]
        if isinstance(names, str):
            return -1, 0
        known = {bare(name) for name in columns.values()} | set(ALIASES)
        return sum(bare(name) in known for name in names), len(names)

    best = max(SEPARATORS, key=fit)
    if fit(best)[1] < 2:
        raise DataError(
            f"{path}, line {index + 1}: one column only: '{shorten(line)}'; separate values by a "
            "comma, semicolon, tab or |"
        )
    return best, index


def split_rows(
    lines: list[str], separator: str, start: int
) -> Iterator[tuple[int, list[str] | str, bool]]:
    """Each row's line, its cells (or what is wrong with it), and whether lines were joined."""
    index = start
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        if separator == "\t":  # many programs write tabs without quoting: quotes are text
            yield index + 1, [unquote(cell) for cell in lines[index].split("\t")], False
            index += 1
            continue
        cells, count = join_lines(lines[index : index + RUN_ON], separator)
        yield index + 1, cells, count > 1
        index += count


def join_lines(lines: list[str], separator: str) -> tuple[list[str] | str, int]:
    """The cells of the row that begins at the first line, or a fault; and its number of lines."""
    fault = ""
    for count in range(1, len(lines) + 1):
        reader = csv.reader(["\n".join(lines[:count])], delimiter=separator, strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            fault = fault or f"{error}; correct the quotation marks"
            if "unexpected end" not in str(error):
                return fault, 1
            fault = "a quotation mark is not closed; double it within a value, or close it"
            continue
        if any(line.count(separator) >= len(cells) - 1 for line in lines[1:count]):
            return f"a value runs on for {count} lines: write it in one, or close its quotation mark", 1
        return cells, count
    return fault, 1


def unquote(cell: str) -> str:
    """A cell without the quotes around it, if it is quoted as spreadsheets do it."""
    inner = cell.strip()[1:-1].replace('""', "")
    quoted = len(cell.strip()) > 1 and cell.strip()[0] == cell.strip()[-1] == '"'
    return cell.strip()[1:-1].replace('""', '"') if quoted and '"' not in inner else cell


def find_columns(
    where: str, header: list[str], columns: Mapping[str, str]
) -> tuple[dict[str, int], list[int]]:
    """The place of each of our columns, and the places of named columns that are none of ours."""
    for name in columns:
        if name not in NAMES:
            raise UsageError(f"--columns: no column '{name}'; there are: {', '.join(NAMES)}")
    keys = [bare(name) for name in header]
    there = ", ".join(f"'{name}'" for name in header if name)
    places: dict[str, int] = {}
    for name in NAMES:
        wanted = [bare(columns[name])] if name in columns else [name]
        found = [i for i, key in enumerate(keys) if key in wanted]
        if name in columns and not found:
            raise DataError(f"{where}: no column '{columns[name]}'; there are: {there}")
        taken = {bare(theirs) for theirs in columns.values()}
        if not found:
            found = [i for i, key in enumerate(keys) if ALIASES.get(key) == name and key not in taken]
        if len(found) > 1:
            both = " and ".join(f"'{header[i]}'" for i in found)
            raise DataError(
                f"{where}: columns {both} may both be the {name}; remove one, or choose by "
                f"--columns {name}=NAME"
            )
        if found:
            places[name] = found[0]
    extra = [i for i, key in enumerate(keys) if key and i not in places.values()]
    for i in extra:
        near = get_close_matches(keys[i], [name for name in NAMES if name not in places], 1, 0.8)
        if near and keys[i] not in ALIASES:
            raise DataError(
                f"{where}: unknown column '{header[i]}'; is it '{near[0]}'? Rename it, or write "
                f"--columns {near[0]}='{header[i]}'"
            )
    return places, extra


def make_row(line: int, cells: list[str], places: dict[str, int], header: list[str]) -> SheetRow:
    """A row by our names; empty values at its end may be missing or too many."""
    named = max(i for i, name in enumerate(header) if name) + 1  # before it, one without name is pandas' index
    nameless = list(filter(None, map(clean, cells[named:])))
    if nameless:
        where = f"{len(cells)} values for {len(header)} columns" if len(cells) > len(header) else "a nameless column"
        return SheetRow(line, {}, f"{where}, with '{nameless[0]}'; quote values that hold the separator")
    cells = cells + [""] * (len(header) - len(cells))
    values = {name: clean(cells[place]) for name, place in places.items()}
    if "audio" in places:  # a file's name may have two spaces
        values["audio"] = cells[places["audio"]].strip()
    return SheetRow(line, values)


def clean(cell: str) -> str:
    """A value with single spaces and no control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ufeff]", " ", cell).split())


def bare(name: str) -> str:
    """What two spellings of a column's name have in common: letters and digits."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", name).lower()))


def shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[:length] + "..."


ALIASES = {alias: name for name, some in NAMES.items() for alias in (name, *some.split())}
