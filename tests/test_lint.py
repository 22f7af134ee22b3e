"""ruff and mypy have nothing to say."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (("ruff", "check", "--quiet", "."), ("mypy", "--no-error-summary"))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_lint(command):
    if not find_spec(command[0]):
        pytest.skip(f"{command[0]} is missing: tools/setup.sh")
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout + result.stderr == "" and result.returncode == 0
