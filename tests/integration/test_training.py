"""Configuring and training a run through the real command line: guards, resume, kill."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.training.load import load_model, random_model
from l2dual.training.runs import merge, write_run_script
from l2dual.training.trainer import atomic_saves

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
WORDS = {"aa": 300, "bb": 500, "cc": 800, "dd": 1200}  # a text and the pitch that says it, in Hz


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, warm) -> Path:
    """A recipe directory with spoken tones, token lists and statistics."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "path.sh").write_text(f"export PATH={warm}/bin:$PATH\n")
    for split, count in (("train", 24), ("valid", 4)):
        data = folder / "dump" / split
        data.mkdir(parents=True)
        tables = {"wav.scp": [], "text.surface": [], "text.meaning": [], "utts": []}
        for index in range(count):
            utt, (text, hertz) = f"s-{index:02d}", list(WORDS.items())[index % 4]
            time_axis = np.arange(RATE // 2 + 400 * index) / RATE
            path = data / f"{utt}.flac"
            soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time_axis), RATE)
            tables["wav.scp"].append(f"{utt} {path}")
            tables["text.surface"].append(f"{utt} {text}")
            tables["text.meaning"].append(f"{utt} {text[0]} {text[1]}")
            tables["utts"].append(utt)
        for name, lines in tables.items():
            (data / name).write_text("\n".join(lines) + "\n")
        info = {"corpus": "tones", "language": "en", "convention": "heard", "audio_format": "flac"}
        (data / "corpus.yaml").write_text(yaml.safe_dump(info))
    config = read_yaml(ROOT / "conf/train/tiny.yaml")
    config |= {"max_epoch": 3, "batch_bins": 60000, "log_interval": 1}
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    for output in ("surface", "meaning"):
        text = folder / "dump/train" / f"text.{output}"
        out = folder / "tokens" / output
        call(folder, "token_list", "--text", text, "--token_type", "char", "--out", out)
    stats = ["--train_config", "train.yaml", "--data", "dump", "--out", "stats"]
    call(folder, "collect_stats", *stats)
    return folder


def call(folder: Path, command: str, *words) -> None:
    """A command of l2dual.bin in this process, which starts sooner than another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [command, *map(str, words)])
        import_module(f"l2dual.bin.{command}").main()


def environment() -> dict[str, str]:
    """Without a number of threads: run.sh sets it."""
    others = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    return others | {"PYTHONPATH": str(ROOT)}


def configure(recipe: Path, name: str, system: str = "do", options: tuple[str, ...] = (), **changes) -> Path:
    config = merge(read_yaml(recipe / "train.yaml"), changes)
    (recipe / f"{name}.yaml").write_text(yaml.safe_dump(config))
    exp, system_file = Path("exp") / name, ROOT / "conf/systems" / f"{system}.yaml"
    call(
        recipe, "configure", "--train_config", f"{name}.yaml", "--seed", 1, "--system", system_file, "--data", "dump",
        "--stats", "stats", "--surface_tokens", "tokens/surface", "--meaning_tokens", "tokens/meaning", "--out", exp,
        *options,
    )  # fmt: skip
    return exp


def train_here(recipe: Path, exp: Path, *options: str) -> None:
    """What run.sh does, in this process."""
    call(recipe, "train", "--config", exp / "train.yaml", "--output_dir", exp, "--resume", "true", *options)


def train(recipe: Path, exp: Path, *options: str, check=True, **more: str) -> str:
    command = ["bash", str(exp / "run.sh"), *options]
    done = subprocess.run(
        command, cwd=recipe, env=environment() | more, capture_output=True, text=True
    )
    assert done.returncode == 0 or not check, done.stdout[-3000:]
    return done.stdout


def test_a_training_has_the_threads_that_it_began_with(tmp_path):
    """Others add up in another order, so a resumed training would end with another model."""
    (tmp_path / "path.sh").write_text('PATH=$PWD:$PATH\n')
    (tmp_path / "python").write_text('#!/bin/sh\necho "threads: $OMP_NUM_THREADS $MKL_NUM_THREADS"\n')
    (tmp_path / "python").chmod(0o755)
    exp = tmp_path / "exp"
    write_run_script(exp, Path("exp"), tmp_path, 3)
    assert train(tmp_path, exp) == "threads: 3 3\n"


def test_half_of_the_training_is_what_a_training_of_half_the_epochs_gives(recipe, monkeypatch):
    exps = [configure(recipe, name, max_epoch=epochs) for name, epochs in (("long", 4), ("short", 2))]
    for exp in exps:
        train_here(recipe, exp)
    train_here(recipe, exps[0], "--half", "true")
    half, short = (
        torch.load(recipe / "exp" / path / "checkpoint.pth", weights_only=False)
        for path in ("long/half", "short")
    )
    assert half["schedulers"] == short["schedulers"]
    assert all(torch.equal(half["model"][name], value) for name, value in short["model"].items())
    monkeypatch.chdir(recipe)
    assert load_model(Path("exp/long/half")).outputs == ("surface", "meaning")
    (recipe / exps[1] / "half").mkdir()  # as stage 8 does
    with pytest.raises(UsageError, match="^exp/short/half: was not begun: train the whole budget first"):
        train_here(recipe, exps[1], "--half", "true")


def test_mixed_precision_on_a_cpu(recipe):
    losses = []
    for name, mixed in (("plain", False), ("mixed", True)):
        exp = configure(recipe, name, max_epoch=1, use_amp=mixed)
        train_here(recipe, exp)
        kept = torch.load(recipe / exp / "checkpoint.pth", weights_only=False)
        assert {value.dtype for value in kept["model"].values() if value.is_floating_point()} == {torch.float32}
        losses.append(kept["reporter"]["stats"][1]["train"]["loss"])
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.fixture(scope="module")
def trained(recipe) -> Path:
    exp = configure(recipe, "whole")
    train(recipe, exp)
    return recipe / exp


def test_a_trained_run_loads_and_a_finished_one_is_not_trained_again(recipe, trained, monkeypatch):
    monkeypatch.chdir(recipe)
    before = (trained / "checkpoint.pth").read_bytes()
    model = load_model(trained)
    assert model.outputs == ("surface", "meaning") and not model.training
    fresh = random_model(trained, seed=5)
    assert not torch.equal(*(m.ctcs["surface"].ctc_lo.weight for m in (model, fresh)))
    torch.testing.assert_close(model.normalize.mean, fresh.normalize.mean)
    assert "already reached at max_epoch" in train(recipe, Path("exp/whole"))
    assert (trained / "checkpoint.pth").read_bytes() == before


# Holds the process after the first epoch's model.
HOLDER = """\
import os, signal
replace = os.replace
def replace_and_stay(source, target):
    replace(source, target)
    while str(target).endswith("1epoch.pth"):
        signal.pause()
