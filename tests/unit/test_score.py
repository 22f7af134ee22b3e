import json
import subprocess
import sys

import jiwer
import pytest
import yaml
from test_divergence import HEARD, make_data

from l2dual.errors import DataError
from l2dual.score import merge, read_run, score, write_records

RUN = {
    "system": "do",
    "seed": 1,
    "outputs": ["surface", "meaning"],
    "corpus": "simulated",
    "language": "en",
    "convention": "heard",
    "data": "data/x",
    "train_config": "conf/train.yaml",
    "command": "run.sh",
    "commit": "abc",
}
HYPOTHESES = {
    "surface": "a-1 i sing so\na-2\nb-1 i laik rais end bins\n",
    "meaning": "a-1 I think  so\na-2 hello\nb-1 i like rice and beans x\n",
}


@pytest.fixture
def case(tmp_path):
    data = make_data(tmp_path / "data/x/test", HEARD)
    decode = tmp_path / "exp/do/decode_x/test"
    decode.mkdir(parents=True)
    for output, text in HYPOTHESES.items():
        (decode / f"text.{output}").write_text(text)
    (tmp_path / "exp/do/run.yaml").write_text(yaml.safe_dump(RUN))
    return data, decode, tmp_path / "exp/do/run.yaml", "conf/decode.yaml", tmp_path


def pick(records, **keys):
    (record,) = (r for r in records if all(r[key] == value for key, value in keys.items()))
    return record


def test_counts_and_bins(case):
    records = score(*case)
    assert len(records) == 2 * 2 * 5
    everyone = pick(records, output="surface", unit="char", bin="all")
    assert (everyone["substitutions"], everyone["deletions"], everyone["insertions"]) == (1, 5, 0)
    assert everyone["n_ref"] == len("i sink so") + len("hello") + len("i laik rais end bins")
    assert everyone["n_speakers"] == 2 and everyone["n_utts"] == 3
    assert pick(records, output="surface", unit="char", bin="0")["error_rate"] == 1
    assert pick(records, output="surface", unit="word", bin="1-3")["errors"] == 1
    assert pick(records, output="meaning", unit="word", bin="all")["insertions"] == 1
    assert pick(records, output="meaning", unit="char", bin="1-3")["errors"] == 0
    empty = pick(records, output="surface", unit="char", bin="11+")
    assert empty["error_rate"] is None and empty["n_ref"] == 0 and empty["reason"]


def test_all_is_the_sum_of_the_bins_and_agrees_with_jiwer(case):
    records = score(*case)
    for output in RUN["outputs"]:
        for unit in ("char", "word"):
            rows = [r for r in records if r["output"] == output and r["unit"] == unit]
            for key in ("errors", "n_ref", "n_utts"):
                assert rows[0][key] == sum(row[key] for row in rows[1:])
    references = [texts[0] for texts in HEARD.values()]
    hypotheses = [line.partition(" ")[2] for line in HYPOTHESES["surface"].splitlines()]
    found = pick(records, output="surface", unit="char", bin="all")
    assert found["error_rate"] == pytest.approx(jiwer.cer(references, hypotheses))
    found = pick(records, output="surface", unit="word", bin="all")
    assert found["error_rate"] == pytest.approx(jiwer.wer(references, hypotheses))


def test_phone_output_has_phone_unit_only(case):
    case[0].info["surface_unit"] = "phone"
    units = {(record["output"], record["unit"]) for record in score(*case)}
    assert units == {("surface", "phone"), ("meaning", "char"), ("meaning", "word")}


