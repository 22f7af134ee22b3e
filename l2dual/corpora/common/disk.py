"""The files of a corpus on a disk that another system may have written.

macOS writes the letters of file names in parts (NFD), where labels and tables have them whole (NFC).
On disks that are not its own it leaves a file ``._NAME`` beside each file, and ``.DS_Store``; its
archives have a folder ``__MACOSX``. Those hold no data.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

FORMS = ("NFC", "NFD")
NO_DATA = ("._", ".DS_Store", "__MACOSX")  # what their names begin with


def files(folder: Path, pattern: str) -> list[Path]:
    """Return what a glob pattern matches below a folder, in either form, sorted."""
    patterns = {unicodedata.normalize(form, pattern) for form in FORMS}
    found = {path for one in patterns for path in folder.glob(one)}
    return sorted(path for path in found if is_data(path.relative_to(folder)))


def is_data(path: Path) -> bool:
    """Whether no part of a path is macOS's own."""
    return not any(part.startswith(NO_DATA) for part in path.parts)


def as_on_disk(path: Path) -> Path:
    """Return the path of a file: as given, or with its letters in parts (NFD) or whole (NFC).

    Each folder may be in another form, and other white space is no difference. A file that is in
    none is returned as given.
    """
    if _exists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        found /= names(found).get(_key(part), part)
    return found if _exists(found) else path


def names(folder: Path) -> Mapping[str, str]:
    """The names in a folder by what their spellings have in common, where that is one name's."""
    try:
        return _names(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=4096)
def _names(folder: Path, changed: int) -> Mapping[str, str]:
    there = sorted(path.name for path in folder.iterdir())
    number = Counter(map(_key, there))
    return {_key(name): name for name in there if number[_key(name)] == 1}


def _key(name: str) -> str:
    return " ".join(whole(name).split())


def _exists(path: Path) -> bool:
    """Whether it is there; no name is too long or too odd to ask."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def whole(name: str) -> str:
    """Return a name with its letters whole (NFC), as labels, ids and tables have it."""
    return unicodedata.normalize("NFC", name)
