"""Errors a user can correct: one line: which file and utterance, what is wrong, what to do."""


class L2DualError(ValueError):
    """Base of the errors that a command reports as one line, without a traceback."""


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
