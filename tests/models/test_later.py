"""Modules that are imported later: nothing is lost but the time."""

import sys
from importlib import import_module

import pytest

from l2dual.models.later import Later

SOURCE = "loads.append(1)\nVALUE = 5\ndef double(x): return 2 * x\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that takes long: its name, and the list that grows when it is imported."""
    folder = tmp_path / "takes_long"
    folder.mkdir()
    (folder / "__init__.py").write_text("from builtins import loads_of_test as loads\n" + SOURCE)
    (folder / "inner.py").write_text("INNER = 7\n")
    loads = []
    monkeypatch.setattr("builtins.loads_of_test", loads, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield loads
    for name in ("takes_long", "takes_long.inner"):
        sys.modules.pop(name, None)


def imported(name):
    """What `from takes_long import name` gives."""
    scope = {}
    exec(f"from takes_long import {name}", scope)
    return scope[name]


def test_a_function_imports_its_module_when_it_is_called(package):
    Later("takes_long", double=None)
    double = imported("double")
    assert not hasattr(sys.modules["takes_long"], "__file__") and package == []
    assert double(4) == 8 and double(5) == 10 and package == [1]
    assert sys.modules["takes_long"].__file__


def test_what_takes_the_place_of_a_function_needs_no_module(package):
    Later("takes_long", package=True, double=lambda x: x)
    assert import_module("takes_long").double(4) == 4 and package == []


def test_all_else_is_the_modules_own(package):
    Later("takes_long", double=None)
    assert imported("VALUE") == 5 and package == [1] and import_module("takes_long").double(4) == 8
    with pytest.raises(ImportError, match="cannot import name 'gone' from 'takes_long'"):
        imported("gone")


@pytest.mark.parametrize("name", ["inner", "gone"])
def test_a_package_has_its_modules(package, name):
    Later("takes_long", package=True, double=lambda x: x)
    if name == "inner":
        assert import_module("takes_long.inner").INNER == 7
    else:
        with pytest.raises(ModuleNotFoundError, match=r"No module named 'takes_long.gone'"):
            import_module("takes_long.gone")
    assert import_module("takes_long").double(4) == 8 and package == [1]


def test_a_module_that_is_there_stays(package):
    there = import_module("takes_long")
    Later("takes_long", double=lambda x: x)
    assert import_module("takes_long") is there and there.double(4) == 8
