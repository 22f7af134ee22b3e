"""shellcheck and shfmt have nothing to say about any shell script of the repository."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHEBANGS = ("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env sh")
SHELLCHECK, SHFMT = (
    shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name) for name in ("shellcheck", "shfmt")
)
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def is_shell(path):
    if path.suffix == ".sh":
        return True
    with open(path, "rb") as stream:
        return stream.readline().decode(errors="replace").strip() in SHEBANGS


def shell_scripts():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = {(ROOT / name).resolve() for name in listing.split("\0") if name}
    return sorted(path for path in paths if path.is_file() and is_shell(path))


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck():
    scripts = shell_scripts()
    assert ROOT / "tools" / "setup.sh" in scripts and ROOT / ".ci" / "run" in scripts
    command = [SHELLCHECK, "--external-sources", "--source-path=SCRIPTDIR", "--format=gcc"]
    result = subprocess.run([*command, *scripts], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout + result.stderr == ""


@pytest.mark.skipif(SHFMT is None, reason="shfmt is not installed")
def test_shfmt():
    result = subprocess.run([SHFMT, "--diff", *shell_scripts()], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout + result.stderr == ""
