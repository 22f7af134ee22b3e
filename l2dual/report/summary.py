"""The last lines on the terminal: the rates of each system, where things are, what to do next."""

from pathlib import Path

from l2dual.report.budget import budget
from l2dual.report.choice import choice
from l2dual.report.page import nothing_learned
from l2dual.report.study import StudyResults, percent, points, read_beside
from l2dual.scoring.results import Results, read_results
from l2dual.systems import OUTPUTS

HEAD = ("", "system", "seeds", "surface", "meaning", "cross-talk, points: surface", "meaning")
MOST = 6  # systems of one study; the report has all


def summary(paths: list[Path]) -> str:
    """Lay the results files of one or two recipes out: of one, in eleven lines at most."""
    studies = [StudyResults(read_results(path), half=_half(path)) for path in paths]
    lines = [HEAD, *(_row(study, system) for study in studies for system in [*study.systems][:MOST])]
    places = dict.fromkeys(filter(None, map(_places, paths, studies)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    warnings = dict.fromkeys(warning for study in studies for warning in study.results.meta.warnings)
    budgets = [budget(study) for study in studies if study.half]
    return "\n".join([*warnings, *rows, *choice(studies), *budgets, *places, f"next: {_next(studies)}"])


def _half(path: Path) -> Results | None:
    """The results of half the budget, if ``path`` has those of the whole by the usual search."""
    usual = path.name.startswith("results.json")
    return read_beside(path.parent, "half", read_results(path)) if usual else None


def _row(study: StudyResults, system: str) -> tuple[str, ...]:
    rates, talks = [], []
    for output in OUTPUTS:
        rate = study.rate("error_rate", system, output)
        talk = study.difference("cross_talk", output, system=system)
        rates.append(f"{study.unit(output)} {percent(rate.value)} %" if rate else "")
        known = talk is not None and talk.value is not None and talk.learned
        talks.append(points(talk.value) if known else "")
    seeds = " ".join(str(run.seed) for run in study.runs_of(system))
    return (study.results.meta.language, system, seeds, *rates, *talks)


def _places(path: Path, study: StudyResults) -> str:
    """Where the report, hypotheses, alignments and models are: of runs in the results' directory,
    or above it where other data were tested; of a kept study there are none."""
    report = path.resolve().with_name("report.html")
    said = f"report: {report}\n" if report.is_file() else ""
    run = study.results.meta.runs[0]
    exp = next((exp for exp in report.parents[:2] if (exp / run.name).is_dir()), None)
    if exp is None:
        return said.strip()
    decoded = Path(run.decode_dir)
    folder = exp / "RUN" / decoded.parent.name
    return (
        f"{said}hypotheses: {folder / decoded.name}/text.OUTPUT; alignments: {folder}/score/; "
        f"models: {exp}/RUN/model.zip"
    )


def _next(studies: list[StudyResults]) -> str:
    if any(map(nothing_learned, studies)):
        if all(study.results.meta.corpus == "simulated" for study in studies):
            return "./run.sh --study mini (enough data to learn from; half an hour)"
        return "train on more data or use a pretrained encoder (docs/encoders.md)"
    if min(len({run.seed for run in study.results.meta.runs}) for study in studies) < 3:
        return 'the same call with --seeds "1 2 3" (intervals need 3 seeds)'
    return "open the report"
