"""Cosines of the two outputs' gradients: known answers, and training that does not notice."""

import copy
import math

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from l2dual.analysis.gradients import cosines
from l2dual.models.loss_gradients import PREFIX, GradientCosines, trainable_layers
from l2dual.training.runs import write_yaml


class TwoLayers(torch.nn.Module):
    """Blocks of one weight vector each, and a rest that has no gradient."""

    def __init__(self):
        super().__init__()
        self.encoders = torch.nn.ModuleList(torch.nn.Linear(2, 1, bias=False) for _ in range(2))
        self.rest = torch.nn.Parameter(torch.ones(1))


def test_a_known_angle_between_gradients_is_found():
    shared = TwoLayers()
    first, second = (block.weight[0] for block in shared.encoders)
    surface = 3.0 * first[0] + second @ torch.tensor([1.0, 1.0])
    meaning = -2.0 * first[0] + second @ torch.tensor([2.0, 0.0])
    found = GradientCosines(1)({"surface": surface, "meaning": meaning}, shared)
    assert found["gradient_cosine_block1"].item() == pytest.approx(-1.0)
    assert found["gradient_cosine_block2"].item() == pytest.approx(math.cos(math.pi / 4))
    assert math.isnan(found["gradient_cosine_other"].item())
    assert all(parameter.grad is None for parameter in shared.parameters())


def test_every_block_of_the_encoder_is_measured_when_due(build_model, batch):
    model = build_model("do", model_conf={"gradient_interval": 2})
    stats = [model(**batch)[1] for _ in range(4)]
    names = {f"gradient_cosine_{name}" for name in ("block1", "block2", "other")}
    measured = [names & set(found) for found in stats]
    assert measured == [set(), names, set(), names]
    assert all(-1 <= stats[1][name] <= 1 for name in names)
    assert not names & set(model.eval()(**batch)[1])


@pytest.mark.parametrize("system", ["so_surface", "do"])
def test_one_output_or_an_interval_of_0_is_not_measured(build_model, batch, system):
    interval = 1 if system == "so_surface" else 0
    _, stats, _ = build_model(system, model_conf={"gradient_interval": interval})(**batch)
    assert not any("gradient" in name for name in stats)


def test_measuring_changes_no_bit_of_the_training(build_model, batch):
    dropout = {"encoder_conf": {"dropout_rate": 0.3}}
    trained = []
    for interval in (0, 1):
        model = build_model("do", model_conf={"gradient_interval": interval}, **dropout)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(3)
        for _ in range(3):
            optimizer.zero_grad()
            model(**copy.deepcopy(batch))[0].backward()
            optimizer.step()
        trained.append(model.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, rtol=0, atol=0)


def test_a_layer_that_is_not_trained_is_left_out(build_model):
    encoder = build_model("do").encoder
    for parameter in encoder.encoders[0].parameters():
        parameter.requires_grad = False
    layers = trainable_layers(encoder)
    assert list(layers) == ["block2", "other"]
    total = sum(p.numel() for layer in layers.values() for p in layer)
    assert total == sum(p.numel() for p in encoder.parameters() if p.requires_grad)


def test_records_are_means_over_the_log(tmp_path):
    run = {"system": "do", "seed": 2, "outputs": ["surface", "meaning"], "data": "d", "commit": "abc"}
    run |= {"corpus": "x", "language": "en", "convention": "heard", "train_config": "t", "command": "c"}
    write_yaml(tmp_path / "run.yaml", run)
    (empty,) = cosines([tmp_path])
    assert empty.mean is None and "no gradient cosine" in empty.reason
    with SummaryWriter(tmp_path / "tensorboard/train") as train, SummaryWriter(tmp_path / "tensorboard/valid") as valid:
        valid.add_scalar("loss", 1.0, 30)
        for step, value in ((10, 0.2), (20, math.nan), (25, 0.6), (30, 9.0)):  # 30: an epoch's mean
            train.add_scalar(f"{PREFIX}block1", value, step)
    (record,) = cosines([tmp_path])
    assert (record.layer, record.n, record.reason) == ("block1", 2, None)
    assert record.mean == pytest.approx(0.4)
    write_yaml(tmp_path / "run.yaml", run | {"outputs": ["surface"]})
    assert cosines([tmp_path]) == []
