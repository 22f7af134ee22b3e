"""Real speech: systems beside what a user has without them, from files of stage 10 that are kept beside records."""

import json
from collections.abc import Mapping
from pathlib import Path

from l2dual.report.study import StudyResults
from l2dual.report.tables import Cell, Table, training_time
from l2dual.scoring.agreement import WHISPER, written

ALL, SOME = "meaning", "meaning of Whisper's utterances"
RATED = "baselines.json"
DIFFERENCE = "surface − phones of the meaning"
RATES = (ALL, SOME, "surface", DIFFERENCE)  # of RATED, each with the name of its rate
SCORES = {"rater: phone PCC": "phone PCC", "rater: errors, f1": "error F1"}  # of agreement.json, by people's marks


def table(studies: Mapping[str, tuple[Path, StudyResults]]) -> Table | None:
    """A row for Whisper as it comes, and one for each system of the kept studies; None where none has baselines.

    Args:
        studies: by name: where a study is kept, and its results.
    """
    rows = _measured({name: directory for name, (directory, _) in studies.items()})
    there = {name for (_, system), row in rows.items() for name in row if system != WHISPER or SOME not in name}
    rates = sorted((one for one in there if _name(one) in RATES), key=lambda measure: RATES.index(_name(measure)))
    scores = [measure for measure in SCORES if measure in there]
    if not rates:
        return None
    lines, commits = [], set()
    for (name, system), row in rows.items():
        runs = studies[name][1].runs_of(system)
        commits |= {run.commit[:7] for run in runs}
        cells = [_cell(row.get(measure), 100, 1) for measure in rates]
        cells += [_cell(row.get(measure), 1, 2) for measure in scores]
        lines.append((Cell(system, f"`{name}`"), [*cells, Cell(training_time(runs)), Cell(str(len(runs) or "–"))]))
    columns = [f"{measure} {'points' if _name(measure) == DIFFERENCE else '%'}" for measure in rates]
    columns += [*(SCORES[measure] for measure in scores), "training", "seeds"]
    about = f"{_utterances(rows)}. 95 % intervals over speakers. Commits: {', '.join(sorted(commits))}."
    return Table("Real speech", about, columns, lines)


def _measured(directories: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, dict]]:
    """By study and system: each measure's record. Whisper is there once for studies with one test set."""
    rows: dict[tuple[str, str], dict[str, dict]] = {}
    whispers: list[dict] = []
    for name, directory in directories.items():
        for one in _read(directory / RATED):
            if one["system"] != WHISPER:
                rows.setdefault((name, one["system"]), {})[one["measure"]] = one
            elif one not in whispers:
                whispers.append(one)
                rows[name, WHISPER] = {one["measure"]: one, one["measure"].replace(ALL, SOME): one}
        for one in _read(directory / "agreement.json"):
            if one["group"] == "all" and one["measure"] in SCORES and (name, one["system"]) in rows:
                rows[name, one["system"]][one["measure"]] = one
    return rows


def _utterances(rows: Mapping[tuple[str, str], Mapping[str, Mapping]]) -> str:
    of_all = {one["utterances"] for (_, system), row in rows.items() if system != WHISPER
              for measure, one in row.items() if _name(measure) in (ALL, "surface")}  # fmt: skip
    whisper = {one["utterances"] for (_, system), row in rows.items() if system == WHISPER for one in row.values()}
    said = " or ".join(map(str, sorted(of_all or whisper))) + " utterances"
    return said + "".join(f"; Whisper’s are {number}" for number in sorted(whisper - of_all))


def _name(measure: str) -> str:
    """A measure of baselines.json without the name of its rate."""
    return measure.rpartition(", ")[0]


def _cell(one: dict | None, times: float, decimals: int) -> Cell:
    return Cell(*written(one, times, decimals)) if one else Cell("–")


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
