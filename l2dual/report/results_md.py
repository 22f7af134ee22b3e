"""RESULTS.md of each recipe and over both, from the kept studies in egs2/*/results."""

from dataclasses import replace
from pathlib import Path

from l2dual import records
from l2dual.analysis.records import KINDS, read_analysis
from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.outcomes import gather, outcomes
from l2dual.report import tables
from l2dual.report.findings import answer, beside, findings
from l2dual.report.page import figures, limits, render
from l2dual.report.study import Study

MAIN = "measure_heard"  # the study that a recipe's RESULTS.md is about; one line for each other
PLOT = "cross_talk.svg"


def read_kept(directory: Path) -> Study:
    """Score a kept study, and read the analyses kept beside it.

    Raises:
        DataError: not a kept study, or a broken file.
    """
    kept = records.load(directory)
    results = outcomes(gather(kept.data, kept.scored()), {"commit": "", "command": ""})
    files = {what: directory / f"{what}.json" for what in KINDS}
    return Study(results, {what: read_analysis(file) for what, file in files.items() if file.is_file()})


def write_results_md(root: Path) -> list[Path]:
    """Write RESULTS.md and a plot of each recipe in ``root``, and RESULTS.md over all of them.

    Raises:
        DataError: no recipe with a kept study ``MAIN``.
    """
    recipes = sorted(path.parents[1] for path in root.glob(f"*/results/{MAIN}"))
    if not recipes:
        raise DataError(f"{root}: no */results/{MAIN}: keep a study (python -m l2dual.bin.records keep)")
    studies = [read_kept(recipe / "results" / MAIN) for recipe in recipes]
    rows, written = findings(studies), []
    for index, (recipe, study) in enumerate(zip(recipes, studies, strict=True)):
        plot = figures(study, "talk")["talk"]
        if plot:
            _write(recipe / PLOT, plot.raw)
        content = _content(study) | {
            "findings": [(claim, found[index]) for claim, found in rows],
            "others": _others(recipe / "results"),
            "plot": plot,
        }
        written.append(_write(recipe / "RESULTS.md", render("results.md.jinja", content)))
    over = {
        "studies": [_content(study) for study in studies],
        "findings": rows,
        "recipes": [recipe.name for recipe in recipes],
    }
    return [*written, _write(root / "RESULTS.md", render("results_both.md.jinja", over))]


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as stream:
        stream.write(text)
    return path


def _content(study: Study) -> dict:
    meta = study.results.meta
    return {
        "study": study,
        "meta": meta,
        "surface": study.written,
        "sentences": list(filter(None, [*answer(study), beside(study)])),
        "table": tables.systems(study),
        "trio": study.trio(),
        "limits": limits(study),
        "commits": sorted({run.commit for run in meta.runs}),
        "seeds": sorted({run.seed for run in meta.runs}),
        "systems": " ".join(study.systems),
    }


def _others(directory: Path) -> list[tuple[str, tables.Table]]:
    """The trio of every other kept study, without columns that this table has no room for."""
    found = []
    for path in sorted(directory.iterdir()):
        if path.name != MAIN and (path / f"{records.REFERENCES}{records.SUFFIX}").is_file():
            study = read_kept(path)
            table = tables.systems(study)
            found.append((path.name, replace(table, rows=[r for r in table.rows if r[0] == study.dual])))
    return found
