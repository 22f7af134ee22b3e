"""A copy of the recipes for tests that run them."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TINY = ("--preset", "tiny", "--nj", "2")


class Checkout:
    """A copy of the recipes, beside links to the code, where runs leave the project alone."""

    def __init__(self, folder: Path):
        self.root = folder
        for name in ("l2dual", "tools", "conf"):
            (folder / name).symlink_to(ROOT / name)
        if (ROOT / ".venv").exists():
            (folder / ".venv").symlink_to(ROOT / ".venv")
        skip = shutil.ignore_patterns("data", "dump", "exp")
        shutil.copytree(ROOT / "egs2", folder / "egs2", symlinks=True, ignore=skip)

    def recipe(self, language: str) -> Path:
        return self.root / "egs2" / f"l2_{language}"

    def run(
        self, language: str, *options: str, check=True, **environment: str
    ) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [self.recipe(language) / "run.sh", *options],
            cwd=self.root,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 or not check, done.stdout[-2000:] + done.stderr[-4000:]
        return done
