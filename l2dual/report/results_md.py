"""RESULTS.md of each recipe and over both, from the kept studies in egs2/*/results."""

from dataclasses import replace
from pathlib import Path

from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.report import plots, records, tables
from l2dual.report.claims import claims
from l2dual.report.page import render, view
from l2dual.report.study import StudyResults, read_analyses
from l2dual.scoring.outcomes import gather, outcomes

MAIN = "measure_heard"  # the study that a recipe's RESULTS.md is about; one line for each other
PLOT = "cross_talk.svg"


def read_kept(directory: Path) -> StudyResults:
    """Score a kept study, and read the analyses kept beside it.

    Raises:
        DataError: not a kept study, or a broken file.
    """
    kept = records.load_study(directory)
    made = {"commit": "", "command": ""}
    results = outcomes(gather(kept.data, kept.scored()), made)
    half = kept.scored("decode_half") if kept.has("decode_half") else None
    return StudyResults(results, read_analyses(directory), half and outcomes(gather(kept.data, half), made))


def write_results_md(root: Path) -> list[Path]:
    """Write RESULTS.md of each recipe in ``root`` and over all of them, and the plots that they show.

    Raises:
        DataError: no recipe with a kept study ``MAIN``.
    """
    recipes = sorted(path.parents[1] for path in root.glob(f"*/results/{MAIN}"))
    if not recipes:
        raise DataError(f"{root}: no */results/{MAIN}: keep a study (python -m l2dual.bin.records keep)")
    studies = [read_kept(recipe / "results" / MAIN) for recipe in recipes]
    rows, written, views = claims(studies), [], []
    for index, (recipe, study) in enumerate(zip(recipes, studies, strict=True)):
        views.append(view(study, "", [(claim, found[index]) for claim, found in rows]))
        if views[-1]["talk"]:
            _write(recipe / PLOT, views[-1]["talk"].raw)
        kept = _others(recipe / "results")
        others = [(name, _dual_row(other)) for name, other in kept.items()]
        written += _sharing(recipe, kept)
        content = {
            "study": views[-1],
            "others": others,
            "duals": list(dict.fromkeys(head.text for _, table in others for head, _ in table.rows)),
            "names": " ".join(study.systems),
            "commits": sorted({run.commit for run in study.results.meta.runs}),
        }
        written.append(_write(recipe / "RESULTS.md", render("results.md.jinja", content)))
    plot = plots.cross_talk(studies, "")
    if plot:
        _write(root.parent / "docs" / PLOT, plot.raw)
    names = [recipe.name for recipe in recipes]
    over = {"studies": views, "findings": rows, "recipes": names, "plot": plot}
    return [*written, _write(root / "RESULTS.md", render("results_both.md.jinja", over))]


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as stream:
        stream.write(text)
    return path


def _others(directory: Path) -> dict[str, StudyResults]:
    """Every other kept study by name."""
    paths = sorted(path.parent for path in directory.glob(f"*/{records.REFERENCES}{records.SUFFIX}"))
    return {path.name: read_kept(path) for path in paths if path.name != MAIN}


def _dual_row(study: StudyResults) -> tables.Table:
    """The table of the systems, its dual-output one alone."""
    table = tables.systems(study)
    return replace(table, rows=[row for row in table.rows if row[0].text == study.dual])


def _sharing(recipe: Path, kept: dict[str, StudyResults]) -> list[Path]:
    """Write SHARING.md and its plots, if a kept study has systems that share in unlike ways."""
    studies = [(name, view(study, name, [])) for name, study in kept.items()]
    studies = [(name, seen) for name, seen in studies if seen["sharing"]]
    for figure in (figure for _, seen in studies for figure in seen["sharing"]):
        _write(recipe / f"{figure.name}.svg", figure.raw)
    if not studies:
        return []
    content = {"studies": studies, "language": studies[0][1]["name"]}
    return [_write(recipe / "SHARING.md", render("sharing.md.jinja", content))]
