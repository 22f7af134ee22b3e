"""Files: names made of ids, writing whole or not at all, and YAML of any origin."""

import hashlib
import math
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import yaml

from l2dual.errors import DataError, UsageError

NAME_BYTES = 255  # of a file's name, at most, on every file system
PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.+=@-]*")  # an id that is its own file name
UNSAFE = re.compile(r"[^\w.+=@-]|^[.-]")  # in a file name
ID = re.compile(r"[\w+=@-][\w.+=@-]*")
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
YAML_BYTES = 16 << 20
YAML_DEPTH = 50
YAML_SCALAR = 10_000  # letters of one value: PyYAML's numbers take time that grows as their square
YAML_NODES = 1_000_000  # with every alias written out; a token list has 50,000


def is_id(name: str) -> bool:
    """Whether an utterance or a speaker may have this name: see docs/validate.md."""
    fits = len(name.encode("utf-8", "surrogatepass")) <= NAME_BYTES
    return fits and bool(ID.fullmatch(name)) and unicodedata.is_normalized("NFC", name)


def file_name(name: str, suffix: str = "") -> str:
    """The file name, with ``suffix``, of an utterance, speaker or anything else that data names.

    A short name of lower-case ASCII letters, digits and ``_.+=@-`` stays as it is. Any other gets
    `~` and a digest, and loses what a path could not have: no two names share a file, even where
    the file system ignores case or normalizes letters.
    """
    room = NAME_BYTES - len(suffix.encode())
    if PLAIN.fullmatch(name) and len(name) <= room:
        return name + suffix
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    readable = UNSAFE.sub("_", unicodedata.normalize("NFC", name)).encode()
    start = readable[: room - len(digest) - 1].decode(errors="ignore")
    return f"{start}~{digest}{suffix}"


def leads_out(path: Path, directory: Path) -> bool:
    """Whether ``path``, in ``directory``, is a symbolic link to something outside of it."""
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))
    return path.is_symlink() and not inside


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open ``path`` for writing text (``mode`` "wb": bytes).

    It appears, complete and on the disk, only if the block succeeds. Symbolic links are not
    followed: one at ``path`` is replaced.

    Raises:
        DataError: there is a directory, a device or the like.
        OSError: it can't be written; names ``path``.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: this is not a regular file, so it is not replaced: choose another name")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exclusive = mode.replace("w", "x")  # no link is followed either
        with open(temporary, exclusive, encoding=encoding, newline=newline) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a whole text file; errors as `atomic_write`."""
    with atomic_write(path) as stream:
        stream.write(text)
    return path


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a whole text file.

    Raises:
        DataError: no regular file (a pipe or a device could be read for ever), or not UTF-8.
    """
    if not path.is_file():
        problem = "not a regular file" if path.exists() else "no such file"
        raise DataError(f"{path}: {problem}: check the name, or run the stage that writes it")
    try:
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}): convert it to UTF-8") from error


def read_yaml(path: Path) -> dict:
    """A YAML file that holds a mapping.

    Raises:
        UsageError: no such file, not YAML, too large, too deep, or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file: check the option that names it")
    try:
        content = parse_yaml(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must hold `key: value` lines")
    return content


def parse_yaml(text: str) -> object:
    """The value that YAML ``text`` writes.

    Raises:
        ValueError: not YAML, not a number where it says `.nan`, or too large, too deep, or too much
            of it by reference (aliases); one line that says why.
    """
    if len(text) > YAML_BYTES:
        raise ValueError(f"more than {YAML_BYTES >> 20} MiB: is this the right file?")
    try:
        _check_size(text)
        content = yaml.load(text, YAML_LOADER)
        _check_numbers(content, "")
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:  # at `!!bool x`
        raise ValueError(f"a value does not fit its tag ({type(error).__name__})") from error
    return content


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _check_size(text: str) -> None:
    """Count depth and nodes, aliases written out, before anything is built."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # anchor, nodes so far
    for event in yaml.parse(text, YAML_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > YAML_DEPTH:
                raise ValueError(f"line {_line(event)}: nested deeper than {YAML_DEPTH}")
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"line {_line(event)}: *{event.anchor} has no anchor")
            anchor, size = None, sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > YAML_SCALAR:
                raise ValueError(f"line {_line(event)}: a value of more than {YAML_SCALAR} letters")
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        else:
            continue
        if anchor:
            sizes[anchor] = size
        outer, so_far = open_nodes.pop()
        open_nodes.append((outer, so_far + size))
        if so_far + size > YAML_NODES:
            raise ValueError(f"more than {YAML_NODES} values with its aliases written out")


def _check_numbers(value: object, name: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, name)
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{name} is not a number (nan): write a number")


def user_cache() -> Path:
    """The directory of a user's own models and pretrained encoders: L2DUAL_CACHE, or one in their home."""
    return Path(os.environ.get("L2DUAL_CACHE") or Path.home() / ".cache/l2dual")