def test_without_a_surface_only_the_meaning_is_scored_over_all(tmp_path):
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in HEARD.items()}
    data = make_data(tmp_path / "data/x/test", texts, surface_from="none")
    (tmp_path / "text.meaning").write_text(HYPOTHESES["meaning"])
    run = RUN | {"system": "so_meaning", "outputs": ["meaning"], "surface": "none"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    records = score(data, tmp_path, tmp_path / "run.yaml", None, tmp_path)
    assert [(r["output"], r["unit"], r["bin"], r["surface"]) for r in records] == [
        ("meaning", "char", "all", "none"),
        ("meaning", "word", "all", "none"),
    ]
    assert pick(records, unit="word")["insertions"] == 1


def test_an_assumed_surface_is_recorded(case, tmp_path):
    assumed = make_data(tmp_path / "data/assumed/test", HEARD, surface_from="assumed")
    assert {record["surface"] for record in score(assumed, *case[1:])} == {"assumed"}


def test_records_name_the_data_that_was_scored(case, tmp_path):
    assert {record["data"] for record in score(*case)} == {str(tmp_path / "data/x")}
    for facts in ({"language": "ko"}, {"convention": "pronounced", "unit": "phone"}):
        other = make_data(tmp_path / "data/other/test", HEARD, **facts)
        with pytest.raises(DataError, match=f"other/test: its {list(facts)[0]} is "):
            score(other, *case[1:])
    silent = {utt: (None, None, meaning) for utt, (*_, meaning) in HEARD.items()}
    none = make_data(tmp_path / "data/none/test", silent, surface_from="none")
    with pytest.raises(DataError, match="none/test: does not say what was pronounced"):
        score(none, *case[1:])
    case[2].write_text(yaml.safe_dump(RUN | {"outputs": ["meaning"]}))
    assert {record["output"] for record in score(other, *case[1:])} == {"meaning"}


def test_sentences_that_were_trained_on_are_counted(case, tmp_path):
    assert {record["seen_sentences"] for record in score(*case)} == {None}  # no data/x here
    meanings = {utt: meaning for utt, (*_, meaning) in HEARD.items()}
    train = {"c-1": ("x", "x", meanings["a-2"].upper()), "c-2": ("x", "x", "something else")}
    make_data(tmp_path / "mine/train", train)
    case[2].write_text(yaml.safe_dump(RUN | {"data": str(tmp_path / "mine")}))
    found = score(*case)
    assert {record["trained_on"] for record in found} == {str(tmp_path / "mine")}
    assert {record["seen_sentences"] for record in found} == {1}
    case[2].write_text(yaml.safe_dump(RUN | {"data": str(tmp_path / "data/x")}))
    make_data(tmp_path / "data/x/train", HEARD)
    assert {record["seen_sentences"] for record in score(*case)} == {None}  # its own test set


def test_alignment_file_shows_errors(case):
    score(*case)
    text = (case[4] / "align.surface.txt").read_text()
    first = text.split("\n\n")[0].splitlines()
    assert first == ["a-1  S=1 D=0 I=0 of 9", "ref  i sink so", "hyp  i sing so", "          S"]
    assert "hyp  *****" in text and "DDDDD" in text


@pytest.mark.parametrize(
    "text, message",
    [
        ("a-1 i\na-2 x\n", "decode_x/test/text.surface: utterance b-1"),
        (HYPOTHESES["surface"] + "c-1 x\n", "x/test/text.surface: utterance c-1"),
    ],
)
def test_missing_and_extra_hypotheses_are_named(case, text, message):
    (case[1] / "text.surface").write_text(text)
    with pytest.raises(DataError, match=message):
        score(*case)


def test_run_file_must_be_whole(case):
    case[2].write_text("system: do\n")
    with pytest.raises(DataError, match="run.yaml: no 'seed'"):
        read_run(case[2])


def test_merge_joins_and_refuses_doubles(case, tmp_path):
    path = tmp_path / "score.json"
    write_records(path, score(*case))
    assert merge([path]) == json.loads(path.read_text())
    with pytest.raises(DataError, match="decode_x/test is in"):
        merge([path, path])


def test_command_line(case, tmp_path):
    options = ["--data", str(case[0].path), "--decode", str(case[1]), "--run", str(case[2])]
    command = [sys.executable, "-m", "l2dual.bin.score", "--out", str(tmp_path / "score.json")]
    subprocess.run([*command, *options, "--decode_config", case[3]], check=True)
    records = json.loads((tmp_path / "score.json").read_text())
    assert len(records) == 20 and all(record["scored_commit"] for record in records)
    assert (tmp_path / "align.meaning.txt").is_file()
    command[2] = "l2dual.bin.merge_scores"
    subprocess.run([*command[:3], str(tmp_path / "score.json"), *command[3:]], check=True)
    (case[1] / "text.surface").unlink()
    command[2] = "l2dual.bin.score"
    failed = subprocess.run([*command, *options], capture_output=True, text=True)
    assert failed.returncode == 1 and "text.surface: no such file" in failed.stderr
