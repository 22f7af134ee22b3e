"""Kaldi's tables as corpora bring them: `<key> <value>` lines, separated by spaces or a tab."""

from pathlib import Path

from l2dual.errors import DataError


def read_keyed(path: Path, remedy: str) -> dict[str, str]:
    """Return the value of each key; ``remedy`` says what to do where the file is not right.

    Raises:
        DataError: no such file, not UTF-8, a line without a value, or a duplicate key.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; {remedy}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); {remedy}") from None
    table = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        fields = line.split(maxsplit=1)
        if len(fields) != 2:
            raise DataError(f"{path}, line {number}: no `<key> <value>`; {remedy}")
        if fields[0] in table:
            raise DataError(f"{path}, line {number}: {fields[0]} is a duplicate; {remedy}")
        table[fields[0]] = fields[1].strip()
    return table
