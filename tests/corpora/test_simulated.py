"""The simulated corpus: sizes and a request in, utterances out."""


import pytest
import soundfile
import yaml

from l2dual.corpora import Request
from l2dual.corpora.simulated import prepare
from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.training.runs import merge
from tests.commands import python_m

SMALL = {
    "utterances": {"train": 9, "valid": 3, "test": 6},
    "speakers": {"train": 3, "valid": 1, "test": 2},
}


@pytest.fixture
def sizes(root, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(merge(read_yaml(root / "conf/simulate/tiny.yaml"), SMALL)))
    return path


def test_a_request_reaches_the_simulator(sizes, tmp_path):
    request = Request("ko", "pronounced", seed=2, nj=2, out=tmp_path / "data.tmp", severity="none")
    utterances, info = prepare(sizes, request)
    utterances = list(utterances)
    assert [u.split for u in utterances].count("train") == 9
    assert all(u.surface == u.canonical for u in utterances)
    assert (info["preset"], info["severity"], info["errors"]) == ("small", "none", "rules")
    first = utterances[0].audio
    assert first.parent == tmp_path / "data/audio"  # where it will be
    assert soundfile.info(tmp_path / "data.tmp/audio" / first.name).samplerate == 16000


def test_a_wrong_size_names_its_file(sizes, tmp_path):
    sizes.write_text("utterances: {}\n")
    with pytest.raises(UsageError, match=f"^{sizes}: the key 'pitch' is missing"):
        prepare(sizes, Request("en", "heard", out=tmp_path / "data"))


@pytest.mark.slow
def test_stage_1_writes_data_directories(sizes, tmp_path):
    command = ["l2dual.bin.prepare", "--corpus", "simulated", "--language", "en", "--convention", "heard"]
    command += ["--db", sizes, "--out", tmp_path / "data"]
    (tmp_path / "data/train").mkdir(parents=True)
    (tmp_path / "data/train/old").touch()
    (tmp_path / "data/notes").touch()
    refused = python_m(*command)
    assert refused.returncode == 1 and "data/train: exists without corpus.yaml: remove it" in refused.stderr
    assert (tmp_path / "data/train/old").exists()
    (tmp_path / "data/train/corpus.yaml").touch()  # as an earlier call leaves it
    done = python_m(*command)
    assert done.returncode == 0
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["audio", "notes", "test", "train", "valid"]
    assert not (tmp_path / "data/train/old").exists()
    assert done.stdout.startswith("train: 9 utterances, 3 speakers\nvalid: 3 utterances")
    data = DataDir.load(tmp_path / "data/test")
    assert len(data["wav.scp"]) == 6 and data.info["corpus"] == "simulated"
    failed = python_m(*command, "--canonical", "dictionary")
    assert failed.returncode == 1 and "--canonical is for --corpus kaldi or table" in failed.stderr
