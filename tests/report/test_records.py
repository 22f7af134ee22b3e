"""A study that is kept is scored as it was, and nothing in a record leads outside."""

import json
import lzma

import pytest
import yaml

from l2dual.data.datadir import DataDir, read_table
from l2dual.errors import DataError, UsageError
from l2dual.report import records
from l2dual.scoring.outcomes import gather, outcomes
from l2dual.scoring.score import decoded_run, score
from tests.commands import python_m
from tests.data.test_divergence import HEARD, make_data
from tests.scoring.test_score import HYPOTHESES, RUN

MADE_BY = {"commit": "abc", "command": "results"}


@pytest.fixture
def case(tmp_path):
    """A data directory, and a run that is decoded at both budgets."""
    data = make_data(tmp_path / "dump/x/test", HEARD)
    folder = tmp_path / "exp/tag.do.seed1"
    for decode in ("decode", "decode_half"):
        (folder / decode / "test").mkdir(parents=True)
        (folder / decode / "score").mkdir()
        for output, text in HYPOTHESES.items():
            (folder / decode / "test" / f"text.{output}").write_text(text)
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    return DataDir.load(data.path), folder


@pytest.fixture
def study(case, tmp_path):
    """That run, kept."""
    data, folder = case
    records.write_record(records.keep_references(data), tmp_path / "kept/references.json.xz")
    records.write_record(records.keep(folder, "decode", "d.yaml"), tmp_path / "kept/tag.do.seed1.json.xz")
    return tmp_path / "kept"


def test_a_kept_study_is_scored_as_the_run_itself(case, study):
    data, folder = case
    facts = decoded_run(folder / "run.yaml", folder / "decode/test", "d.yaml")
    texts = {output: read_table(folder / f"decode/test/text.{output}") for output in facts.outputs}
    mine = outcomes(gather(data, [score(data, texts, facts)]), MADE_BY)
    kept = records.load_study(study)
    theirs = outcomes(gather(kept.data, kept.scored()), MADE_BY)
    assert theirs.records == mine.records and len(mine.records) > 20
    assert kept.data.path == data.path and "wav.scp" not in kept.data.tables
    half = kept.scored("decode_half")
    assert half[0].run.decode_dir == "tag.do.seed1/decode_half/test"
    with pytest.raises(DataError, match="the record has no greedy/test"):
        kept.scored("greedy")


def test_the_decodings_of_other_data_are_kept_apart(case):
    _, folder = case
    (folder / "decode_on_valid/valid").mkdir(parents=True)
    for output, text in HYPOTHESES.items():
        (folder / "decode_on_valid/valid" / f"text.{output}").write_text(text)
    assert records.keep(folder, "decode")["hypotheses"].keys() == {"decode", "decode_half"}
    assert list(records.keep(folder, "decode_on_valid")["hypotheses"]["decode_on_valid"]) == ["valid"]


def test_a_restored_run_has_the_hypotheses_of_every_budget(case, study, tmp_path):
    restored = tmp_path / "other/tag.do.seed1"
    records.restore({restored: records.load_study(study).runs["tag.do.seed1"]})
    names = {str(path.relative_to(restored)) for path in restored.rglob("*") if path.is_file()}
    assert names == {f"{d}/test/text.{o}" for d in ("decode", "decode_half") for o in HYPOTHESES} | {"run.yaml"}
    for name in names - {"run.yaml"}:
        assert read_table(restored / name) == read_table(case[1] / name)
    assert yaml.safe_load((restored / "run.yaml").read_text("utf-8")) == RUN
    with pytest.raises(DataError, match="exists already"):
        records.restore({restored: records.load_study(study).runs["tag.do.seed1"]})


def test_equal_records_are_equal_files(case, study):
    file = study / "tag.do.seed1.json.xz"
    before = file.read_bytes()
    records.write_record(records.read_record(file), file)
    assert file.read_bytes() == before


REFERENCE_KINDS = {"path": str, "info": dict, "tables": dict}


def change(path, *keys, value=None, name=None, kinds=records.KINDS):
    """Change what a record has at ``keys``, or call it ``name`` instead."""
    record = records.read_record(path, kinds)
    place = record
    for key in keys[:-1]:
        place = place[key]
    content = place.pop(keys[-1])
    if name is None:
        place[keys[-1]] = value
    else:
        place[name] = content
    records.write_record(record, path)


