"""RESULTS.md of each recipe and over both, from the kept studies in egs2/*/results."""

from dataclasses import fields, replace
from pathlib import Path

from l2dual.analysis.kinds import Analysis, AnalysisMeta, Cosine
from l2dual.errors import DataError
from l2dual.files import write_text
from l2dual.report import length, plots, real, records, tables
from l2dual.report.choice import VALID
from l2dual.report.claims import claims
from l2dual.report.page import render, view
from l2dual.report.sharing_md import over_all, sections_of, write_sharing_md
from l2dual.report.study import StudyResults, read_analyses
from l2dual.scoring.outcomes import gather, outcomes

MAIN = "measure"  # the study that a recipe's RESULTS.md is about; one line for each other
FACTS = ("corpus", "language", "convention")
FIRST = "measure_heard"  # its first models, with other weights and another optimizer
PLOT, PICTURE = "cross_talk.svg", "sharing.svg"  # in docs


def read_kept(directory: Path) -> StudyResults:
    """Score a kept study, and read the analyses kept beside it.

    Raises:
        DataError: not a kept study, or a broken file.
    """
    kept = records.load_study(directory)
    made = {"commit": "", "command": ""}
    results = outcomes(gather(kept.data, kept.scored()), made)
    beside = [
        outcomes(gather(kept.data, kept.having(name).scored(name)), made) if kept.having(name).runs else None
        for name in ("decode_half", "decode_ctc")
    ]
    names = [field.name for field in fields(Cosine)]  # older records have more
    logged = (one for record in kept.runs.values() for one in record["gradients"])
    cosines = [Cosine(**{name: one[name] for name in names if name in one}) for one in logged]
    meta = AnalysisMeta("gradients", *(kept.data.info[key] for key in FACTS), "", "", {}, **made)
    return StudyResults(results, {"gradients": Analysis(meta, cosines)} | read_analyses(directory), *beside)


def write_results_md(root: Path) -> list[Path]:
    """Write RESULTS.md of each recipe in ``root`` and over all, SHARING.md, and the plots in docs that they show.

    Raises:
        DataError: no recipe with a kept study ``MAIN``.
    """
    recipes = sorted(path.parents[1] for path in root.glob(f"*/results/{MAIN}"))
    if not recipes:
        raise DataError(f"{root}: no */results/{MAIN}: keep a study (python -m l2dual.bin.records keep)")
    kept = [_kept(recipe / "results") for recipe in recipes]
    studies, arms = [of[MAIN] for of in kept], sections_of(kept)
    picture, plot = over_all(kept, arms), plots.cross_talk(studies, "")
    first = [of[FIRST] for of in kept if FIRST in of]
    rows, before = claims(studies), claims(first) if len(first) == len(studies) else []
    written, views = [], []
    for index, (recipe, study) in enumerate(zip(recipes, studies, strict=True)):
        views.append(view(study, "", []))
        written += write_sharing_md(recipe, kept[index], arms[index], picture)
        longer = [name for arm in arms[index] for name in length.longer(arm, list(kept[index]))]  # in SHARING.md
        listed = {name: one for name, one in kept[index].items() if name not in (MAIN, *arms[index], *longer)}
        kept_in = {name: recipe / "results" / name for name in listed}
        spoken = {
            name: (kept_in[name], one)
            for name, one in listed.items()
            if one.results.meta.corpus != "simulated" and (kept_in[name] / real.RATED).is_file()
        }
        others = [
            (name, _dual_row(one))
            for name, one in listed.items()
            if name not in spoken and one.results.meta.split != VALID
        ]
        content = {
            "study": views[-1],
            "plot": plot,
            "others": others,
            "duals": list(dict.fromkeys(head.text for _, table in others for head, _ in table.rows)),
            "arms": next((name for name in arms[index] if name != MAIN), None),
            "real": real.table(spoken),
            "spoken": {name: (list(one.systems), _seeds(one)) for name, (_, one) in spoken.items()},
            "longest": next((length.longest(length.lengths_of(name, kept[index])) for name in arms[index]), ""),
            "names": " ".join(study.systems),
            "commits": sorted({run.commit for run in study.results.meta.runs}),
        }
        written.append(write_text(recipe / "RESULTS.md", render("results.md.jinja", content)))
    for name, figure in ((PLOT, plot), (PICTURE, picture)):
        if figure:
            write_text(root.parent / "docs" / name, figure.raw)
    names = [recipe.name for recipe in recipes]
    over = {"studies": views, "findings": rows, "recipes": names, "plot": plot}
    over["before"] = [[one.verdict for one in of] for _, of in before]
    return [*written, write_text(root / "RESULTS.md", render("results_both.md.jinja", over))]


def _kept(directory: Path) -> dict[str, StudyResults]:
    """Every kept study by name."""
    paths = sorted(path.parent for path in directory.glob(f"*/{records.REFERENCES}{records.SUFFIX}"))
    return {path.name: read_kept(path) for path in paths}


def _seeds(study: StudyResults) -> list[int]:
    return sorted({run.seed for run in study.results.meta.runs})


def _dual_row(study: StudyResults) -> tables.Table:
    """The table of the systems, its dual-output one alone."""
    table = tables.systems(study)
    return replace(table, rows=[row for row in table.rows if row[0].text == study.dual])
