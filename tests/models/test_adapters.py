"""Adapters of several trainings become one."""

import pytest
import torch

from l2dual.errors import UsageError
from l2dual.models.adapters import adapt, average, freeze


def model(seed, rank=2, width=5):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))
    freeze(net)
    adapt(net, rank)
    torch.manual_seed(seed)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


def changes(net):
    return [net[at].up @ net[at].down for at in (0, 2)]


def test_the_mean_change_or_the_nearest_of_its_rank():
    models = [model(seed) for seed in (1, 2, 3)]
    means = [torch.stack(some).mean(0) for some in zip(*map(changes, models), strict=True)]
    other = changes(models[1])[0].clone()
    assert average(models) == 2
    for found, mean in zip(changes(models[0]), means, strict=True):
        sizes = torch.linalg.svdvals(mean)
        assert torch.linalg.matrix_rank(found) == 2
        assert (mean - found).norm().item() == pytest.approx(sizes[2:].norm().item(), rel=1e-4)  # Eckart, Young
    assert torch.equal(changes(models[1])[0], other)


@pytest.mark.parametrize("rank", [2, 9], ids=["low", "of more than the layers' width"])
def test_a_mean_of_alike_models_is_that_model(rank):
    models = [model(1, rank), model(1, rank)]
    speech, usual = torch.randn(7, 4), model(1, rank)
    average(models)
    torch.testing.assert_close(models[0](speech), usual(speech), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("others", [[model(2, width=6)], [model(2, rank=0)], []])
def test_models_that_have_no_mean(others):
    with pytest.raises(UsageError, match="no adapters, or not the same in all"):
        average([model(1), *others] if others else [model(1, rank=0)] * 2)
