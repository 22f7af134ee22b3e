"""A run that is kept and restored is scored as it was."""

import json
import subprocess
import sys

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
        ours, theirs = ((d / name).read_bytes() for d in (run, restored))
        assert ours == theirs or name == "run.yaml"
    assert yaml.safe_load((restored / "run.yaml").read_text("utf-8")) == RUN
    assert "하꾜에" in file.read_text("utf-8")


def test_what_cannot_be_kept_read_or_restored_is_named(run, tmp_path):
    with pytest.raises(DataError, match="is there already"):
        records.restore(records.keep(run, "decode"), run)
    with pytest.raises(DataError, match="decode this run first"):
        records.keep(run, "greedy")
    lists = json.dumps({"run": [], "hypotheses": {}, "gradients": []})
    for content in ("half", json.dumps({"run": {}}), lists):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(DataError, match="x.json: not a record of a run"):
            records.read(tmp_path / "x.json")


def test_restored_one_by_one_or_not_at_all(run, tmp_path):
    record = records.keep(run, "decode")
    for seed in (2, 3):
        gradient = {"exp_dir": f"exp/tag.do.seed{seed}", "layer": "block1"}
        records.write(record | {"gradients": [gradient]}, tmp_path / f"tag.do.seed{seed}.json")
    (tmp_path / "broken.json").write_text("{}")
    out = tmp_path / "restored"

    def restore(*names):
        command = [sys.executable, "-m", "l2dual.bin.records", "restore"]
        command += [tmp_path / f"{name}.json" for name in names] + ["--to", out]
        return subprocess.run([*map(str, command)], capture_output=True, text=True)

    failed = restore("tag.do.seed2", "broken")
    assert failed.returncode == 1 and "not a record of a run" in failed.stderr and not out.exists()
    assert restore("tag.do.seed2").returncode == 0
    made = (out / "tag.do.seed2" / "run.yaml").stat().st_mtime_ns
    again = restore("tag.do.seed2", "tag.do.seed3")
    assert again.returncode == 0
    assert again.stderr == f"{out}/tag.do.seed2: is there already, and is kept\n"
    assert (out / "tag.do.seed2" / "run.yaml").stat().st_mtime_ns == made
    gradients = json.loads((out / "gradients.json").read_text())
    assert [g["exp_dir"][-1] for g in gradients] == ["2", "3"]
