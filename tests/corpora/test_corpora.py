"""Every corpus of conf/corpora.txt has its module, its page, its tests and its place in db.sh."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from l2dual.simulate import MODULES
from l2dual.text.cleaning import plain

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "conf/corpora.txt").read_text(encoding="utf-8").splitlines()
ROWS = [line.split() for line in LINES if not line.startswith("#")]
REAL = [row[0] for row in ROWS if row[0] != "simulated"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_there_is(row):
    name, languages, conventions, surface = row
    assert set(languages.split(",")) <= set(MODULES)
    assert set(conventions.split(",")) <= {"heard", "pronounced"}
    assert surface in ("annotated", "none", "either")
    assert (ROOT / f"tests/corpora/test_{name}.py").is_file()


@pytest.mark.parametrize("name", REAL)
def test_a_real_corpus_has_its_reader_its_page_and_its_path(name):
    prepare = import_module(f"l2dual.corpora.{name}").prepare
    assert list(inspect.signature(prepare).parameters) == ["db", "request"]
    page = (ROOT / f"docs/corpora/{name}.md").read_text(encoding="utf-8")
    assert f"--corpus {name}" in page
    assert "**Run on the real corpus" in page or "**Format-tested" in page
    assert f"\n{name.upper()}=" in (ROOT / "egs2/TEMPLATE/l2dual1/db.sh").read_text()
    assert f"docs/corpora/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "written, expected",
    [
        ("Don’t, don`t!", "don't don't"),
        ("It costs 1,000 won, or 3.5 %.", "it costs 1000 won or 3.5 %"),
        ("1,2,3", "1 2 3"),
        ("pro\u00adnounce", "pronounce"),
        ("“학교에,” 갔어요.", "학교에 갔어요"),
        ("...", ""),
    ],
)
def test_plain_text(written, expected):
    assert plain(written) == expected
    assert plain(expected) == expected
