"""Set-up: the parts that need neither minutes nor the network."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = "bash cat cksum dirname env grep head rm sed sleep tail touch".split()


def run(command, directory, **environment):
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300
    )


def installed_pins():
    """The packages of requirements.txt at the versions that are installed here."""
    text = (ROOT / "tools" / "requirements.txt").read_text()
    for name in re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE):
        try:
            yield f"{name}=={version(name)}\n"
        except PackageNotFoundError:  # not for this Python or system
            continue


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources, with a .venv that sees the packages of this environment."""
    tree = tmp_path_factory.mktemp("set up") / "l2dual copy"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("tools", "l2dual"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    (tree / "tools" / "requirements.txt").write_text("".join(installed_pins()))
    (tree / ".tools/whisper-base").mkdir(parents=True)  # as if fetched before
    (tree / ".tools/whisper-base/tokenizer.json").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tree / ".venv"], check=True)
    version_directory = "python{}.{}".format(*sys.version_info)
    here = Path(os.__file__).parent if sys.prefix == sys.base_prefix else Path(sys.prefix) / "lib"
    packages = here / version_directory / "site-packages"
    (tree / ".venv" / "lib" / version_directory / "site-packages" / "here.pth").write_text(
        f"{packages}\n"
    )
    return tree


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with the usual programs but no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for program in PROGRAMS:
        (directory / program).symlink_to(shutil.which(program))
    return directory


def test_setup_installs_then_does_nothing_then_follows_a_change(tree):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree)}
    setup = [tree / "tools" / "setup.sh"]
    first = run(setup, tree, **environment)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "installing" in first.stdout and first.stdout.endswith("setup: done\n")
    code = "import l2dual; print(l2dual.__file__)"
    found = run([tree / ".venv" / "bin" / "python", "-c", code], "/", **environment)
    assert found.stdout.strip() == str(tree / "l2dual" / "__init__.py")

    second = run(setup, "/", **environment)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    with open(tree / "tools" / "requirements.txt", "a") as stream:
        stream.write("no-such-package-of-l2dual==1.0\n")
    third = run(setup, tree, PIP_NO_INDEX="1", **environment)
    assert third.returncode == 1
    assert "No matching distribution found for no-such-package-of-l2dual" in third.stderr
    assert (tree / ".venv" / "l2dual.unfinished").exists()


def test_an_active_environment_is_named_before_it_is_changed(tree, tmp_path):
    own = tmp_path / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    before = (tree / ".venv" / "pyvenv.cfg").stat()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree), "VIRTUAL_ENV": str(own)}
    done = run([tree / "tools" / "setup.sh"], tree, **environment)
    assert done.returncode == 1  # it has no pip, and nothing else is changed
    named, instead = done.stdout.splitlines()[:2]
    assert named.endswith(f"into your active environment {own}")
    assert instead.startswith("setup: (for .venv instead: ") and "deactivate" in instead
    assert (tree / ".venv" / "pyvenv.cfg").stat() == before


def test_no_python_says_how_to_get_one(tmp_path, bare_path):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    broken = bare_path / "python3.12"  # as a pyenv shim of a version that is not chosen
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    setup = [tmp_path / "tools" / "setup.sh"]
    result = run(setup, tmp_path, PATH=str(bare_path), HOME=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("setup: error: no Python 3.12 or 3.13 was found.")
    for way in ("uv python install", "pyenv install", "conda create", "apt-get install"):
        assert way in result.stderr
    assert not (tmp_path / ".venv").exists()


def activate(directory, script, **environment):
    command = ["bash", "-euc", f'. "$0"; {script}', directory / "tools" / "activate.sh"]
    return run(command, directory, **environment)


def test_activate_prefers_the_environment_of_the_user(tmp_path, bare_path):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    script = "type -P python local.py; echo $PYTHONPATH"
    result = activate(tmp_path, script, PATH=str(bare_path), VIRTUAL_ENV=sys.prefix)
    assert result.stdout.splitlines() == [
        f"{sys.prefix}/bin/python",
        f"{tmp_path}/tools/launch/local.py",
        str(tmp_path),
    ], result.stderr


def test_activate_without_the_packages_points_to_setup(tmp_path, bare_path):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    result = activate(tmp_path, "echo ran", PATH=str(bare_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f"run {tmp_path}/tools/setup.sh\n")


def check_env(python, **environment):
    command = [python, ROOT / "tools" / "check_env.py"]
    return run(command, "/", PATH=os.environ["PATH"], **environment)


def test_check_env_passes_here():
    result = check_env(sys.executable)
    assert result.returncode == 0, result.stdout
    assert re.search(r"^ok +espnet +\d+", result.stdout, flags=re.MULTILINE)
    assert re.search(r"^ok +speed +[1-9]\d* GFLOP/s", result.stdout, flags=re.MULTILINE)
    assert "MISSING" not in result.stdout


def test_check_env_names_what_is_missing(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    result = check_env(tmp_path / "venv" / "bin" / "python")
    assert result.returncode == 1
    assert re.search(r"^MISSING +espnet +run tools/setup.sh", result.stdout, flags=re.MULTILINE)
    assert result.stdout.splitlines()[-1].endswith("praatio, l2dual, espeak-ng")
