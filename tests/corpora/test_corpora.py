"""Every corpus says what it has, and has its page, its tests and its place in db.sh."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from l2dual import corpora
from l2dual.corpora import CORPORA, Request, check, facts
from l2dual.errors import UsageError
from l2dual.simulate import MODULES

ROOT = Path(__file__).resolve().parents[2]
REAL = [name for name in CORPORA if name != "simulated"]


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_says_what_it_has(name):
    has = facts(name)
    assert set(has.languages) <= set(MODULES)
    assert set(has.conventions) <= {"heard", "pronounced"}
    assert has.surface in ("annotated", "none", "either")
    check(name, Request(has.languages[0], has.conventions[0]))
    assert list(inspect.signature(corpora.module(name).prepare).parameters) == ["db", "request"]
    assert (ROOT / f"tests/corpora/test_{name}.py").is_file()


@pytest.mark.parametrize("name", REAL)
def test_a_real_corpus_has_its_page_and_its_path(name):
    page = (ROOT / f"docs/corpora/{name}.md").read_text(encoding="utf-8")
    assert f"--corpus {name}" in page
    assert "**Run on the real corpus" in page or "**Format-tested" in page
    assert f"\n{name.upper()}=" in (ROOT / "egs2/TEMPLATE/l2dual1/db.sh").read_text()
    assert f"docs/corpora/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_facts_are_light_to_import():
    script = (
        "import sys; from l2dual.corpora import CORPORA, facts; [facts(n) for n in CORPORA];"
        "print([m for m in ('torch', 'espnet2', 'librosa', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    "name, request_, fault",
    [
        ("klingon", Request("en", "heard"), "no corpus 'klingon': choose from aihub, kaldi, "),
        ("pansori", Request("en", "heard"), "corpus pansori is in ko, not en"),
        ("aihub", Request("ko", "pronounced"), "its surface as heard, not pronounced"),
        ("kaldi", Request("en", "heard", columns={"a": "b"}), "--columns is for --corpus table, not"),
        ("table", Request("en", "heard", allow_pipes=True), "--allow_pipes is for --corpus kaldi, not"),
        ("l2arctic", Request("en", "pronounced", canonical="dictionary"), "--corpus kaldi or table"),
        ("table", Request("en", "heard", severity="double"), "--severity is for --corpus simulated"),
    ],
)
def test_what_a_corpus_has_not_is_one_line(name, request_, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        check(name, request_)
    assert "\n" not in str(caught.value)
