"""The table of real speech: from the files of stage 10, which are kept beside records."""

import json

import pytest

from l2dual.report import real
from l2dual.report.study import read_study
from tests.report.test_report import make_study

RATES = [
    ("Whisper as it comes", "meaning, WER", 200, 1, 0.305, (0.233, 0.381)),
    ("so_surface", "surface, PER", 1240, 3, 0.25, None),
    ("do", "meaning, WER", 1240, 3, 0.2, (0.18, 0.22)),
    ("do", "meaning of Whisper's utterances, WER", 200, 3, 0.19, (0.16, 0.22)),
    ("do", "surface, PER", 1240, 3, 0.18, (0.16, 0.2)),
    ("do", "phones of the meaning, PER", 1240, 3, None, None),
    ("do", "surface − phones of the meaning, PER", 1240, 3, -0.01, (-0.02, -0.001)),
]
SCORES = [
    ("do", "all", "rater: phone PCC", 0.7249, (0.6, 0.78)),
    ("do", "child", "rater: phone PCC", 0.5, None),
    ("do", "all", "rater: errors, f1", 0.65, None),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = make_study(tmp_path_factory.mktemp("study") / "dump", ("so_surface", "so_meaning", "do"), (1, 2, 3))
    return read_study(folder / "exp")


def write(folder, rates=(), scores=()):
    folder.mkdir(exist_ok=True)
    keys = {"baselines.json": ("system", "measure", "utterances", "seeds", "value", "interval"),
            "agreement.json": ("system", "group", "measure", "value", "interval")}  # fmt: skip
    for (name, of), records in zip(keys.items(), (rates, scores), strict=True):
        if records:
            (folder / name).write_text(json.dumps([dict(zip(of, one, strict=True)) for one in records]))
    return folder


def shown(table):
    return {
        f"{head.text}, {head.below}": [f"{cell.text} {cell.below}".strip() for cell in cells]
        for head, cells in table.rows
    }


def test_a_row_for_each_system(study, tmp_path):
    table = real.table({"one": (write(tmp_path, RATES, SCORES), study)})
    assert table.about.startswith("1240 utterances; Whisper’s are 200. ")
    found = shown(table)
    assert found["Whisper as it comes, `one`"] == ["30.5 [23.3, 38.1]"] * 2 + ["–"] * 6
    assert found["so_surface, `one`"][:4] == ["–", "–", "25.0", "–"] and found["so_surface, `one`"][-1] == "3"
    rates = ["20.0 [18.0, 22.0]", "19.0 [16.0, 22.0]", "18.0 [16.0, 20.0]", "−1.0 [−2.0, −0.1]"]
    assert found["do, `one`"][:6] == [*rates, "0.72 [0.60, 0.78]", "0.65"]
    assert len(table.columns) == len(found["do, `one`"])
    assert table.columns[2:4] == ["surface, PER %", "surface − phones of the meaning, PER points"]


def test_a_whisper_of_all_utterances_has_one_column(study, tmp_path):
    whisper = ("Whisper as it comes", "meaning, WER", 1240, 1, 0.305, (0.233, 0.381))
    table = real.table({"one": (write(tmp_path, [whisper, RATES[4], RATES[2]]), study)})
    assert table.columns[:3] == ["meaning, WER %", "surface, PER %", "training"]
    assert table.about.startswith("1240 utterances. 95 %")


def test_studies_with_one_test_set_share_a_row_of_whisper(study, tmp_path):
    other = ("Whisper as it comes", "meaning, WER", 200, 1, 0.4, (0.3, 0.5))
    studies = {
        "one": (write(tmp_path / "one", RATES), study),
        "two": (write(tmp_path / "two", [RATES[0], RATES[2]]), study),
        "three": (write(tmp_path / "three", [other, RATES[2]]), study),
    }
    names = [name for name in shown(real.table(studies)) if name.startswith("Whisper")]
    assert names == ["Whisper as it comes, `one`", "Whisper as it comes, `three`"]


def test_without_whisper_nothing_is_said_of_it(study, tmp_path):
    assert real.table({"one": (write(tmp_path, [RATES[2]]), study)}).about.startswith("1240 utterances. 95 %")


def test_scores_alone_are_no_table(study, tmp_path):
    assert real.table({"one": (write(tmp_path, scores=SCORES), study)}) is None


def test_nothing_was_measured(study, tmp_path):
    assert real.table({"one": (tmp_path, study)}) is None
