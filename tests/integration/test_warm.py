"""The warm Python that other tests take is one: its processes end as others do."""

import os
import subprocess
import time
from pathlib import Path

import pytest

MODULE = """
import os, sys, time
print(os.getpid(), os.getcwd(), os.environ["WORD"], sys.stdin.read(), flush=True)
exec(sys.argv[1])
"""


@pytest.fixture
def start(warm, tmp_path):
    (tmp_path / "module.py").write_text(MODULE)

    def call(code: str) -> subprocess.Popen:
        command = [warm / "bin/python", "-m", "module", code]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"WORD": "말"}, text=True, **pipes)

    return call


@pytest.mark.parametrize(
    "code, status, said",
    [
        ("pass", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('why')", 1, "why\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("os.kill(os.getpid(), 15)", -15, ""),
    ],
)
def test_a_caller_ends_as_its_fork_does(start, tmp_path, code, status, said):
    process = start(code)
    output, error = process.communicate("read")
    assert (process.returncode, output.split()[1:]) == (status, [str(tmp_path), "말", "read"])
    assert error.endswith(said) and bool(error) == bool(said)


def test_a_fork_ends_with_its_caller(start):
    process = start("time.sleep(300)")
    process.stdin.close()
    fork = Path("/proc") / process.stdout.readline().split()[0]
    assert fork.exists()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 120
    while fork.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
