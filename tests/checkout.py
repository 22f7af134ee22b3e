"""A copy of the recipes for tests that run them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TINY_SECONDS = 600  # far above what a tiny run takes
TINY = ("--base", "tiny", "--nj", "2")


class Checkout:
    """A copy of the recipes, beside links to the code, where runs leave the project alone.

    ``python`` is the environment whose Python they take: this one, or a warm one, whose processes start sooner.
    """

    def __init__(self, folder: Path, python: Path = Path(sys.prefix)):
        self.root = folder
        self.python = python
        folder.mkdir(exist_ok=True)
        for name in ("l2dual", "tools", "conf"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(python)
        skip = shutil.ignore_patterns("data", "dump", "exp")
        shutil.copytree(ROOT / "egs2", folder / "egs2", symlinks=True, ignore=skip)

    def recipe(self, language: str) -> Path:
        return self.root / "egs2" / f"l2_{language}"

    def run(
        self, language: str, *options: str, check=True, **environment: str
    ) -> subprocess.CompletedProcess:
        process = subprocess.Popen(
            [self.recipe(language) / "run.sh", *options],
            cwd=self.root,
            env=os.environ | {"OMP_NUM_THREADS": "1", "VIRTUAL_ENV": str(self.python)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, error = process.communicate(timeout=TINY_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            output, error = process.communicate(timeout=60)
            error += f"\nstill running after {TINY_SECONDS} seconds"
        assert process.returncode == 0 or not check, output[-2000:] + error[-4000:]
        return subprocess.CompletedProcess(process.args, process.returncode, output, error)
