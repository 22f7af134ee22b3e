"""Commands, run in the tests' own process: others would have to import torch and ESPnet first."""

import runpy
import signal
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from tempfile import TemporaryFile
from typing import TextIO
from unittest.mock import patch


def python_m(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Do what `python -m MODULE WORDS` does; return its exit status and what it, and its forks, printed."""
    status, interrupt = 0, signal.getsignal(signal.SIGINT)  # which commands change
    with (
        TemporaryFile("w+", encoding="utf-8") as output,
        TemporaryFile("w+", encoding="utf-8") as error,
        patch.object(sys, "argv", [module, *map(str, words)]),
        redirect_stdout(output),
        redirect_stderr(error),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code or 0
        finally:
            signal.signal(signal.SIGINT, interrupt)
        printed = [text_of(stream) for stream in (output, error)]
    return subprocess.CompletedProcess([module, *words], status, *printed)


def text_of(stream: TextIO) -> str:
    stream.seek(0)
    return stream.read()
