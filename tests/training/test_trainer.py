"""Losses and gradients that are not finite, a full disk, a checkpoint without its epoch's model."""

import os

import pytest
import torch
from espnet2.train.reporter import Reporter

from l2dual.errors import DataError
from l2dual.training.trainer import L2DualTrainer, atomic_saves, finite

UTTS = ["s-1", "s-2", "s-3"]


def step(model, batch, scaled: bool = False) -> torch.Tensor:
    """What ESPnet's trainer does with a batch, up to the norm of its gradients."""
    with finite(model, scaled):
        model(**batch, utt_id=UTTS)[0].backward()
        return torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def test_a_finite_step_passes(build_model, batch):
    assert torch.isfinite(step(build_model(), batch))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_audio_that_is_not_finite_is_named(build_model, batch, value):
    batch["speech"][1, 5000] = value
    with pytest.raises(DataError, match="the audio of utterance s-2 has values"):
        step(build_model(), batch)


@pytest.mark.parametrize("training", [True, False])
def test_a_loss_that_is_not_finite_names_the_batch(build_model, batch, training):
    model = build_model().train(training)
    with torch.no_grad():
        model.ctcs["surface"].ctc_lo.bias[1] = float("nan")
    with pytest.raises(DataError, match="the loss is nan at utterance s-1, s-2, s-3: check them"):
        step(model, batch)


def test_gradients_that_are_not_finite_name_the_batch_unless_their_scale_is_tried(build_model, batch):
    model = build_model()
    model.ctcs["surface"].ctc_lo.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DataError, match="the gradients is .* at utterance s-1, s-2, s-3: check"):
        step(model, batch)
    assert not torch.isfinite(step(model, batch, scaled=True))


def test_a_full_disk_is_called_so_and_the_last_checkpoint_stays(tmp_path):
    path = tmp_path / "checkpoint.pth"
    with atomic_saves():
        torch.save({"epoch": 1}, path)
        (tmp_path / "checkpoint.pth.tmp").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left on device: '.*/checkpoint.pth'"):
            torch.save({"epoch": 2, "model": torch.zeros(100_000)}, path)
        assert torch.load(path) == {"epoch": 1}
        torch.save({"epoch": 2}, path)
    assert torch.load(path) == {"epoch": 2} and os.listdir(tmp_path) == ["checkpoint.pth"]


def test_resuming_writes_the_model_of_the_checkpoint_where_it_is_missing(build_model, tmp_path):
    model, other = build_model(), build_model(seed=2)
    reporter = Reporter()
    reporter.set_epoch(2)
    states = {"model": model.state_dict(), "reporter": reporter.state_dict()}
    torch.save(states | {"optimizers": [], "schedulers": []}, tmp_path / "checkpoint.pth")
    torch.save({}, tmp_path / "1epoch.pth")
    (tmp_path / "latest.pth").symlink_to("1epoch.pth")
    common = {"model": other, "optimizers": [], "schedulers": [], "scaler": None}
    L2DualTrainer.resume(tmp_path / "checkpoint.pth", reporter=Reporter(), **common)
    written = torch.load(tmp_path / "latest.pth", weights_only=True)
    assert (tmp_path / "latest.pth").readlink().name == "2epoch.pth"
    for name, value in model.state_dict().items():
        assert torch.equal(written[name], value) and torch.equal(other.state_dict()[name], value)
