"""A rater from a run and a corpus with scores: trained, in a table, packed, and used."""

import json
import re
import shutil
import sys
import zipfile

import numpy as np
import pytest

from l2dual import DualSpeech2Text
from l2dual.bin import agreement, fold, rate
from l2dual.data.datadir import DataDir, read_table, write_table
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.inference.card import OF_GROUPS, RATED
from l2dual.inference.packing import pack
from l2dual.inference.rater import Raters
from l2dual.inference.shelf import facts_of
from l2dual.training.runs import write_yaml
from tests.systems import CHECKPOINT, make_data, make_run

PHONES = "a b c a"
pytestmark = pytest.mark.slow  # test_rater.py tests raters by themselves


def call(command, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["l2dual", *map(str, words)])
    command.main()


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A run with a rater, and its data: two words of two phones, whose scores are drawn."""
    root = tmp_path_factory.mktemp("recipe")
    run, rng = make_run(root / "do.seed1", "do", 1), np.random.default_rng(0)
    for number, split in enumerate(("train", "valid", "test")):
        data = make_data(root / split, n_speakers=6, per_speaker=3)
        utts = [line.split()[0] for line in (data / "utt2spk").read_text().splitlines()]
        scores = {}
        for utt in utts:
            marks = rng.choice([0.4, 1.0, 2.0], size=(2, 2)).tolist()
            whole = dict.fromkeys(("accuracy", "completeness", "fluency", "prosodic", "total"), int(rng.integers(11)))
            words = [9, int(rng.integers(11))]
            scores[utt] = json.dumps({"phones": marks, "words": words, "word_total": words, **whole})
        write_table(data / "text.canonical", dict.fromkeys(utts, PHONES))
        write_table(data / "utt2scores", scores)
        write_table(data / "utt2group", {utt: ("child", "adult")[number % 2] for number, utt in enumerate(utts)})
    with pytest.MonkeyPatch.context() as patch:
        call(rate, patch, "--exp", run, "--data", root, "--out", run / "rater")
    return run


def test_the_table(rated, monkeypatch, capsys):
    out = rated.parent / "agreement.json"
    call(agreement, monkeypatch, rated / "rater", "--data", rated.parent / "test", "--out", out)
    shown = capsys.readouterr().out
    assert "| do, 1 seed | all (18) | adult (9) | child (9) |" in shown
    assert len(re.findall(r"^\| (?!do|---)", shown, re.MULTILINE)) == len(RATED) and "measures: agreement.json" in shown
    records = json.loads(out.read_text())
    assert {one["group"] for one in records} == {"all", "adult", "child"}
    found = {one["measure"]: one for one in records if one["group"] == "all"}
    kept = json.loads((rated / "rater/scored.json").read_text())["utterances"]
    given = dict(line.split(" ", 1) for line in (rated.parent / "test/utt2scores").read_text().splitlines())
    pairs = [
        pair for utt in given
        for pair in zip(kept[utt]["phones"], np.ravel(json.loads(given[utt])["phones"]), strict=True)
    ]  # fmt: skip
    assert np.isclose(found["rater: phone PCC"]["value"], np.corrcoef(*zip(*pairs, strict=True))[0, 1])
    assert {"word accuracy PCC", "utterance total PCC", "goodness: errors, f1"} <= found.keys()
    assert "word stress PCC" not in found  # these scores have none


def test_packed_and_used(rated, monkeypatch, tmp_path):
    archive = tmp_path / "model.zip"
    out = rated.parent / "agreement.json"
    call(agreement, monkeypatch, rated / "rater", "--data", rated.parent / "test", "--out", out)
    pack(rated, archive)
    with zipfile.ZipFile(archive) as packed:
        assert "- utterance total PCC " in packed.read("README.md").decode()
    told = [(one["group"], one["measure"]) for one in facts_of(archive)["ratings"]]
    assert told == [("all", one) for one in RATED] + [(group, one) for group in ("adult", "child") for one in OF_GROUPS]
    model = DualSpeech2Text.from_pretrained(archive)
    assert isinstance(model.raters, Raters) and model.raters.facts["speakers"] == 6


def test_a_rater_learns_from_models_that_have_not_heard_the_speaker(rated, monkeypatch, tmp_path):
    root, run, folds = rated.parent, tmp_path / "do.seed1", [tmp_path / f"fold{part}" for part in (1, 2)]
    shutil.copytree(rated, run)
    utts = DataDir.load(root / "train")["utt2spk"]
    write_table(root / "shape", dict.fromkeys(utts, 16000))
    lists = [[str(root / "train" / f"text.{name}"), name, "text"] for name in ("surface", "meaning")]
    config = read_yaml(run / "config.yaml") | {"train_shape_file": [str(root / "shape")]}
    config |= {"scheduler_conf": {"warmup_steps": 9}, "best_model_criterion": [["valid", "acc_meaning", "max"]]}
    config |= {f"{split}_data_path_and_name_and_type": lists for split in ("train", "valid")}
    write_yaml(run / "train.yaml", config)
    for part, out in enumerate(folds, 1):
        call(fold, monkeypatch, "--exp", run, "--data", root, "--part", part, "--parts", 2, "--out", out)
        made = read_yaml(out / "train.yaml")
        heard = {*read_table(made["train_shape_file"][0])}
        assert heard == {*utts} - {*read_table(out / "heldout")}
        assert len({utts[utt] for utt in heard}) == 3  # of six speakers
        [[path, name, _]] = made["train_data_path_and_name_and_type"]
        assert name == "surface" and {*read_table(path)} == heard and "meaning_token_list" not in made
        assert made["model_conf"]["loss_weights"] == {"surface": {"ctc": 1.0, "attention": 0.0}}
        assert made["scheduler_conf"] == {"warmup_steps": 4}
        assert made["best_model_criterion"] == [["valid", "acc", "max"]]
        trained = make_run(tmp_path / f"so_surface.seed{part}", "so_surface", part)
        for file in ("config.yaml", CHECKPOINT):
            shutil.copy(trained / file, out)
    assert not {*read_table(folds[0] / "heldout")} & {*read_table(folds[1] / "heldout")}
    call(rate, monkeypatch, "--exp", run, "--data", root, "--folds", *folds, "--out", tmp_path / "rater")
    for where, number in ((tmp_path / "rater", 2), (run / "rater", 0)):
        made = Raters.load(where)
        assert made.facts["speakers"] == 6 and made.facts["folds"] == number
    raters = tmp_path / "rater", run / "rater"
    found = [json.loads((rater / "scored.json").read_text())["utterances"] for rater in raters]
    assert found[0].keys() == found[1].keys() and found[0] != found[1]
    assert all(one["goodness"] == found[1][utt]["goodness"] for utt, one in found[0].items())  # of the run itself
    with pytest.raises(DataError, match="not in one of .*fold1: run stage 8 again"):
        call(rate, monkeypatch, "--exp", run, "--data", root, "--folds", folds[0], "--out", tmp_path / "rater")
    shutil.copytree(tmp_path / "rater", tmp_path / "do.seed2/rater")
    mixed = run / "rater", tmp_path / "do.seed2/rater"
    with pytest.raises(DataError, match="raters of do: of unlike --rater_folds"):
        call(agreement, monkeypatch, *mixed, "--data", root / "test", "--out", tmp_path / "a.json")
    strange = read_yaml(folds[1] / "config.yaml")
    strange["surface_token_list"] = [*strange["surface_token_list"][:-1], "z", "<sos/eos>"]
    write_yaml(folds[1] / "config.yaml", strange)
    with pytest.raises(DataError, match="fold2"):
        call(rate, monkeypatch, "--exp", run, "--data", root, "--folds", *folds, "--out", tmp_path / "rater")
    with pytest.raises(DataError, match="1 parts of 6 speakers: give --rater_folds 2, or 0"):
        call(fold, monkeypatch, "--exp", run, "--data", root, "--part", 1, "--parts", 1, "--out", tmp_path / "one")


def test_two_seeds(rated, monkeypatch, capsys, tmp_path):
    for seed in (1, 2):
        shutil.copytree(rated / "rater", tmp_path / f"do.seed{seed}/rater")
    two = tmp_path / "do.seed1/rater", tmp_path / "do.seed2/rater"
    call(agreement, monkeypatch, *two, "--data", rated.parent / "test", "--out", tmp_path / "a.json")
    assert "| do, 2 seeds | all (18) |" in capsys.readouterr().out
    one = json.loads((tmp_path / "a.json").read_text())[0]
    assert len(one["each"]) == 2 and np.isclose(one["value"], one["each"][0])


def test_what_has_no_rater(rated, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="no such file: train the rater first"):
        call(agreement, monkeypatch, tmp_path, "--data", rated.parent / "test", "--out", tmp_path / "a.json")
    alone = make_run(tmp_path / "so_meaning.seed1", "so_meaning", 1)
    with pytest.raises(UsageError, match="no CTC on the surface"):
        call(rate, monkeypatch, "--exp", alone, "--data", rated.parent, "--out", tmp_path / "rater")
