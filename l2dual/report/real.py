"""Real speech: systems beside what a user has without them, from files of stage 10 that are kept beside records."""

import json
from pathlib import Path

from l2dual.report.study import StudyResults
from l2dual.report.tables import Cell, Table, training_time
from l2dual.scoring.agreement import written

RATES = ("meaning, WER", "surface, PER", "phones of the meaning, PER")  # of baselines.json, in percent
SCORES = {"rater: phone PCC": "phone PCC", "rater: errors, f1": "error F1"}  # of agreement.json, by people's marks
NONE = {"value": None}
FILES = ("baselines.json", "agreement.json")


def table(directory: Path, study: StudyResults) -> Table | None:
    """A row for each system of a kept study; None where no baselines are kept beside it."""
    measured, agreed = (_read(directory / name) for name in FILES)
    if not measured:
        return None
    rates = {(one["system"], one["measure"]): one for one in measured}
    scores = {(one["system"], one["measure"]): one for one in agreed if one["group"] == "all"}
    rows = []
    for system in dict.fromkeys(one["system"] for one in measured):
        cells = [Cell(*written(rates.get((system, measure), NONE), 100, 1)) for measure in RATES]
        cells += [Cell(*written(scores.get((system, measure), NONE), 1, 2)) for measure in SCORES]
        runs = study.runs_of(system)
        rows.append((Cell(system), [*cells, Cell(training_time(runs)), Cell(str(len(runs) or "–"))]))
    utterances = {one["utterances"] for one in measured if one["measure"] == RATES[0]}
    about = f"{max(utterances)} utterances; 95 % intervals over speakers."
    if len(utterances) > 1:
        about += f" Whisper: {min(utterances)} of them."
    about += f" Commits: {', '.join(sorted({run.commit for run in study.results.meta.runs}))}."
    columns = [*(f"{name} %" for name in RATES), *SCORES.values(), "training", "seeds"]
    return Table("Real speech", about, columns, rows)


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
