"""Runs of one system that differ by their seed become one run."""

import argparse
import sys

import pytest
import torch

from l2dual.bin import average
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.models.adapters import Adapted
from l2dual.training.load import CHECKPOINT, load_model
from l2dual.training.runs import write_yaml
from l2dual.training.task import L2DualTask
from tests.systems import make_run


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["average", *map(str, words)])
    average.main()


@pytest.fixture
def runs(tmp_path, weights, vocabulary):
    """Three, with adapters in Whisper's decoder."""
    made = []
    for seed in (1, 2, 3):
        run = make_run(tmp_path / f"do.seed{seed}", "do", seed)
        config = read_yaml(run / "config.yaml") | {"meaning_token_list": vocabulary, "meaning_token_type": "whisper"}
        config |= {"frontend": "pretrained", "frontend_conf": {"path": str(weights), "layers": [3], "mix": False}}
        config |= {"encoder": "layered", "encoder_conf": {}, "surface_token_type": "phn"}
        config |= {"decoder": "whisper", "decoder_conf": {"path": str(weights), "rank": 2}}
        write_yaml(run / "config.yaml", config)
        model = L2DualTask.build_model(argparse.Namespace(**config))
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                torch.nn.init.normal_(parameter, std=0.1)
        torch.save(model.state_dict(), run / CHECKPOINT)
        (run / "lexicon.json").write_text(f'{{"words": {{"a": ["AH{seed}"]}}}}')
        made.append(run)
    return made


def changes(run):
    return {name: part.up @ part.down for name, part in load_model(run).named_modules() if isinstance(part, Adapted)}


def test_a_run_of_the_mean(runs, monkeypatch, tmp_path, capsys):
    out = tmp_path / "do_averaged.seed1"
    call(monkeypatch, *runs, "--out", out)
    assert "40 adapters, each the mean of 3 runs" in capsys.readouterr().out
    facts = read_yaml(out / "run.yaml")
    assert facts["system"] == "do_averaged" and facts["averaged"] == {f"do.seed{seed}": "abc" for seed in (1, 2, 3)}
    assert facts["command"].startswith("python -m l2dual.bin.average") and facts["label"].endswith("3 seeds averaged")
    assert (out / "trained").is_file() and "AH1" in (out / "lexicon.json").read_text()
    found, each = changes(out), [changes(run) for run in runs]
    for name, change in found.items():
        mean = torch.stack([one[name] for one in each]).mean(0)
        nearer = [(change - mean).norm() < (one[name] - mean).norm() for one in each]
        assert all(nearer) and torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    own, first = load_model(out).state_dict(), load_model(runs[0]).state_dict()
    assert own.keys() == first.keys()
    assert all(torch.equal(own[name], first[name]) for name in own if not name.endswith((".up", ".down")))


def test_what_has_no_mean(runs, monkeypatch, tmp_path):
    out = tmp_path / "do_averaged.seed1"
    for some in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(UsageError, match="give two or more runs, each once"):
            call(monkeypatch, *some, "--out", out)
    for name in ("mean", "do.seed4"):
        with pytest.raises(UsageError, match="call it NAME.seed1, where NAME is no system: as do_averaged"):
            call(monkeypatch, *runs, "--out", tmp_path / name)
    (tmp_path / "old.seed1").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        call(monkeypatch, *runs, "--out", tmp_path / "old.seed1")
    with pytest.raises(UsageError, match="of several systems or data"):
        call(monkeypatch, runs[0], make_run(tmp_path / "so_meaning.seed1", "so_meaning", 1), "--out", out)
    plain = [make_run(tmp_path / f"plain.seed{seed}", "do", seed) for seed in (1, 2)]
    with pytest.raises(UsageError, match="plain.seed1: .*there are no adapters"):
        call(monkeypatch, *plain, "--out", out)
    assert not out.exists()
