"""pull: one encoder whose last block all outputs read; how hard each output's loss pulls on it.

The decoder and the CTC of an output learn as ever. Only the gradient that its loss sends into the
encoder is multiplied, by 0 (the output reads without pulling) to 1 (`do`).
"""

from collections.abc import Mapping

import torch

from l2dual.sharing.mechanism import Encoded, Mechanism, checked_strengths, pulled


def build(
    encoder: torch.nn.Module,
    outputs: tuple[str, ...],
    sizes: Mapping[str, int],
    surface: float = 1.0,
    meaning: float = 1.0,
):
    """Let each output pull as hard as it says."""
    given = {"surface": surface, "meaning": meaning}
    return Pull(encoder, checked_strengths("pull", given, outputs))


class Pull(Mechanism):
    """One encoder, and the strength of each output's pull on it."""

    def __init__(self, encoder: torch.nn.Module, strengths: Mapping[str, float]):
        super().__init__()
        self.encoder, self.strengths = encoder, dict(strengths)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor, ctcs: Mapping) -> Encoded:
        """See :class:`Mechanism`."""
        states, lengths, _ = self.encoder(feats, lengths)
        pulls = {output: pulled(states, strength) for output, strength in self.strengths.items()}
        return Encoded(pulls, lengths)

    def path(self, output: str) -> list[torch.nn.Module]:
        """See :class:`Mechanism`."""
        return list(self.encoder.encoders)

    def shared(self) -> torch.nn.Module:
        """See :class:`Mechanism`."""
        return self.encoder

    def output_size(self) -> int:
        """See :class:`Mechanism`."""
        return self.encoder.output_size()
