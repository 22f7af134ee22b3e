"""Real speech: systems beside what a user has without them, from files of stage 10 that are kept beside records."""

import json
from collections.abc import Mapping
from pathlib import Path

from l2dual.report.study import StudyResults
from l2dual.report.tables import Cell, Table, training_time
from l2dual.scoring.agreement import WHISPER, written

ALL, SOME = "meaning", "meaning of Whisper's utterances"
RATES = (ALL, SOME, "surface", "phones of the meaning")  # of baselines.json, each with the name of its rate
SCORES = {"rater: phone PCC": "phone PCC", "rater: errors, f1": "error F1"}  # of agreement.json, by people's marks


def table(studies: Mapping[str, tuple[Path, StudyResults]]) -> Table | None:
    """A row for Whisper as it comes, and one for each system of the kept studies; None where none has baselines.

    Args:
        studies: by name: where a study is kept, and its results.
    """
    found: dict[tuple[str, str], dict[str, dict]] = {}  # by study and system: what was measured
    for name, (directory, _) in studies.items():
        for one in _read(directory / "baselines.json"):
            own = "" if one["system"] == WHISPER else name
            found.setdefault((own, one["system"]), {})[one["measure"]] = one
        for one in _read(directory / "agreement.json"):
            if one["group"] == "all" and one["measure"] in SCORES:
                found.setdefault((name, one["system"]), {})[one["measure"]] = one
    if not found:
        return None
    measured = {measure: one for row in found.values() for measure, one in row.items()}
    rates = sorted(measured.keys() - SCORES, key=lambda measure: RATES.index(measure.rpartition(", ")[0]))
    scores = [measure for measure in SCORES if measure in measured]
    rows = []
    for (name, system), row in found.items():
        if system == WHISPER:
            row |= {measure.replace(ALL, SOME): one for measure, one in row.items()}
        runs = studies[name][1].runs_of(system) if name else []
        cells = [_cell(row.get(measure), 100, 1) for measure in rates]
        cells += [_cell(row.get(measure), 1, 2) for measure in scores]
        head = Cell(system, f"`{name}`" if name else "")
        rows.append((head, [*cells, Cell(training_time(runs)), Cell(str(len(runs) or "–"))]))
    utterances = [one["utterances"] for measure, one in measured.items() if measure in rates]
    commits = {run.commit for name, system in found if name for run in studies[name][1].runs_of(system)}
    about = f"{max(utterances)} utterances; Whisper’s are {min(utterances)} of them. 95 % intervals over speakers."
    about += f" Commits: {', '.join(sorted(commits))}."
    columns = [*(f"{measure} %" for measure in rates), *(SCORES[measure] for measure in scores), "training", "seeds"]
    return Table("Real speech", about, columns, rows)


def _cell(one: dict | None, times: float, decimals: int) -> Cell:
    return Cell(*written(one, times, decimals)) if one else Cell("–")


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
