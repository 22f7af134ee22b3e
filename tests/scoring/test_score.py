import dataclasses
import json

import jiwer
import numpy as np
import pytest
import yaml

from l2dual.data.datadir import DataDir, read_table
from l2dual.data.seen import seen_sentences
from l2dual.errors import DataError
from l2dual.scoring.results import Run
from l2dual.scoring.score import (
    COPIED,
    COUNTS,
    check_comparable,
    decoded_run,
    read_pair,
    read_run,
    read_scored,
    run_of,
    score,
    training_facts,
    write_alignments,
    write_records,
    write_scored,
)
from tests.commands import python_m
from tests.data.test_divergence import HEARD, make_data
from tests.systems import facts_of

RUN = facts_of("do") | {
    "seed": 1,
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
UTTS = ["a-1", "a-2", "b-1"]


@pytest.fixture
def case(tmp_path):
    data = make_data(tmp_path / "data/x/test", HEARD)
    decode = tmp_path / "exp/do/decode_x/test"
    decode.mkdir(parents=True)
    for output, text in HYPOTHESES.items():
        (decode / f"text.{output}").write_text(text)
    (tmp_path / "exp/do/run.yaml").write_text(yaml.safe_dump(RUN))
    return data, decode, tmp_path / "exp/do/run.yaml"


def scored(data, decode, run_file):
    facts = decoded_run(run_file, decode, "conf/decode.yaml")
    return score(data, {o: read_table(decode / f"text.{o}") for o in facts.outputs}, facts)


def counts(found, output, unit, utt=None):
    table = found.counts[output, unit]
    row = table.sum(0) if utt is None else table[found.utts.index(utt)]
    return dict(zip(COUNTS, row.astype(int).tolist(), strict=True))


def test_errors_of_each_utterance_and_unit(case):
    found = scored(*case)
    assert found.utts == UTTS
    assert set(found.counts) == {(o, u) for o in ("surface", "meaning") for u in ("char", "word")}
    everyone = counts(found, "surface", "char")
    assert [everyone[name] for name in COUNTS[:4]] == [len("i sink sohelloi laik rais end bins"), 1, 5, 0]
    assert counts(found, "surface", "char", "a-2")["deletions"] == 5
    assert counts(found, "surface", "word", "a-1")["substitutions"] == 1
    assert counts(found, "meaning", "word")["insertions"] == 1
    assert counts(found, "meaning", "char", "a-1")["substitutions"] == 0


def test_error_rates_agree_with_jiwer(case):
    found = scored(*case)
    references = [texts[0] for texts in HEARD.values()]
    hypotheses = [line.partition(" ")[2] for line in HYPOTHESES["surface"].splitlines()]
    for unit, theirs in (("char", jiwer.cer), ("word", jiwer.wer)):
        mine = counts(found, "surface", unit)
        errors = mine["substitutions"] + mine["deletions"] + mine["insertions"]
        assert errors / mine["n_ref"] == pytest.approx(theirs(references, hypotheses))


def test_learners_tokens_and_decisions_are_counted_in_the_finer_unit(case):
    found = scored(*case)
    first = counts(found, "surface", "char", "a-1")  # sink for think: s is the learner's
    assert [first[n] for n in ("learner", "learner_errors", "replaced", "intrusions")] == [1, 0, 1, 0]
    assert first["TR"] == 2 and first["FR"] == 1  # t and h were not said; sing is a false alarm
    silent = counts(found, "surface", "char", "a-2")
    assert silent["learner"] == 0 and silent["FR"] == 5
    meaning = counts(found, "meaning", "char", "a-1")
    assert (meaning["learner"], meaning["learner_errors"], meaning["TR"]) == (2, 0, 0)
    assert not found.counts["surface", "word"][:, 4:].any()


def test_in_another_alphabet_the_meaning_is_marked_where_its_letters_are_known(tmp_path):
    texts = {"a-1": ("s ih ng k", "th ih ng k", "think")}
    data = make_data(tmp_path / "data/x/test", texts, unit="phone", convention="pronounced")
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN | {"convention": "pronounced"}))
    for output, text in (("surface", "th ih ng k"), ("meaning", "sink")):
        (tmp_path / f"text.{output}").write_text(f"a-1 {text}\n")
    found = scored(data, tmp_path, path)
    assert set(found.counts) == {("surface", "phone"), ("meaning", "char"), ("meaning", "word")}
    assert counts(found, "surface", "phone")["intrusions"] == 1
    assert counts(found, "meaning", "char")["learner"] == 0
    data = DataDir(data.path, data.tables | {"utt2heard": {"a-1": "sink"}}, data.info)
    mine = counts(scored(data, tmp_path, path), "meaning", "char")
    assert (mine["learner"], mine["learner_errors"], mine["intrusions"]) == (2, 2, 1)


