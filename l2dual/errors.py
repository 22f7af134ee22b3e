"""Errors a user can mend: one line that names the file and the utterance and says what to do."""


class L2DualError(ValueError):
    """Base of the errors that a command reports as one line, without a traceback."""


class DataError(L2DualError):
    """A file or an utterance is not as it must be."""


class UsageError(L2DualError):
    """An option or a configuration does not fit."""


class WorkerError(L2DualError):
    """A worker of a training ended before its time."""
