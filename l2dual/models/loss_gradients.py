"""How far the losses of the two outputs agree on where the shared encoder should go.

Entanglement measure (c): the cosine between the gradients of the surface's and of the meaning's
loss with respect to one layer's parameters. At 1 both ask for the same change, at 0 for
unrelated ones; below 0 a step for one output works against the other (Yu et al. 2020, "Gradient
Surgery for Multi-Task Learning", section 2).
"""

from collections.abc import Mapping

import torch

PREFIX = "gradient_cosine_"


class GradientCosines:
    """Measures every ``interval``-th training step, within the step's own forward pass.

    The gradients come from the graph that the step has built, and are not accumulated: the
    parameters' own gradients, the random numbers and the running statistics stay as they are, so
    a run is the same to the bit with and without it. It adds two backward passes to a step.

    Args:
        interval: training steps from one measurement to the next; 0 for none.
    """

    def __init__(self, interval: int):
        self.interval = interval
        self.steps = 0

    def __call__(
        self, losses: Mapping[str, torch.Tensor], encoder: torch.nn.Module | None
    ) -> dict[str, torch.Tensor]:
        """Count a training step, and measure if one is due.

        Args:
            losses: of each output, (), with their graphs.
            encoder: what the outputs share, or None.

        Returns:
            ``{"gradient_cosine_<layer>": ()}``; empty if no measurement is due, or all is frozen.
        """
        self.steps += 1
        if encoder is None or not self.interval or self.steps % self.interval or len(losses) < 2:
            return {}
        layers = trainable_layers(encoder)
        if not layers:
            return {}
        parameters = [parameter for layer in layers.values() for parameter in layer]
        surface, meaning = (
            iter(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))
            for loss in losses.values()
        )
        return {
            PREFIX + name: cosine([(next(surface), next(meaning)) for _ in layer])
            for name, layer in layers.items()
        }


def trainable_layers(encoder: torch.nn.Module) -> dict[str, list[torch.nn.Parameter]]:
    """The trained parameters of each layer: ``block1`` and so on, and ``other`` for the rest."""
    layers = {
        f"block{number}": list(block.parameters())
        for number, block in enumerate(getattr(encoder, "encoders", ()), 1)
    }
    in_blocks = {id(parameter) for layer in layers.values() for parameter in layer}
    layers["other"] = [p for p in encoder.parameters() if id(p) not in in_blocks]
    trained = {name: [p for p in layer if p.requires_grad] for name, layer in layers.items()}
    return {name: layer for name, layer in trained.items() if layer}


def cosine(pairs: list[tuple[torch.Tensor | None, torch.Tensor | None]]) -> torch.Tensor:
    """Cosine, (), of two lists of gradients; nan where one side has no gradient at all."""
    dot, one, other = torch.zeros(3, device=_device(pairs)).unbind()
    for left, right in pairs:
        if left is not None:
            one = one + left.float().square().sum()
        if right is not None:
            other = other + right.float().square().sum()
        if left is not None and right is not None:
            dot = dot + (left.float() * right.float()).sum()
    return dot / (one * other).sqrt()


def _device(pairs: list[tuple[torch.Tensor | None, torch.Tensor | None]]) -> torch.device | None:
    return next((side.device for pair in pairs for side in pair if side is not None), None)