HOSTILE = ["../../evil", "/abs/evil", "..", ".hidden", "a/b", "", "a\x00b", "a\nb", "x" * 300, "a b"]
WHERE = [
    ("hypotheses", "decode"),
    ("hypotheses", "decode", "test"),
    ("hypotheses", "decode", "test", "surface"),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("keys", WHERE, ids=["decoding", "split", "output"])
def test_no_name_in_a_record_leads_outside(study, tmp_path, name, keys):
    change(study / "tag.do.seed1.json.xz", *keys, name=name)
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(DataError, match="is not the name of a directory|has the outputs"):
        records.load_study(study)
    assert {path for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("utt, text", [("a-1\nb-1", "x"), ("a 1", "x"), ("", "x"), ("a-1", "x\ny"), ("a-1", 3)])
def test_no_text_in_a_record_is_more_than_a_line(study, utt, text):
    keys = ("hypotheses", "decode", "test", "surface")
    change(study / "tag.do.seed1.json.xz", *keys, value={utt: text})
    with pytest.raises(DataError, match="tag.do.seed1.json.xz: surface, utterance .* not one line of text"):
        records.load_study(study)


def test_broken_records_are_one_line(study, tmp_path, monkeypatch):
    file = study / "tag.do.seed1.json.xz"
    whole = file.read_bytes()
    deep = lzma.compress(b"[" * 200_000)
    for content in (b"half", whole[:-20], lzma.compress(b"[]"), lzma.compress(b"\xff"), deep):
        file.write_bytes(content)
        with pytest.raises(DataError, match="tag.do.seed1.json.xz: not a record"):
            records.load_study(study)
    file.write_bytes(whole)
    monkeypatch.setattr(records, "LIMIT", 100)
    with pytest.raises(DataError, match="not a record"):
        records.read_record(file)
    monkeypatch.undo()
    change(file, "hypotheses", value={})
    with pytest.raises(DataError, match="has no hypotheses"):
        records.load_study(study)
    change(file, "hypotheses", value={"decode": []})
    with pytest.raises(DataError, match="not a record of a run"):
        records.load_study(study)
    for keys, value, message in (
        (("run", "seed"), "one", "its run has 'one' as 'seed'"),
        (("run", "data"), None, "its run has None as 'data'"),
        (("run", "outputs"), "surface", "its run has 'surface' as 'outputs'"),
        (("run", "order"), "first", "its run has 'first' as 'order'"),
        (("run", "baselines"), {"surface": ["x"]}, "its run's system: baselines of 'meaning'"),
        (("facts",), {"x": 1}, "its facts are not parameters, "),
        (("run", "outputs"), ["surface"], "has the outputs surface, meaning, which are not"),
    ):
        file.write_bytes(whole)
        change(file, *keys, value=value)
        with pytest.raises(DataError, match=message):
            records.load_study(study)
    change(file, "run", "seed", name="sown")
    with pytest.raises(DataError, match="its run has None as 'seed'"):
        records.load_study(study)
    file.unlink()
    with pytest.raises(DataError, match="not a kept study"):
        records.load_study(study)


def test_references_must_be_whole(study):
    file = study / "references.json.xz"
    record = records.read_references(file)
    content = {"path": str(record.path), "info": record.info, "tables": record.tables}
    for name, table in (("utt2spk", None), ("text.surface", {"a-1": "x"})):
        tables = {key: value for key, value in record.tables.items() if key != name}
        records.write_record(content | {"tables": tables | ({name: table} if table else {})}, file)
        with pytest.raises(DataError, match=f"references.json.xz: {name} "):
            records.load_study(study)


@pytest.mark.parametrize("key, value", [("surface_unit", "gloss"), ("language", None), ("corpus", 3)])
def test_facts_of_references_must_be_whole(study, key, value):
    change(study / "references.json.xz", "info", key, value=value, kinds=REFERENCE_KINDS)
    with pytest.raises(DataError, match=f"references.json.xz: {key} is {value!r}"):
        records.load_study(study)


def test_what_cannot_be_kept_is_named(case):
    with pytest.raises(DataError, match="decode this run first"):
        records.keep(case[1], "greedy")


@pytest.mark.slow
def test_command_line(case, study, tmp_path):
    data, folder = case
    again, out = tmp_path / "again", tmp_path / "restored"
    records.keep_study([folder], data, again, "decode", "d.yaml")
    for file in study.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes()
    both = python_m("l2dual.bin.records", "restore", study, again, "--to", out)
    assert both.returncode == 1 and not out.exists()
    assert "tag.do.seed1 is in another study too" in both.stderr and both.stderr.count("\n") == 1
    assert python_m("l2dual.bin.records", "restore", study, "--to", out).returncode == 0
    assert (out / "tag.do.seed1/decode/test/text.surface").is_file()
    scored = python_m("l2dual.bin.results", study, "--out", tmp_path / "r.json")
    assert scored.returncode == 0 and "\nen  do " in scored.stdout
    assert "hypotheses: " not in scored.stdout  # a kept study has no files of them
    assert json.loads((tmp_path / "r.json").read_text())["meta"]["n_utts"] == 3


def test_other_references_are_not_kept_in_the_same_study(case, study, tmp_path):
    texts = HEARD | {"a-1": ("i sing so", *HEARD["a-1"][1:])}
    changed = DataDir.load(make_data(tmp_path / "dump/y/test", texts).path)
    with pytest.raises(DataError, match="references.json.xz: has other references than .*y/test"):
        records.keep_study([case[1]], changed, study, "decode", None)
    with pytest.raises(UsageError, match="two runs have one name"):
        records.keep_study([case[1], case[1]], case[0], study, "decode", None)
