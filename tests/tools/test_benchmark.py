"""The benchmark's page: rows measured anew stand beside those that are kept."""

import json
import shutil
import subprocess

import pytest

from tests.checkout import ROOT

WHAT = "all intervals of a study"


@pytest.mark.slow
def test_the_benchmark_replaces_the_rows_that_it_measures(tmp_path):
    exp, page = tmp_path / "l2_en/exp/tiny", tmp_path / "performance.md"
    for system in ("so_surface", "so_meaning", "do"):
        (exp / f"{system}.seed1").mkdir(parents=True)
        (exp / f"{system}.seed1/trained").touch()
    for copy in (page, page.with_suffix(".json")):
        shutil.copy(ROOT / "docs" / copy.name, copy)
    before = {row["what"]: row for row in json.loads(page.with_suffix(".json").read_text())["rows"]}
    command = [ROOT / "tools/benchmark.sh", "--exp", exp, "--page", page, "--only", "statistics"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = {row["what"]: row for row in json.loads(page.with_suffix(".json").read_text())["rows"]}
    assert list(after) == list(before) and [what for what in after if after[what] != before[what]] == [WHAT]
    intervals = int(after[WHAT]["note"].split(",")[0])
    assert intervals > 300 and after[WHAT]["value"] > intervals * 1e-4  # seconds, for 10,000 samples
    assert page.read_text().count(f"| {WHAT} ({intervals}, of the 35 runs of sharing) |") == 1
    assert f"; {WHAT}: commit " in page.read_text() and "study `l2_en/exp/tiny`" in page.read_text()
