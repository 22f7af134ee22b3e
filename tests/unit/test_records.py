"""A run that is kept and restored is scored as it was."""

import json

import pytest
import yaml

from l2dual import records
from l2dual.errors import DataError

RUN = {
    "system": "do", "seed": 2, "outputs": ["surface", "meaning"], "corpus": "simulated",
    "language": "ko", "convention": "heard", "data": "dump/x", "train_config": "t.yaml",
    "command": "./run.sh", "commit": "abc",
}  # fmt: skip
TEXTS = {"surface": "s-1 하꾜에 카요\ns-2\n", "meaning": "s-1 학교에 가요\ns-2 네\n"}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "exp/tag.do.seed2"
    for decode in ("decode", "decode_half"):
        (folder / decode / "test").mkdir(parents=True)
        (folder / decode / "score").mkdir()
        for output, text in TEXTS.items():
            (folder / decode / "test" / f"text.{output}").write_text(text, encoding="utf-8")
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    return folder


def test_a_restored_run_has_the_facts_and_the_hypotheses_of_every_budget(run, tmp_path):
    file = tmp_path / "results" / "tag.do.seed2.json"
    records.write(records.keep(run, "decode"), file)
    restored = tmp_path / "other/tag.do.seed2"
    records.restore(records.read(file), restored)
    names = {str(path.relative_to(restored)) for path in restored.rglob("*") if path.is_file()}
    texts = {f"{d}/test/text.{o}" for d in ("decode", "decode_half") for o in TEXTS}
    assert names == texts | {"run.yaml"}
    for name in names:
        ours, theirs = (yaml.safe_load((d / name).read_text("utf-8")) for d in (run, restored))
        assert ours == theirs
    assert "하꾜에" in file.read_text("utf-8")


def test_what_cannot_be_kept_read_or_restored_is_named(run, tmp_path):
    with pytest.raises(DataError, match="is there already"):
        records.restore(records.keep(run, "decode"), run)
    with pytest.raises(DataError, match="decode this run first"):
        records.keep(run, "greedy")
    for content in ("half", json.dumps({"run": {}})):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(DataError, match="x.json: not a record of a run"):
            records.read(tmp_path / "x.json")