os.replace = replace_and_stay
"""


def at_start(folder: Path, code: str) -> dict[str, str]:
    """The environment in which Python begins with this code."""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}:{environment()['PYTHONPATH']}"}


def test_a_killed_training_resumes_and_ends_as_if_it_had_not_been(recipe, trained, tmp_path):
    exp = configure(recipe, "killed")
    process = subprocess.Popen(
        ["bash", str(exp / "run.sh")],
        cwd=recipe,
        env=environment() | at_start(tmp_path, HOLDER),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not (recipe / exp / "1epoch.pth").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (recipe / exp / "valid.acc.ave.pth").exists()
    assert "The training was resumed" in train(recipe, exp)
    whole = torch.load(trained / "3epoch.pth", weights_only=True)
    resumed = torch.load(recipe / exp / "3epoch.pth", weights_only=True)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


# Kills the process in place of the rename of the second epoch's model.
KILLER = """\
import os, signal
replace = os.replace
def kill_or_replace(source, target):
    if str(target).endswith("2epoch.pth"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = kill_or_replace
"""


@pytest.mark.parametrize("fault", ["killed", "full disk"])
def test_a_training_whose_model_was_not_saved_beside_its_checkpoint_resumes(
    recipe, trained, tmp_path, fault
):
    exp = configure(recipe, f"not saved, {fault}", keep_nbest_models=3)  # all are averaged
    if fault == "killed":
        train(recipe, exp, check=False, **at_start(tmp_path, KILLER))
    else:
        (recipe / exp / "2epoch.pth.tmp").symlink_to("/dev/full")
        last = train(recipe, exp, check=False).splitlines()[-1]
        assert last.startswith(f"l2dual: error: {exp}/2epoch.pth: the disk is full: free some space")
    left = {path.name for path in (recipe / exp).glob("*.pth")}
    assert {"checkpoint.pth", "1epoch.pth"} <= left and "2epoch.pth" not in left
    assert "The training was resumed" in train(recipe, exp)
    assert (recipe / exp / "2epoch.pth").exists()
    assert (recipe / exp / "valid.acc.ave_3best.pth").exists()
    whole, resumed = (
        torch.load(folder / "3epoch.pth", weights_only=True) for folder in (trained, recipe / exp)
    )
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_recording_that_is_not_finite_ends_the_training_and_is_named(recipe):
    data = recipe / "dump"
    table = data / "train" / "wav.scp"
    good = table.read_text()
    samples = np.sin(np.arange(RATE) / 10).astype(np.float32)
    samples[RATE // 2] = np.nan
    soundfile.write(data / "nan.wav", samples, RATE, subtype="FLOAT")
    table.write_text(good.replace(str(data / "train/s-03.flac"), str(data / "nan.wav")))
    exp = configure(recipe, "nan")
    with pytest.raises(DataError) as error:
        train_here(recipe, exp)
    table.write_text(good)
    assert str(error.value).startswith("dump/train/wav.scp, utterance s-03: ")
    assert "nan.wav: samples that are not finite numbers" in str(error.value)
    assert not (recipe / exp / "checkpoint.pth").exists()


def test_a_copied_recipe_trains_in_the_copy(recipe, tmp_path):
    exp = configure(recipe, "copied", max_epoch=1)
    copy = tmp_path / "a copy"
    shutil.copytree(recipe, copy)
    done = subprocess.run(
        ["bash", copy / exp / "run.sh"], cwd="/", env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (copy / exp / "1epoch.pth").exists() and (copy / exp / "train.log").exists()
    assert not list((recipe / exp).glob("*.pth")) and not (recipe / exp / "train.log").exists()
    (copy / exp).rename(tmp_path / "moved")
    done = subprocess.run(["bash", tmp_path / "moved/run.sh"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "is not a recipe: move the run to exp/copied of a recipe" in done.stderr


def test_a_run_is_trained_once_at_a_time(recipe, trained):
    exp = trained.relative_to(recipe)
    with (trained / "run.sh").open() as script:
        fcntl.flock(script, fcntl.LOCK_EX)
        output = train(recipe, exp, check=False, L2DUAL_PATIENCE="1")
    assert output == f"l2dual: error: {exp}: is in training already: wait for it, or stop it\n"


def test_a_save_that_is_cut_off_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pth"
    with atomic_saves():
        torch.save({"epoch": 1}, path)
        with pytest.raises(AttributeError):
            torch.save({"epoch": 2, "unpicklable": lambda: None}, path)
    assert torch.load(path) == {"epoch": 1}


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"best_model_criterion": [["valid", "accuracy", "max"]]}, "no statistic valid.accuracy"),
        ({"accum_grad": 1000}, "accum_grad 1000 is more than the"),
        ({"max_epoch": 0}, "max_epoch 0 trains nothing"),
        ({"scheduler_conf": {"warmup_steps": 100}}, "warmup_steps 100, but the decay begins at step"),
        ({"scheduler_conf": {"warmup_steps": "2e2"}}, "warmup_steps is the text '2e2'"),
    ],
)
def test_settings_that_would_train_nothing_are_refused(recipe, changes, fault):
    exp = configure(recipe, "refused", **changes)
    with pytest.raises(UsageError, match=fault):
        train_here(recipe, exp)
    assert not list((recipe / exp).glob("*epoch.pth"))


def test_a_broken_or_foreign_checkpoint_is_named(recipe, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(recipe)
    with pytest.raises(DataError, match="no such checkpoint"):
        load_model(trained, "other.pth")
    (tmp_path / "config.yaml").write_bytes((trained / "config.yaml").read_bytes())
    (tmp_path / "cut.pth").write_bytes(next(trained.glob("?epoch.pth")).read_bytes()[:5000])
    with pytest.raises(DataError, match="cut.pth: not a checkpoint of"):
        load_model(tmp_path, "cut.pth")
    single = configure(recipe, "single", "so_surface", max_epoch=2)
    train_here(recipe, single)
    with pytest.raises(DataError, match="1epoch.pth: not a checkpoint of") as error:
        (tmp_path / "1epoch.pth").write_bytes(next((recipe / single).glob("?epoch.pth")).read_bytes())
        load_model(tmp_path, "1epoch.pth")
    assert "\n" not in str(error.value)


def test_a_system_without_weights_is_named(recipe, tmp_path):
    (tmp_path / "bad.yaml").write_text("model_conf: {lsm_weight: 0.1}\n")
    with pytest.raises(UsageError, match="needs model_conf: loss_weights"):
        configure(recipe, "bad", tmp_path / "bad")
    assert not (recipe / "exp/bad").exists()


@pytest.mark.parametrize(
    "text, fault",
    [
        ("--max_epochs 3", "unrecognized arguments: --max_epochs 3"),
        ("--max_epoch many", "invalid int value: 'many'"),
    ],
)
def test_train_args_that_espnet_does_not_know_are_named(recipe, text, fault):
    configure(recipe, "args", options=("--train_args=--optim_conf lr=1e-3 --max_epoch 3",))
    with pytest.raises(UsageError, match=f'^--train_args "{text}": .*{fault}'):
        configure(recipe, "args", options=(f"--train_args={text}",))


def test_yaml_faults_are_named(tmp_path):
    for content, fault in (("a: [", "not YAML"), ("- a", "must hold")):
        (tmp_path / "x.yaml").write_text(content)
        with pytest.raises(UsageError, match=fault):
            read_yaml(tmp_path / "x.yaml")