def test_without_a_surface_only_errors_of_the_meaning_are_counted(tmp_path):
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in HEARD.items()}
    data = make_data(tmp_path / "data/x/test", texts, surface_from="none")
    for output, text in HYPOTHESES.items():
        (tmp_path / f"text.{output}").write_text(text)
    for system in ("so_meaning", "do"):
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(RUN | facts_of(system)))
        check_comparable(RUN | facts_of(system), "run.yaml", data)
        found = scored(data, tmp_path, tmp_path / "run.yaml")
        assert set(found.counts) == {("meaning", "char"), ("meaning", "word")}
        assert found.run.outputs == ["meaning"]
        assert not found.counts["meaning", "char"][:, 4:].any()


def test_without_a_meaning_the_surface_is_scored_as_with_one(case):
    data, *rest = case
    tables = {name: table for name, table in data.tables.items() if name != "text.meaning"}
    found = scored(DataDir(data.path, tables, data.info | {"meaning": "none"}), *rest)
    assert found.run.outputs == ["surface"] and set(found.alignments) == {"surface"}
    for unit in ("char", "word"):
        assert np.array_equal(found.counts["surface", unit], scored(*case).counts["surface", unit])


def test_references_of_another_kind_are_refused(case, tmp_path):
    check_comparable(RUN, "run.yaml", case[0])
    for facts in ({"language": "ko"}, {"convention": "pronounced", "unit": "phone"}):
        other = make_data(tmp_path / "data/other/test", HEARD, **facts)
        with pytest.raises(DataError, match=f"other/test: its {next(iter(facts))} is "):
            check_comparable(RUN, "run.yaml", other)
    check_comparable(RUN | facts_of("so_meaning"), "run.yaml", other)  # no convention of its own


def test_a_system_that_has_learned_nothing_is_marked(case):
    assert scored(*case).run.not_learned == {}
    (case[1] / "text.surface").write_text("".join(f"{utt} eeee\n" for utt in UTTS))
    (case[1] / "text.meaning").write_text("a-1 xxxxxxxxxxx\na-2 y\nb-1 z\n")
    assert scored(*case).run.not_learned == {
        "surface": "all its hypotheses are alike",
        "meaning": "103% errors",
    }


@pytest.mark.parametrize(
    "references, hypotheses, reason",
    [
        (["abcdefghij"], ["abcdefghij"], None),
        (["a", "a"], ["a", "a"], None),  # its hypotheses are as alike as the references
        (["abc", "abd"], ["abd", "abd"], "all its hypotheses are alike"),
        (["abcdefghij", "k"], ["axxxxxxxxx", "k"], None),
        (["abcdefghij"], ["axxxxxxxxx"], "90% errors"),
        (["abcdefghij"], ["abxxxxxxxx"], None),
    ],
)
def test_what_counts_as_having_learned_nothing(tmp_path, references, hypotheses, reason):
    texts = {f"a-{n}": (None, None, text) for n, text in enumerate(references)}
    data = make_data(tmp_path / "test", texts, surface_from="none")
    run = run_of(RUN | facts_of("so_meaning"), "x", "decode")
    found = score(data, {"meaning": dict(zip(texts, hypotheses, strict=True))}, run)
    assert found.run.not_learned.get("meaning") == reason


def test_without_a_named_error_nothing_is_diagnosed(tmp_path):
    texts = {"a-1": ("IH NG K", "TH IH NG K", "think"), "a-2": ("S OW", "S OW", "so")}
    data = make_data(tmp_path / "test", texts, unit="phone", convention="pronounced")
    run = run_of(RUN | facts_of("so_surface"), "x", "decode")
    hypotheses = {"surface": {"a-1": "IH NG K", "a-2": "S OW"}}
    found = counts(score(data, hypotheses, run), "surface", "phone")
    assert (found["TR"], found["TA"], found["CD"], found["DE"]) == (1, 5, 0, 0)
    hypotheses["surface"]["a-1"] = "S IH NG K"
    found = counts(score(data, hypotheses, run), "surface", "phone")
    assert (found["TR"], found["CD"], found["DE"]) == (1, 0, 0)
    hypotheses["surface"]["a-1"] = "IH NG K"
    spelled = make_data(tmp_path / "spelled", {"a-1": ("pe", "pen", "pen")})
    found = counts(score(spelled, {"surface": {"a-1": "pe"}}, run), "surface", "char")
    assert (found["TR"], found["CD"]) == (1, 0)
    texts["a-2"] = ("S UW", "S OW", "so")  # one that is named: a deletion is diagnosed too
    data = make_data(tmp_path / "named", texts, unit="phone", convention="pronounced")
    found = counts(score(data, hypotheses, run), "surface", "phone")
    assert (found["TR"], found["FA"], found["CD"], found["DE"]) == (1, 1, 1, 0)


