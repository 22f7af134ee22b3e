"""The tests of scoring notice a change of what they test: a tenth of mutmut's, and a weak test fails."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("tools", "l2dual", "tests", "conf", "docs", "pyproject.toml", "README.md")

pytestmark = pytest.mark.skipif(not find_spec("mutmut"), reason="mutmut is missing: pip install mutmut")


def mutate(root, *arguments):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [root / "tools/mutants.sh", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_tenth_of_the_mutants_is_noticed():
    done = mutate(ROOT, "--sample", "7", "crosstalk", "mispronunciation")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["crosstalk", "mispronunciation"]


def test_what_goes_unnoticed_is_named(tmp_path):
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    weak = "from l2dual.scoring.crosstalk import tally\n\n\ndef test_nothing():\n    tally([], [])\n"
    (tmp_path / "tests/scoring/test_crosstalk.py").write_text(weak)
    done = mutate(tmp_path, "--sample", "3", "crosstalk")
    assert done.returncode == 1, done.stdout + done.stderr
    assert '    unnoticed: crosstalk.x_tally__mutmut_23: - counts["learner_errors"]' in done.stdout
    assert mutate(tmp_path, "--sample", "x").stderr == "mutants: --sample takes a digit, not 'x'\n"
