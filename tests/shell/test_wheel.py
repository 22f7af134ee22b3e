"""The wheel works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import pkgutil, l2dual
from importlib import import_module
for module in pkgutil.walk_packages(l2dual.__path__, "l2dual."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
from l2dual.corpora.aihub import FIELD_MAPS, FieldMap
print([FieldMap.load(path).language for path in FIELD_MAPS.values()])
from l2dual.training.runs import commit
print(l2dual.__file__, commit())
"""
TABLE = "audio,speaker,split,surface,meaning\n" + "".join(
    f"{split}.wav,s{n},{split},i sink so,i think so\n" for n, split in enumerate(("train", "valid", "test"))
)


def python(*arguments, cwd, path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What the wheel holds, unpacked, inside somebody else's git repository."""
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("place")
    shutil.copytree(ROOT / "l2dual", source / "l2dual", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [wheel] = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "packages")
    commands = "git init -q . && git -c user.name=a -c user.email=a commit -q --allow-empty -m theirs"
    subprocess.run(commands, shell=True, cwd=place, check=True)
    return place / "packages"


def test_every_module_is_imported_from_it(installed):
    result = python("-c", IMPORT_ALL, cwd=installed.parent, path=installed)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == ["['ko', 'en', 'ko']", f"{installed}/l2dual/__init__.py unknown"]


def test_a_table_is_prepared_and_validated(installed, tmp_path):
    (tmp_path / "my.csv").write_text(TABLE)
    for split in ("train", "valid", "test"):
        soundfile.write(tmp_path / f"{split}.wav", np.full(16000, 0.1), 16000)
    prepare = "-m l2dual.bin.prepare --corpus table --language en --convention heard --db my.csv --out data"
    for command in (prepare, "-m l2dual validate my.csv", "-m l2dual validate data/test"):
        result = python(*command.split(), cwd=tmp_path, path=installed)
        assert result.returncode == 0, (command, result.stdout, result.stderr)