def test_sentences_that_were_trained_on_are_counted(case, tmp_path):
    data = case[0]
    assert seen_sentences(data, tmp_path / "data/x") is None  # its own test set
    assert seen_sentences(data, tmp_path / "elsewhere") is None
    train = {"c-1": ("x", "x", HEARD["a-2"][2].upper()), "c-2": ("x", "x", "something else")}
    make_data(tmp_path / "mine/train", train)
    assert seen_sentences(data, tmp_path / "mine") == 1


def test_parameters_time_and_epochs_are_read_from_the_log(tmp_path):
    assert training_facts(tmp_path) == (None, None, None)
    (tmp_path / "train.log").write_text(
        "    Total Number of model parameters: 31.96 M\n"
        "INFO: 1epoch results: [train] iter_time=0.08, train_time=0.5, time=2 minutes and 1.5 seconds, "
        "total_count=9, [valid] loss=1, time=3 seconds, total_count=2\n"
        "INFO: 2epoch results: [train] time=9 hours, total_count=9\n"
        "INFO: 2epoch results: [train] time=1 hour and 1 minute, total_count=9\n"
    )
    assert training_facts(tmp_path) == (31_960_000, 2 * 60 + 1.5 + 3 + 3660, 2)
    epoch = b"\xff\n 1epoch results: [train] time=2 days and 3 hours, x=1\n"  # a byte of no UTF-8
    for size, parameters in ((b"12", 12), (b"3.5 K", 3500), (b"2.25 G", 2_250_000_000)):
        log = b"Total Number of model parameters: " + size + epoch
        (tmp_path / "train.log").write_bytes(log)
        assert training_facts(tmp_path) == (parameters, (2 * 24 + 3) * 3600, 1)


def test_the_facts_of_a_run_come_from_its_files(case):
    log = "Total Number of model parameters: 2.5 K\n 1epoch results: [train] time=3 seconds, x=1\n"
    (case[2].parent / "train.log").write_text(log)
    same = {key: RUN[key] for key in COPIED}
    facts = {"parameters": 2500, "train_seconds": 3.0, "epochs": 1, "trained_on": "data/x", "name": "do", "blocks": 4}
    decode = {"decode_dir": str(case[1]), "decode_config": "conf/decode.yaml"}
    assert decoded_run(case[2], case[1], "conf/decode.yaml") == Run(**same, **facts, **decode)


def test_alignment_file_shows_errors(case, tmp_path):
    write_scored(scored(*case), case[0], tmp_path / "score")
    text = (tmp_path / "score/align.surface.txt").read_text()
    first = text.split("\n\n")[0].splitlines()
    assert first == ["a-1  S=1 D=0 I=0 of 9", "ref  i sink so", "hyp  i sing so", "          S"]
    assert "hyp  *****" in text and "DDDDD" in text


def test_scores_are_read_as_they_were_written(case, tmp_path):
    found = scored(*case)
    write_scored(found, case[0], tmp_path / "score")
    back = read_scored(tmp_path / "score")
    assert back.run == found.run and back.utts == found.utts
    assert {table.dtype.name for table in (*found.counts.values(), *back.counts.values())} == {"float64"}
    assert all(np.array_equal(back.counts[key], table) for key, table in found.counts.items())
    with pytest.raises(DataError, match="holds no scores"):
        read_scored(tmp_path)
    table = tmp_path / "score/utterances.tsv"
    table.write_text(table.read_text().replace("intrusions", "others"))
    with pytest.raises(DataError, match="utterances.tsv: columns are not utt speaker"):
        read_scored(tmp_path / "score")


def test_what_a_table_of_utterances_says(case, tmp_path):
    write_scored(scored(*case), case[0], tmp_path)
    table = [line.split("\t") for line in (tmp_path / "utterances.tsv").read_text().splitlines()]
    assert len(table) == 1 + 4 * 3
    first = dict(zip(table[0], table[1], strict=True))
    assert list(first.values())[:8] == "a-1 a a kor 2 1-3 surface char".split()
    assert [first[name] for name in COUNTS[:8]] == "9 1 0 0 1 0 1 0".split()
    assert [first[name] for name in COUNTS[8:]] == "2 0 1 7 2 0".split()  # TR FA FR TA CD DE


def test_the_facts_of_a_run_are_written_for_people_too(case, tmp_path):
    run = dataclasses.replace(scored(*case).run, system="계", outputs=["meaning"])
    write_scored(dataclasses.replace(scored(*case), run=run), case[0], tmp_path)
    lines = (tmp_path / "run.json").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["{", ' "name": "do",', ' "system": "계",']
    assert Run(**json.loads("".join(lines))) == run


