"""surface_first: the surface is the single-output system; the meaning reads its trunk without pulling.

The meaning has blocks of its own above the trunk, and reads what the surface's CTC hears: its
posteriors are projected and added to the trunk's states, as self-conditioned CTC does within one
output (Nozaki & Komatsu 2021, "Relaxing the Conditional Independence Assumption of CTC-based ASR",
Interspeech), here carried from one output to the other.
"""

from collections.abc import Mapping

import torch

from l2dual.errors import UsageError
from l2dual.sharing.mechanism import Encoded, Forked, changed, checked_depth


def build(
    encoder: torch.nn.Module,
    outputs: tuple[str, ...],
    sizes: Mapping[str, int],
    depth: int,
    detached: bool = True,
):
    """Share ``depth`` blocks; ``detached``: the meaning's loss does not reach the surface's CTC either."""
    return ordered("surface_first", encoder, outputs, sizes, depth, detached)


def ordered(name: str, encoder, outputs, sizes, depth: int, detached: bool) -> "Ordered":
    """The mechanism ``name``, OUTPUT_first."""
    first = name.removesuffix("_first")
    checked_depth(name, depth, encoder, 1)
    if not isinstance(detached, bool):
        raise UsageError(f"sharing: {name}: detached {detached}: give true or false")
    if first not in sizes:
        raise UsageError(f"sharing: {name}: the system has no CTC on the {first}: give it a ctc weight")
    [second] = set(outputs) - {first}
    return Ordered(encoder, first, second, sizes[first], depth, detached)


class Ordered(Forked):
    """A trunk that the first output trains; the second reads it, and the first one's CTC."""

    def __init__(
        self, encoder: torch.nn.Module, first: str, second: str, size: int, depth: int, detached: bool
    ):
        super().__init__(encoder, (first, second), depth)
        self.first, self.second, self.detached = first, second, detached
        self.told = torch.nn.Linear(size, encoder.output_size())

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor, ctcs: Mapping) -> Encoded:
        """See :class:`Mechanism`."""
        given, mask, lengths = self.trunk(feats, lengths)
        first = self.private[self.first](given, mask)
        heard = ctcs[self.first].softmax(first)  # (B, T', tokens)
        told = self.told(heard.detach() if self.detached else heard)
        given = changed(given, lambda states: states.detach() + told)
        return Encoded({self.first: first, self.second: self.private[self.second](given, mask)}, lengths)
