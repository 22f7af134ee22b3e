"""Real speech: systems beside what a user has without them, from files of stage 10 that are kept beside records."""

import json
from collections.abc import Mapping
from pathlib import Path

from l2dual.report.study import StudyResults
from l2dual.report.tables import Cell, Table, training_time
from l2dual.scoring.agreement import WHISPER, written

RATES = {  # measures of baselines.json, in percent
    "meaning, WER": "meaning, WER %",
    "meaning, WER, Whisper's utterances": "of Whisper’s utterances %",
    "surface, PER": "surface, PER %",
    "phones of the meaning, PER": "phones of the meaning, PER %",
}
SCORES = {"rater: phone PCC": "phone PCC", "rater: errors, f1": "error F1"}  # of agreement.json, by people's marks
ALL, SOME = [*RATES][:2]
NONE = {"value": None}


def table(studies: Mapping[str, tuple[Path, StudyResults]]) -> Table | None:
    """A row for Whisper as it comes, and one for each system of the kept studies; None where none has baselines.

    Args:
        studies: by name: where a study is kept, and its results.
    """
    rows, utterances, commits = {}, set(), set()
    for name, (directory, study) in studies.items():
        measured, agreed = _read(directory / "baselines.json"), _read(directory / "agreement.json")
        rates = {(one["system"], one["measure"]): one for one in measured}
        scores = {(one["system"], one["measure"]): one for one in agreed if one["group"] == "all"}
        if (WHISPER, ALL) in rates:
            rates[WHISPER, SOME] = rates[WHISPER, ALL]
            utterances.add(rates[WHISPER, ALL]["utterances"])
        for system in dict.fromkeys(one["system"] for one in measured):
            if system != WHISPER:
                commits.update(run.commit for run in study.runs_of(system))
                utterances.update(one["utterances"] for one in measured if one["system"] == system)
            cells = [Cell(*written(rates.get((system, measure), NONE), 100, 1)) for measure in RATES]
            cells += [Cell(*written(scores.get((system, measure), NONE), 1, 2)) for measure in SCORES]
            runs = study.runs_of(system)
            own = "" if system == WHISPER else f"`{name}`"
            rows[own, system] = Cell(system, own), [*cells, Cell(training_time(runs)), Cell(str(len(runs) or "–"))]
    if not rows:
        return None
    about = f"{max(utterances)} utterances; Whisper’s are {min(utterances)} of them. 95 % intervals over speakers."
    about += f" Commits: {', '.join(sorted(commits))}."
    return Table("Real speech", about, [*RATES.values(), *SCORES.values(), "training", "seeds"], [*rows.values()])


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
