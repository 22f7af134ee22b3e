"""Errors a user can correct: one line: which file and utterance, what is wrong, what to do."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

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


class L2DualError(ValueError):
    """Base of the errors that a command reports as one line, without a traceback."""

    status = 1  # with which the command ends


class DataError(L2DualError):
    """A file or an utterance is not valid."""


class UsageError(L2DualError):
    """An option or a configuration is not valid."""


class WorkerError(L2DualError):
    """A worker of a training was lost."""


def one_line(text: str) -> str:
    """``text`` for a terminal: control characters and line ends are escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def run(main: Callable[[], None]) -> None:
    """Call ``main``; an error is one line on stderr and its exit status, mostly 1 (Ctrl-C: 130).

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
        sys.exit(error.status if isinstance(error, L2DualError) else 1)


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
        return where + REMEDIES.get(error.errno or 0, f"{error.strerror or error}: check it")
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
