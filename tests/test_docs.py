"""The pages: short, with links that lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("egs2/**/RESULTS.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    prose = re.sub(r"```.*?```|^(\||    ).*?$|!\[.*?\)", "", text, flags=re.DOTALL | re.MULTILINE)
    sentences = re.split(r"(?<=[.:!?])\s+|\n\n", re.sub(r"\]\([^)]*\)", "]", prose))
    assert [s for s in sentences if len(s.split()) > 30] == []


@pytest.mark.parametrize("page", ROOT.glob("egs2/**/RESULTS.md"), ids=lambda page: page.parent.name)
def test_results_are_one_screen(page):
    assert page.stat().st_size <= 6 * 1024
