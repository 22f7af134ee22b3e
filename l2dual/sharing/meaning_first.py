"""meaning_first: surface_first with the outputs' places exchanged, a control."""

from collections.abc import Mapping

import torch

from l2dual.sharing.surface_first import ordered


def build(
    encoder: torch.nn.Module,
    outputs: tuple[str, ...],
    sizes: Mapping[str, int],
    depth: int,
    detached: bool = True,
):
    """See :mod:`l2dual.sharing.surface_first`."""
    return ordered("meaning_first", encoder, outputs, sizes, depth, detached)
