import json
from pathlib import Path

import pytest

from l2dual.data.datadir import DataDir, write_datadir
from l2dual.data.divergence import bin_of, divergences, summarize, table
from l2dual.data.utterance import Utterance
from tests.commands import python_m

HEARD = {
    "a-1": ("i sink so", "i think so", "i think so"),
    "a-2": ("hello", "hello", "hello"),
    "b-1": ("i laik rais end bins", *["i like rice and beans"] * 2),
}


def make_data(
    path, texts, unit="char", language="en", convention="heard", surface_from="annotated"
):
    """A test split with ``texts``: {utt: (surface, canonical, meaning)}."""
    info = {"corpus": "simulated", "language": language, "convention": convention}
    info |= {"surface": surface_from, "surface_unit": unit, "meaning_unit": "char"}
    utterances = [
        Utterance(
            id=utt,
            split="test",
            speaker=utt[0],
            audio=Path(f"{utt}.wav"),
            surface=surface,
            meaning=meaning,
            canonical=canonical,
            l1="kor" if utt[0] == "a" else "jpn",
        )
        for utt, (surface, canonical, meaning) in texts.items()
    ]
    write_datadir(path, utterances, info)
    return DataDir.load(path)


@pytest.mark.parametrize(
    "edits, name", [(0, "0"), (1, "1-3"), (3, "1-3"), (4, "4-10"), (10, "4-10"), (11, "11+")]
)
def test_bins(edits, name):
    assert bin_of(edits) == name


def test_heard_counts_learner_edits_only(tmp_path):
    records = summarize(make_data(tmp_path / "test", HEARD))
    everyone = records[0]
    assert everyone["l1"] == "all" and [r["l1"] for r in records[1:]] == ["jpn", "kor"]
    # think/sink 2; like/laik 2, rice/rais 3, and/end 1, beans/bins 2
    assert everyone["learner_edits"] == 2 + 8 and everyone["native_edits"] == 0
    assert everyone["bins"] == {"0": 1, "1-3": 1, "4-10": 1, "11+": 0}
    assert everyone["mean_divergence"] == pytest.approx(10 / 3)
    assert sum(everyone["percent"].values()) == pytest.approx(100)
    assert records[2]["n_utts"] == 2 and records[2]["n_speakers"] == 1
    json.dumps(records)


def test_pronounced_korean_counts_native_edits_apart(tmp_path):
    texts = {"a-1": ("가찌", "가치", "같이")}
    data = make_data(tmp_path / "test", texts, language="ko", convention="pronounced")
    assert summarize(data)[0]["learner_edits"] == 1
    assert summarize(data)[0]["native_edits"] == 2


def test_korean_edits_stand_in_jamo_beside(tmp_path):
    texts = {"a-1": ("하꾜에 카요", "학교에 가요", "학교에 가요")}  # a coda gone, two onsets changed
    record = summarize(make_data(tmp_path / "test", texts, language="ko"))[0]
    assert record["learner_edits"] == 3 and record["jamo_edits"] == 3
    texts = {"a-1": ("코", "강", "강")}
    record = summarize(make_data(tmp_path / "other", texts, language="ko"))[0]
    assert record["learner_edits"] == 1 and record["jamo_edits"] == 3
    assert summarize(make_data(tmp_path / "english", HEARD))[0]["jamo_edits"] is None


def test_phones_have_no_native_edits(tmp_path):
    texts = {"a-1": ("S IH NG K", "TH IH NG K", "think")}
    data = make_data(tmp_path / "test", texts, unit="phone", convention="pronounced")
    assert summarize(data)[0]["learner_edits"] == 1
    assert summarize(data)[0]["native_edits"] is None
    assert summarize(data)[0]["n_units"] == 4


def test_without_a_surface_there_is_one_record_with_its_reason(tmp_path):
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in HEARD.items()}
    data = make_data(tmp_path / "test", texts, surface_from="none")
    assert not (tmp_path / "test/text.surface").exists() and divergences(data) == {}
    (record,) = summarize(data)
    assert record["surface"] == "none" and "does not say" in record["reason"]
    assert record["n_utts"] == 3 and record["n_speakers"] == 2 and record["l1"] == "all"
    assert record["bins"] is None and record["mean_divergence"] is None
    measured = summarize(make_data(tmp_path / "other", HEARD))
    assert all(set(other) == set(record) and other["reason"] is None for other in measured)
    reason = "the corpus does not say what was pronounced"
    assert table([record]) == f"Divergence: simulated, en: not measured: {reason}"


def test_an_assumed_surface_is_named_as_such(tmp_path):
    texts = {"a-1": ("가치", "가치", "같이")}
    choices = {"language": "ko", "convention": "pronounced", "surface_from": "assumed"}
    (record, _) = summarize(make_data(tmp_path / "test", texts, **choices))
    assert (record["learner_edits"], record["native_edits"]) == (0, 2)
    named = "pronounced (assumed: standard pronunciation of the text)"
    assert named in table([record]).splitlines()[0]


def test_table_has_the_paper_beside(tmp_path):
    lines = table(summarize(make_data(tmp_path / "test", HEARD))).splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[-1].split()[:2] == ["paper", "AI-Hub"] and "26 %" in lines[-1]
    assert len({len(line) for line in lines[1:-1]}) == 1


def test_what_a_record_and_its_table_say(tmp_path):
    texts = {"a-1": HEARD["a-1"], "b-1": HEARD["b-1"]}
    everyone, japanese, korean = summarize(make_data(tmp_path / "test", texts))
    assert everyone == {
        "kind": "divergence",
        "corpus": "simulated",
        "language": "en",
        "convention": "heard",
        "surface": "annotated",
        "split": "test",
        "unit": "char",
        "normalizer": "NFC, lower case, single spaces",
        "l1": "all",
        "n_utts": 2,
        "n_speakers": 2,
        "n_units": 9 + 20,
        "bins": {"0": 0, "1-3": 1, "4-10": 1, "11+": 0},
        "percent": {"0": 0, "1-3": 50, "4-10": 50, "11+": 0},
        "learner_edits": 10,
        "native_edits": 0,
        "jamo_edits": None,
        "mean_divergence": 5,
        "reason": None,
    }
    lines = table([everyone, japanese, korean]).split("\n")
    assert "\n".join(line.rstrip() for line in lines) == """\
Divergence in characters: simulated, en, heard (utterances per bin; learner and native edits in total)
split      L1  utts  speakers     0    1-3   4-10  11+  mean  learner  native  jamo
 test     all     2         2   0 %   50 %   50 %  0 %  5.00       10       0     -
 test     jpn     1         1   0 %    0 %  100 %  0 %  8.00        8       0     -
 test     kor     1         1   0 %  100 %    0 %  0 %  2.00        2       0     -
paper  AI-Hub                  26 %   40 %   30 %  4 %"""


def test_command_line_writes_and_prints(tmp_path):
    make_data(tmp_path / "test", HEARD)
    out = tmp_path / "exp/divergence.json"
    command = ["l2dual.bin.divergence", "--data", tmp_path / "test", "--out", out]
    done = python_m(*command)
    records = json.loads(out.read_text())
    assert len(records) == 3 and "paper" in done.stdout
    assert records[0]["command"].startswith("python -m l2dual.bin.divergence --data")
    (tmp_path / "test/text.canonical").write_text("a-1 i think so\na-2 hello\n")
    failed = python_m(*command)
    assert failed.returncode == 1 and "text.canonical: utterance b-1" in failed.stderr
