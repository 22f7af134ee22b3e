"""One thin command per stage: parse, call, write."""

import argparse
import errno
import math
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from l2dual.errors import L2DualError, one_line

REMEDIES = {  # of what the system refuses
    errno.ENOSPC: "the disk is full: free some space, then run this again",
    errno.EDQUOT: "your quota is used up: free some space, then run this again",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EACCES: "no permission: change it, or choose another place",
    errno.EPERM: "no permission: change it, or choose another place",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EISDIR: "this is a directory: name a file",
    errno.ENOTDIR: "a part of the path is not a directory: check it",
    errno.ENOENT: "no such file or directory: check the name",
    errno.ENOMEM: "the memory is full: use fewer processes (--nj)",
}


def run(main: Callable[[], None]) -> None:
    """Call ``main``; an error is one line on stderr and exit status 1 (Ctrl-C: 130).

    Only an error of the program itself leaves a traceback. What the terminal's encoding lacks is
    written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    _interrupt_quietly()
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed again at exit
        sys.exit(1)
    except KeyboardInterrupt:
        print("l2dual: interrupted", file=sys.stderr)
        sys.exit(130)
    except (L2DualError, OSError, MemoryError, RecursionError, BrokenProcessPool) as error:
        print(f"l2dual: error: {one_line(describe(error))}", file=sys.stderr)
        sys.exit(1)


def describe(error: BaseException) -> str:
    """What went wrong, where, and what to do."""
    if isinstance(error, MemoryError):
        return "the memory is full: use fewer processes (--nj), shorter recordings or less data"
    if isinstance(error, BrokenProcessPool):
        return "a process was killed, often as the memory was full: use fewer processes (--nj)"
    if isinstance(error, RecursionError):
        return "an input is nested too deeply: check the files that this command reads"
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return where + REMEDIES.get(error.errno, f"{error.strerror or error}: check it")
    return str(error)


def _interrupt_quietly() -> None:
    """At Ctrl-C, which reaches all processes, let the workers end without a traceback."""
    main = os.getpid()

    def interrupt(*_) -> None:
        if os.getpid() != main:
            os._exit(0)  # of a DataLoader, any other status would be an error
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def positive_int(text: str) -> int:
    """Type of an option: a whole number above 0."""
    return int(_number(text, int, lambda n: n > 0, "a whole number above 0"))


def natural(text: str) -> int:
    """Type of an option: a whole number, 0 or more."""
    return int(_number(text, int, lambda n: n >= 0, "a whole number, 0 or more"))


def positive_float(text: str) -> float:
    """Type of an option: a finite number above 0."""
    return _number(text, float, lambda n: 0 < n < math.inf, "a number above 0")


def non_negative_float(text: str) -> float:
    """Type of an option: a finite number, 0 or more."""
    return _number(text, float, lambda n: 0 <= n < math.inf, "a number, 0 or more")


def _number(text: str, kind: type, fits: Callable, wanted: str) -> float:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not fits(number):
        raise argparse.ArgumentTypeError(f"'{text}': give {wanted}")
    return number
