"""A packed model on another machine: without the recipe, wherever it is unpacked."""

import argparse
import os
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml
from espnet2.main_funcs.pack_funcs import unpack

from l2dual.bin import pack
from l2dual.data.tokens import write_tokens
from l2dual.errors import DataError, UsageError
from l2dual.training.load import (
    CHECKPOINT,
    best_model,
    check_rate,
    load_model,
    random_model,
    text_to_ids,
    vocabulary,
)
from l2dual.training.task import L2DualTask
from tests.systems import RATE, TOKENS, make_run

HALF = {"rtol": 0.01, "atol": 0.005}  # an archive's weights have 16 bits
STATS = "exp/stats/train/feats_stats.npz"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe with one run, its best checkpoint a link as ESPnet leaves it; the current directory."""
    recipe = tmp_path / "recipe"
    (recipe / STATS).parent.mkdir(parents=True)
    monkeypatch.chdir(recipe)
    rng = np.random.default_rng(0)
    mean, square = rng.normal(size=80), 2 + rng.uniform(size=80)
    np.savez(STATS, count=10, sum=10 * mean, sum_square=10 * (square + mean**2))
    run = make_run(recipe / "exp/run", "do", 1)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"normalize": "global_mvn", "normalize_conf": {"stats_file": STATS}}
    (recipe / "texts").write_text("".join(f"u{i} ab cab {i}\n" for i in range(10)))
    write_tokens([recipe / "texts"], "bpe", recipe / "exp/tokens", 16)
    config |= {"meaning_token_type": "bpe", "meaning_bpemodel": "exp/tokens/bpe.model"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / CHECKPOINT).unlink()
    torch.save(L2DualTask.build_model(argparse.Namespace(**config)).state_dict(), run / "3epoch.pth")
    (run / CHECKPOINT).symlink_to("3epoch.pth")
    return recipe


def encode(model):
    speech = torch.randn(1, RATE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.encode(speech, torch.tensor([RATE])).states["surface"]


def packed(run, archive, monkeypatch):
    command = ["pack", "--exp", str(run), "--out", str(archive)]
    monkeypatch.setattr(sys, "argv", command)
    pack.main()
    return archive


@pytest.mark.parametrize("whole_path", [False, True])
def test_an_archive_needs_no_recipe(recipe, tmp_path, monkeypatch, whole_path):
    run = recipe / "exp/run"
    expected = encode(load_model(run))
    if whole_path:  # an expdir elsewhere: ESPnet's archive then has whole paths
        config = (run / "config.yaml").read_text().replace(" exp/", f" {recipe}/exp/")
        (run / "config.yaml").write_text(config)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
    archive = packed(run, tmp_path / "model.zip", monkeypatch)
    monkeypatch.chdir(tmp_path)
    unpack(archive, "first place")
    shutil.rmtree(recipe)
    os.rename("first place", "second place")  # the paths that ESPnet wrote in it are now wrong
    [config] = (tmp_path / "second place").rglob("config.yaml")
    for path in ("second place", config.parent):
        torch.testing.assert_close(encode(load_model(path)), expected, **HALF)
        assert vocabulary(path, "surface") == TOKENS
        assert text_to_ids(path, "meaning")("ab") and text_to_ids(path, "surface")("ab") == [2, 3]
        assert torch.equal(random_model(path, 2).normalize.mean, load_model(path).normalize.mean)
    with pytest.raises(DataError, match="half.pth: no such checkpoint"):
        load_model(config.parent, "half.pth")


@pytest.mark.parametrize("sharing", [{"branch": {"depth": 1}}, {"surface_first": {"depth": 1}}], ids=str)
def test_an_archive_of_a_mechanism(tmp_path, monkeypatch, sharing):
    run = make_run(tmp_path / "run", "do", 1, sharing=sharing)
    expected = encode(load_model(run))
    unpack(packed(run, tmp_path / "model.zip", monkeypatch), tmp_path / "there")
    shutil.rmtree(run)
    torch.testing.assert_close(encode(load_model(tmp_path / "there")), expected, atol=5e-3, rtol=5e-3)  # 16 bits
    [config] = (tmp_path / "there").rglob("config.yaml")
    [(name, _)] = sharing.items()
    config.write_text(config.read_text().replace(f"{name}:", "later_mechanism:"))
    with pytest.raises(DataError, match="there: sharing: unknown mechanism 'later_mechanism': use .*; or") as raised:
        load_model(tmp_path / "there")
    assert "\n" not in str(raised.value)


def test_a_run_beside_another_meta_yaml_is_a_run(recipe):
    for text in ("a: [", "- 1", "files: {model_file: x.pth}\nyaml_files: {train_config: c.yaml}"):
        (recipe / "meta.yaml").write_text(text)
        assert load_model(recipe / "exp/run")


def test_an_archive_runs_no_code(recipe, tmp_path, monkeypatch):
    archive = packed(recipe / "exp/run", tmp_path / "model.zip", monkeypatch)
    model_file = unpack(archive, tmp_path / "there")["model_file"]
    torch.save({"a": Touch(tmp_path / "ran")}, model_file)
    with pytest.raises(DataError, match="model.pth: not a checkpoint"):
        load_model(tmp_path / "there")
    assert not (tmp_path / "ran").exists()


class Touch:
    """What a pickle may do when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mknod, (str(self.path),)


@pytest.mark.parametrize(
    "criteria, name",
    [
        ([["valid", "loss", "min"]], "valid.loss.ave.pth"),
        ([["train", "loss", "min"], ["valid", "loss_ctc", "min"]], "valid.loss_ctc.ave.pth"),
        ([["valid", "loss", "min"], ["valid", "acc", "max"]], "valid.acc.ave.pth"),
        ([["train", "acc", "max"]], "train.acc.ave.pth"),
    ],
)
def test_the_averaged_model_has_the_name_of_its_criterion(recipe, tmp_path, monkeypatch, criteria, name):
    run = recipe / "exp/run"
    config = yaml.safe_load((run / "config.yaml").read_text()) | {"best_model_criterion": criteria}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / CHECKPOINT).rename(run / name)
    expected = encode(load_model(run))
    assert best_model(run) == run / name
    unpack(packed(run, tmp_path / "model.zip", monkeypatch), tmp_path / "unpacked")
    torch.testing.assert_close(encode(load_model(tmp_path / "unpacked")), expected, **HALF)


def test_a_run_takes_speech_at_the_rate_that_it_was_trained_on(recipe):
    check_rate("exp/run", RATE)
    with pytest.raises(UsageError, match="exp/run: was not trained on speech at 22050 Hz"):
        check_rate("exp/run", 22050)
    config = yaml.safe_load((recipe / "exp/run/config.yaml").read_text())
    (recipe / "exp/run/config.yaml").write_text(yaml.safe_dump(config | {"frontend": "pretrained"}))
    with pytest.raises(UsageError, match="a pretrained encoder takes 16000 Hz"):
        check_rate("exp/run", 8000)