def test_counts_of_other_utterances_are_not_written(case, tmp_path):
    found = scored(*case)
    with pytest.raises(ValueError, match="zip"):
        write_scored(dataclasses.replace(found, utts=UTTS[:2]), case[0], tmp_path)


def test_scores_without_a_surface_are_read_as_they_were_written(tmp_path):
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in HEARD.items()}
    data = make_data(tmp_path / "data/x/test", texts, surface_from="none")
    (tmp_path / "text.meaning").write_text(HYPOTHESES["meaning"])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(RUN | facts_of("so_meaning")))
    found = scored(data, tmp_path, tmp_path / "run.yaml")
    write_scored(found, data, tmp_path / "score")
    file = tmp_path / "score/utterances.tsv"
    header, first, *_ = file.read_text().splitlines()
    assert first.split("\t")[4:7] == ["", "", "meaning"]
    back = read_scored(tmp_path / "score")
    assert back.utts == UTTS and back.alignments == {}
    assert all(np.array_equal(back.counts[key], table) for key, table in found.counts.items())
    file.write_text(header + "\n")
    assert read_scored(tmp_path / "score").utts == []
    file.write_text(header.replace("\t", " ") + "\n")
    with pytest.raises(DataError, match="columns are not"):
        read_scored(tmp_path / "score")
    file.write_text(header + "\n")
    (tmp_path / "score/run.json").unlink()
    with pytest.raises(DataError, match="holds no scores"):
        read_scored(tmp_path / "score")


def test_alignments_of_words_and_of_hangul_stand_in_columns(tmp_path):
    pairs = {
        "a": [("AH", "AH"), (None, "K"), ("IH", "T"), ("ER", None)],
        "b": [("S", "S"), (None, "SH")],
    }
    write_alignments(tmp_path / "phones", pairs, "phone")
    assert (tmp_path / "phones").read_text() == """\
a  S=1 D=1 I=1 of 3
ref  AH * IH ER
hyp  AH K T  **
        I S  D

b  S=0 D=0 I=1 of 1
ref  S **
hyp  S SH
       I

"""
    write_alignments(tmp_path / "char", {"a": [("가", "가"), (None, "나"), ("다", "d")]}, "char")
    assert (tmp_path / "char").read_text() == """\
a  S=1 D=0 I=1 of 2
ref  가**다
hyp  가나d
       I S

"""


def test_one_output_is_read_with_its_references(case):
    references, texts = read_pair(case[0], case[1], "surface")
    assert references == {utt: texts[0] for utt, texts in HEARD.items()}
    assert texts == {"a-1": "i sing so", "a-2": "", "b-1": "i laik rais end bins"}
    assert read_pair(case[0], case[1], "meaning")[1]["a-1"] == "i think so"
    (case[1] / "text.surface").write_text("a-1 i\n")
    with pytest.raises(DataError, match=f"^{case[1]}/text.surface: utterance a-2 is missing"):
        read_pair(case[0], case[1], "surface")


def test_records_are_one_a_line(tmp_path):
    write_records(tmp_path / "x.json", [{"l1": "한국어"}, {"l1": None, "n": 1}])
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text == '[\n{"l1": "한국어"},\n{"l1": null, "n": 1}\n]\n'


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "a-1 i\na-2 x\n",
            "decode_x/test/text.surface: utterance b-1 is missing, but .*/data/x/test/text.surface has it: "
            r"decode this split again \(stage 9\)$",
        ),
        (HYPOTHESES["surface"] + "c-1 x\n", "data/x/test/text.surface: utterance c-1"),
    ],
)
def test_missing_and_extra_hypotheses_are_named(case, text, message):
    (case[1] / "text.surface").write_text(text)
    with pytest.raises(DataError, match=message):
        scored(*case)


def test_run_file_must_be_whole(case):
    case[2].write_text("system: do\n")
    with pytest.raises(DataError, match="run.yaml: no 'seed'"):
        read_run(case[2])
    case[2].unlink()
    with pytest.raises(DataError, match="run.yaml: not found; train this system first"):
        read_run(case[2])


def test_command_line(case, tmp_path):
    options = ["--data", case[0].path, "--decode", case[1], "--run", case[2]]
    command = ["l2dual.bin.score", "--out", tmp_path / "score", *options]
    assert python_m(*command, "--decode_config", "conf/decode.yaml").returncode == 0
    assert json.loads((tmp_path / "score/run.json").read_text())["name"] == "do"
    assert read_scored(tmp_path / "score").run == scored(*case).run
    (case[1] / "text.surface").unlink()
    failed = python_m(*command)
    assert failed.returncode == 1 and "text.surface: no such file" in failed.stderr
