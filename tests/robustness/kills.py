"""Kill a recipe again and again at seeded changes of its files, and compare its end with a quiet run.

A chain is one recipe. It is started with killer.c preloaded, dies at its Nth change of a file (alone,
or with its whole process group), and is started again, until its kills are spent; then it runs to its
end. The kills so fall on every stage, also on what an earlier kill left behind.
"""

import os
import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.checkout import Checkout

HERE = Path(__file__).parent
FARTHEST = 60  # changes of a file before a kill, at most
UNCOMPARED = ("log", "tensorboard", "images", ".run", "report.html", "model.zip")  # times are in them
VARIES = re.compile(rb"\"?(commit|train_seconds)\"?: \"?[\w.-]+")  # from one quiet run to the next
PATIENCE = 120.0  # seconds that a killed run's jobs may take to end


def build(folder: Path) -> Path:
    """Compile killer.c."""
    library = folder / "killer.so"
    source = HERE / "killer.c"
    command = ["cc", "-O2", "-fPIC", "-shared", "-Wall", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


@dataclass
class Chain:
    """A recipe that is killed; ``kills`` counts the runs that died, ``whole`` those that did not."""

    checkout: Checkout
    language: str
    options: tuple[str, ...]
    library: Path
    seed: int
    kills: int = 0
    whole: int = 0

    def run(self, kills: int) -> None:
        """Run until ``kills`` runs died or nothing is left to kill, then to the end.

        Raises:
            AssertionError: a run that was not killed failed, or a job outlived its killed recipe.
        """
        draw = random.Random(self.seed)
        while self.kills < kills and self.whole < 2:
            self._attempt(draw.randint(1, FARTHEST), together=draw.random() < 0.5)
        self.checkout.run(self.language, *self.options)

    def _attempt(self, at: int, together: bool) -> None:
        recipe = self.checkout.recipe(self.language)
        counter = self.checkout.root / "changes"
        counter.write_bytes(bytes(8))
        environment = os.environ | {
            "LD_PRELOAD": str(self.library),
            "FAULT_AT": str(at),
            "FAULT_COUNTER": str(counter),
            "FAULT_ROOT": str(recipe),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        leader = 'export FAULT_LEADER=$$; exec "$@"' if together else 'exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", leader, "bash", recipe / "run.sh", *self.options],
            cwd=self.checkout.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        error = process.communicate()[1]
        fired = int.from_bytes(counter.read_bytes(), "little") >= at
        if fired:
            self.kills += 1
            assert process.returncode, f"killed at change {at}, and yet exit status 0"
            assert "Traceback" not in error, error
        else:
            self.whole += 1
            assert process.returncode == 0, error[-4000:]
        wait_for_jobs(recipe)


def wait_for_jobs(recipe: Path) -> None:
    """Wait until no process has the recipe as its directory; those that stay are killed and named."""
    deadline = time.monotonic() + PATIENCE
    while (left := processes_in(recipe)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"{len(left)} processes outlived their killed recipe"


def processes_in(folder: Path) -> list[int]:
    """The processes whose working directory is ``folder``."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder.resolve():
                found.append(int(link.parent.name))
        except OSError:
            pass
    return found


def differences(recipe: Path, quiet: Path) -> list[str]:
    """The files in which a recipe that was killed differs from one that was not."""
    files, expected = (contents(folder) for folder in (recipe, quiet))
    different = [name for name in expected if name in files and not same(files[name], expected[name])]
    return sorted({*different, *(files.keys() ^ expected.keys())})


def contents(recipe: Path) -> dict[str, Path]:
    """The files that stages made, by their path in the recipe."""
    found = {}
    for folder in ("data", "dump", "exp"):
        for path in (recipe / folder).rglob("*"):
            name = path.relative_to(recipe)
            skipped = any(part in UNCOMPARED for part in name.parts) or path.suffix == ".log"
            if path.is_file() and not skipped:
                found[str(name)] = path
    return found


def same(path: Path, expected: Path) -> bool:
    """Whether two files have the same bytes, or, where torch wrote them, the same weights."""
    if path.suffix != ".pth":
        ours, theirs = (VARIES.sub(b"", each.read_bytes()) for each in (path, expected))
        return ours == theirs
    ours, theirs = (torch.load(each, map_location="cpu", weights_only=False) for each in (path, expected))
    if "model" in ours:  # checkpoint.pth has times beside the weights
        ours, theirs = ours["model"], theirs["model"]
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
