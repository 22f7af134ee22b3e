"""The HTML page of one study, and the page over both languages."""

from pathlib import Path

from l2dual.data.datadir import ASSUMPTIONS, DataDir, convention_of
from l2dual.errors import DataError
from l2dual.pages import fill
from l2dual.report import hypotheses, plots, sharing, tables
from l2dual.report.budget import budget
from l2dual.report.claims import answer, beside, claims
from l2dual.report.examples import examples
from l2dual.report.study import StudyResults, ends, percent, points, read_study
from l2dual.text.units import NAMES

SIMULATED = (
    "The speech is simulated: rules make the learners’ errors and a synthesizer speaks them. The numbers "
    "test the method; they say nothing about real learners."
)


def page(exp: Path, data: Path) -> str:
    """The page of the study in ``exp``, whose test set is ``data``.

    Raises:
        DataError: no results, results on other data, or a broken file.
    """
    study, split = read_study(exp), DataDir.load(data)
    scored = Path(study.results.meta.data) / study.results.meta.split
    if scored != data:
        raise DataError(f"{exp}/results.json: its results are of {scored}, not {data}: check --data")
    return render(
        "page.html",
        {
            "title": f"L2 {study.name}, {convention_of(split.info)}: one output or two?",
            "study": view(study, "p", claims([study]), *sharing.sections([study], ["p-sharing"])),
            "examples": examples(study, split),
            "tables": [
                tables.systems(study),
                *(tables.by_bin(study, output) for output in study.outputs),
                tables.detection(study),
                *tables.analyses(study),
            ],
            "hypotheses": hypotheses.ABOUT,
            "facts": {**split.info, "test utterances": study.results.meta.n_utts},
        },
    )


def page_over(exps: list[Path]) -> str:
    """The page over several studies, from their result files alone."""
    studies = [read_study(exp) for exp in exps]
    rows = claims(studies)
    shared = sharing.sections(studies, [f"s{index}-sharing" for index in range(len(studies))])
    views = [
        view(study, f"s{index}", [(claim, [found[index]]) for claim, found in rows], shared[index])
        for index, study in enumerate(studies)
    ]
    title = "One output or two, in both languages"
    over = {"title": title, "studies": views, "findings": rows, "hypotheses": hypotheses.ABOUT}
    return render("both.html", over)


def view(study: StudyResults, name: str, rows: list, shared: sharing.Section | None = None) -> dict:
    """What a page or RESULTS.md shows of a study; ``name`` begins the plots' ids."""
    meta, learned = study.results.meta, not nothing_learned(study)
    return {
        "name": study.name,
        "meta": meta,
        "dual": study.dual,
        "surface": study.written,
        "tokens": NAMES[meta.units[study.outputs[0]][0]],
        "warnings": [*meta.warnings, *elsewhere(study)],
        "answer": answer(study) if learned else [],
        "beside": beside(study) if learned else None,
        "square": square(study),
        "talk": plots.cross_talk([study], f"{name}-talk") if learned else None,
        "divergence": plots.by_divergence(study, f"{name}-divergence") if learned else None,
        "sharing": shared if learned else None,
        "findings": rows,
        "limits": limits(study),
        "test_set": test_set(study),
        "budget": budget(study),
        "systems": tables.systems(study),
        "singles": [system for system in study.trio() if system != study.dual],
        "seeds": sorted({run.seed for run in meta.runs}),
    }


def elsewhere(study: StudyResults) -> list[str]:
    """What must be known where systems are tested on other data than their own."""
    meta = study.results.meta
    trained_on = {run.trained_on for run in meta.runs} - {meta.data}
    names = ", ".join(sorted(trained_on))
    return [f"The systems were trained on {names} and tested on {meta.data}"] if names else []


def nothing_learned(study: StudyResults) -> bool:
    """Whether no run has learned an output."""
    return all(set(run.outputs) <= run.not_learned.keys() for run in study.results.meta.runs)


def square(study: StudyResults) -> list[tuple[str, list[tuple[str, str]]]]:
    """The 2 x 2 table: of each output, SO and DO, the error rate and that at the learner's tokens."""
    rows = []
    for output in study.outputs:
        cells = []
        for system in (study.baseline(output), study.dual):
            rate, learner = (
                study.rate(measure, system, output) if system else None
                for measure in ("error_rate", "learner_error_rate")
            )
            known = learner is not None and learner.value is not None
            at = f"{percent(learner.value)} at the learner’s tokens" if known else ""
            cells.append((percent(rate.value) if rate else "–", at))
        rows.append((f"{output}, {study.unit(output)} %", cells))
    return rows


def limits(study: StudyResults) -> list[str]:
    """What the numbers of a study cannot say, at most five lines."""
    meta, found = study.results.meta, []
    if meta.corpus == "simulated":
        found.append(SIMULATED)
    if meta.surface == "assumed":
        found.append(f"The surface is assumed, not annotated: {ASSUMPTIONS[meta.convention]}.")
    seeds = len({run.seed for run in meta.runs})
    found += [
        f"{test_set(study)}, {seeds} seed{'s' * (seeds > 1)}. Intervals are over {meta.clusters} and seeds "
        f"together (at least 6 {meta.clusters} and 3 seeds), those of hypotheses over seeds.",
        "The p-value of cross-talk has Holm’s correction over the two outputs of a system, not over systems or "
        "languages. Hypotheses have their own. Intervals are not corrected.",
        "A dual-output system has more parameters: a second decoder or CTC, in some arms more blocks. Data and "
        "epochs are the same.",
        "Models are small: compare signs and order with the paper, not error rates.",
    ]
    return found[:5]


def test_set(study: StudyResults) -> str:
    """How large the test set is."""
    meta = study.results.meta
    voices = f" with {meta.n_clusters} {meta.clusters}" if meta.clusters != "speakers" else ""
    return f"{meta.n_utts} test utterances of {meta.n_speakers} speakers{voices}"


def render(template: str, content: dict) -> str:
    """Fill a template of this package."""
    return fill("l2dual.report", template, content, {"percent": percent, "points": points, "ends": ends})
