"""branch: the outputs share the first blocks, and each has blocks of its own above them.

At depth 0 they share nothing: two encoders. At the encoder's own depth they share all: `do`.
"""

import copy
from collections.abc import Mapping

import torch

from l2dual.sharing.mechanism import Encoded, Forked, Mechanism, checked_depth


def build(encoder: torch.nn.Module, outputs: tuple[str, ...], sizes: Mapping[str, int], depth: int):
    """Share ``depth`` blocks."""
    checked_depth("branch", depth, encoder, 0)
    if depth == len(encoder.encoders):
        return encoder
    return Branch(encoder, outputs, depth) if depth else Apart(encoder, outputs)


class Branch(Forked):
    """A trunk, and private blocks for each output."""

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor, ctcs: Mapping) -> Encoded:
        """See :class:`Mechanism`."""
        given, mask, lengths = self.trunk(feats, lengths)
        states = {output: private(given, mask) for output, private in self.private.items()}
        return Encoded(states, lengths)


class Apart(Mechanism):
    """An encoder for each output; they start alike."""

    def __init__(self, encoder: torch.nn.Module, outputs: tuple[str, ...]):
        super().__init__()
        self.encoders = torch.nn.ModuleDict({output: copy.deepcopy(encoder) for output in outputs})

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor, ctcs: Mapping) -> Encoded:
        """See :class:`Mechanism`."""
        found = {output: encoder(feats, lengths) for output, encoder in self.encoders.items()}
        first = next(iter(found.values()))
        return Encoded({output: states for output, (states, *_) in found.items()}, first[1])

    def path(self, output: str) -> list[torch.nn.Module]:
        """See :class:`Mechanism`."""
        return list(self.encoders[output].encoders)

    def shared(self) -> None:
        """See :class:`Mechanism`."""
        return None

    def output_size(self) -> int:
        """See :class:`Mechanism`."""
        return next(iter(self.encoders.values())).output_size()
