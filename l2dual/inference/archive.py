"""Open a packed model that anyone may have made: nothing in it runs or leaves its directory."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from l2dual.errors import DataError, L2DualError

BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)  # what zipfile raises

MOST_FILES = 1000
MOST_BYTES = 8 << 30  # unpacked


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """A directory with an archive's files, for the block.

    Raises:
        DataError: no zip archive, or one with a link, a path that leads out of it, or too much in it.
    """
    with TemporaryDirectory(prefix="l2dual.") as folder:
        try:
            with zipfile.ZipFile(archive) as packed:
                _check(archive, packed.infolist())
                packed.extractall(folder)
        except BROKEN as error:
            raise DataError(f"{archive}: not a model.zip ({error}): pack the run again (stage 12)") from error
        try:
            yield Path(folder)
        except L2DualError as error:  # of the archive, not of where it was unpacked
            raise type(error)(str(error).replace(folder, str(archive))) from error


def _check(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
        raise DataError(f"{archive}: more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB: this is no model")
    for member in members:
        path, kind = PurePosixPath(member.filename), stat.S_IFMT(member.external_attr >> 16)
        leads_out = path.is_absolute() or ".." in path.parts or "\\" in member.filename
        if leads_out or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{archive}: has a link or a path that leads out of it, {member.filename!r}: do not use it")
