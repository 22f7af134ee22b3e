"""Every package that is imported is declared in pyproject.toml, with a reason, and pinned."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UNIMPORTED = {"editdistance"}  # ESPnet imports it while it trains, but does not declare it

OURS = (*(ROOT / "tests").rglob("*.py"), *(ROOT / "tools" / "launch").glob("*.py"))
OWN = {"l2dual", "tests", *(path.stem for path in OURS)}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


distributions = cache(packages_distributions)


def declared(*extras):
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return {canonical(re.match(r"[\w.-]+", requirement)[0]) for names in lists for requirement in names}


@cache
def imported(folder):
    """The distributions that the modules of a folder import."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OWN
    known = distributions() | {"onnxruntime": ["onnxruntime"]}  # installed by who wants it
    return {canonical(known[top][0]) for top in tops}


@pytest.mark.slow
def test_what_is_imported_is_declared():
    assert imported("l2dual") - declared("kokoro") == set()


@pytest.mark.slow
def test_what_is_declared_is_imported():
    assert declared("kokoro") - imported("l2dual") == UNIMPORTED


@pytest.mark.slow
def test_what_tests_import_is_declared():
    assert imported("tests") - declared("test") == set()


@pytest.mark.parametrize("name", sorted(declared("test")))
def test_what_is_declared_is_pinned(name):
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "tools/requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert name in set(map(canonical, pins))


def test_every_dependency_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|kokoro|test) = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    lines = [line for names in lists for line in names.splitlines()]
    assert len(lists) == 3 and [line for line in lines if not re.search(r'",  # \S', line)] == []
