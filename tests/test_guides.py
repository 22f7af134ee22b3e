"""The guides do what they say: their blocks are written, changed, run and compared in a scratch project.

A fenced block begins with its kind: `python FILE` and `yaml FILE` are written, `diff FILE` changes a
file, `sh` is run, `output` stands in what the last `sh` printed.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project that a guide may change."""
    for name in ("l2dual", "conf", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("docs", "egs2"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def change(file: Path, diff: str) -> None:
    """Put a diff's lines in the place of those that it shows, which must be there once."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file}: not there once:\n{old}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def shell(project: Path, script: str, python: Path) -> str:
    path = f"{python}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "PATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_does_what_it_says(guide, project, warm):
    text = guide.read_text(encoding="utf-8").replace("/tmp/", f"{project}/")
    printed, done = "", []
    for kind, file, content in BLOCK.findall(text):
        done.append(kind)
        if kind == "diff":
            change(project / file, content)
        elif kind == "sh":
            printed = shell(project, content, warm)
        elif kind == "output":
            assert content.strip() in printed
        else:
            assert kind in ("python", "yaml") and not (project / file).exists()
            (project / file).write_text(content, encoding="utf-8")
    assert {"sh", "output"} < set(done)
    assert text.count("```") == 2 * len(done)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_is_one_page(guide):
    assert len(BLOCK.sub("", guide.read_text(encoding="utf-8")).split()) < 400
