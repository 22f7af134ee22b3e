"""Low-rank adapters of frozen weights (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language
Models", ICLR). Frozen weights are no part of a checkpoint: it holds what was trained.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import linear

from l2dual.errors import UsageError


class Adapted(torch.nn.Module):
    """A frozen linear layer, and the low-rank change of it that is learned.

    Args:
        layer: the layer, frozen by `freeze`.
        rank: of the change.
    """

    def __init__(self, layer: torch.nn.Linear, rank: int):
        super().__init__()
        self.layer = layer
        self.down = torch.nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = torch.nn.Parameter(torch.zeros(layer.out_features, rank))
        torch.nn.init.kaiming_uniform_(self.down, math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D_in) to (..., D_out)."""
        return self.layer(x) + linear(linear(x, self.down), self.up)

    @property
    def weight(self) -> torch.Tensor:
        """The weights with the change, (D_out, D_in)."""
        return self.layer.weight + self.up @ self.down

    @property
    def bias(self) -> torch.Tensor:
        """The frozen bias, (D_out,)."""
        return self.layer.bias


def freeze(module: torch.nn.Module) -> None:
    """Make the parameters of ``module`` buffers that no checkpoint holds."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)


def adapt(module: torch.nn.Module, rank: int) -> None:
    """Put an :class:`Adapted` in the place of every linear layer within ``module``; of a rank of 0, none.

    Raises:
        UsageError: the rank is no whole number from 0 on.
    """
    if type(rank) is not int or rank < 0:
        raise UsageError(f"rank: {rank}: of adapters it is a whole number from 0 on")
    if rank == 0:
        return
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, Adapted(child, rank))
        else:
            adapt(child, rank)


def average(models: Sequence[torch.nn.Module]) -> int:
    """Give the first model's adapters the mean change of all models, or of its rank the nearest to it.

    The mean of trainings that start from the same weights may err less than each of them (Wortsman et al. 2022,
    "Model soups", ICML). What starts at random, as heads do, has no such mean: the first model keeps its own.

    Returns:
        The number of adapters.

    Raises:
        UsageError: there are no adapters, or those of another model differ.
    """
    first, *others = ({name: part for name, part in one.named_modules() if isinstance(part, Adapted)} for one in models)
    shapes = [{name: (part.up.size(0), part.down.size(1)) for name, part in one.items()} for one in (first, *others)]
    if not first or any(some != shapes[0] for some in shapes):
        raise UsageError("there are no adapters, or not the same in all: give seeds of one system with a `rank`")
    with torch.no_grad():
        for name, part in first.items():
            change = torch.stack([one[name].up @ one[name].down for one in (first, *others)]).mean(0)
            left, sizes, right = torch.linalg.svd(change, full_matrices=False)
            kept = sizes[: part.down.size(0)].sqrt()
            part.up.zero_()[:, : len(kept)] = left[:, : len(kept)] * kept
            part.down.zero_()[: len(kept)] = kept[:, None] * right[: len(kept)]
    return len(first)
