"""What mechanisms are made of: a trunk that outputs share, and blocks of their own above it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from l2dual.errors import UsageError


@dataclass(frozen=True)
class Encoded:
    """What the decoder and the CTC of each output read."""

    states: dict[str, torch.Tensor]  # by output, (B, T', D); one tensor where all is shared
    lengths: torch.Tensor | dict[str, torch.Tensor]  # (B,), or by output

    def of(self, output: str) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, T', D) of an output, and their lengths (B,)."""
        lengths = self.lengths[output] if isinstance(self.lengths, dict) else self.lengths
        return self.states[output], lengths

    @property
    def one(self) -> bool:
        """Whether all outputs read the same states."""
        return len({states.data_ptr() for states in self.states.values()}) == 1


class Mechanism(torch.nn.Module):
    """In an encoder's place: encodes a batch for each output.

    A subclass defines ``forward(feats (B, F, D_in), lengths (B,), ctcs) -> Encoded`` and ``path``.
    """

    def path(self, output: str) -> list[torch.nn.Module]:
        """The blocks that an output's states pass, from the first to the last."""
        raise NotImplementedError

    def shared(self) -> torch.nn.Module | None:
        """The part that both outputs train; None where there is none."""
        raise NotImplementedError

    def output_size(self) -> int:
        """Width D of the states."""
        raise NotImplementedError


class Trunk(torch.nn.Module):
    """The first blocks of an encoder, and what a block above them takes.

    Args:
        encoder: ESPnet's; it is used up.
        depth: blocks of the trunk, 1 or more.

    Raises:
        UsageError: the encoder runs its blocks in a way of its own.
    """

    def __init__(self, encoder: torch.nn.Module, depth: int):
        super().__init__()
        blocks = encoder.encoders
        if not isinstance(blocks, torch.nn.Sequential):
            kind = type(encoder).__name__
            raise UsageError(f"sharing: {kind} can't be divided into blocks: use pull, or branch with depth 0")
        encoder.encoders = type(blocks)(*blocks[:depth], _Tap())
        encoder.after_norm = torch.nn.Identity()
        self.encoder = encoder

    @property
    def blocks(self) -> list[torch.nn.Module]:
        """Its blocks."""
        return list(self.encoder.encoders)[:-1]

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor) -> tuple:
        """The input of a next block, as ESPnet passes it (states, or with positions; mask), and lengths."""
        _, lengths, _ = self.encoder(feats, lengths)
        given, mask = self.encoder.encoders[-1].take()
        return given, mask, lengths


class _Tap(torch.nn.Module):
    """Stands after the last block, and keeps what it gave."""

    kept: tuple | None = None

    def forward(self, given, mask):
        self.kept = given, mask
        return given, mask

    def take(self) -> tuple:
        kept, self.kept = self.kept, None
        return kept


class Private(torch.nn.Module):
    """The blocks of one output above a trunk, and the normalization after them: copies, alike at first."""

    def __init__(self, encoder: torch.nn.Module, depth: int):
        super().__init__()
        self.blocks = torch.nn.ModuleList(copy.deepcopy(list(encoder.encoders)[depth:]))
        self.after_norm = copy.deepcopy(getattr(encoder, "after_norm", torch.nn.Identity()))

    def forward(self, given, mask: torch.Tensor) -> torch.Tensor:
        """States (B, T', D) of a trunk's output."""
        for block in self.blocks:
            given, mask = block(given, mask)
        return self.after_norm(states_of(given))


class Forked(Mechanism):
    """A trunk, and above it private blocks for each output; a subclass says what these read."""

    def __init__(self, encoder: torch.nn.Module, outputs: tuple[str, ...], depth: int):
        super().__init__()
        self.private = torch.nn.ModuleDict({output: Private(encoder, depth) for output in outputs})
        self.trunk = Trunk(encoder, depth)

    def path(self, output: str) -> list[torch.nn.Module]:
        """See :class:`Mechanism`."""
        return [*self.trunk.blocks, *self.private[output].blocks]

    def shared(self) -> torch.nn.Module:
        """See :class:`Mechanism`."""
        return self.trunk.encoder

    def output_size(self) -> int:
        """See :class:`Mechanism`."""
        return self.trunk.encoder.output_size()


def states_of(given) -> torch.Tensor:
    """The states (B, T', D) of what a block takes or gives."""
    return given[0] if isinstance(given, tuple) else given


def changed(given, change):
    """What a block takes, with ``change`` made to its states."""
    return (change(given[0]), *given[1:]) if isinstance(given, tuple) else change(given)


def pulled(states: torch.Tensor, strength: float) -> torch.Tensor:
    """The same states; of the gradient that comes back, ``strength`` (0 to 1) passes."""
    return states if strength == 1 else _Pulled.apply(states, strength)


class _Pulled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states: torch.Tensor, strength: float) -> torch.Tensor:
        ctx.strength = strength
        return states.view_as(states)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.strength, None


def checked_depth(name: str, depth: object, encoder: torch.nn.Module, least: int) -> int:
    """A number of blocks that the encoder has; UsageError for another."""
    most = len(encoder.encoders)
    if not isinstance(depth, int) or isinstance(depth, bool) or not least <= depth <= most:
        raise UsageError(f"sharing: {name}: depth {depth}: the encoder has {most} blocks: give {least} to {most}")
    return depth


def checked_strengths(name: str, strengths: Mapping[str, float], outputs: tuple[str, ...]) -> dict[str, float]:
    """How hard each output pulls, 1 where it is not said; UsageError for another output, or outside 0 to 1."""
    for output, strength in strengths.items():
        if output not in outputs:
            raise UsageError(f"sharing: {name}: unknown output '{output}': use {' or '.join(outputs)}")
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not number or not 0 <= strength <= 1:
            raise UsageError(f"sharing: {name}: {output} {strength}: give a number from 0 to 1")
    return dict.fromkeys(outputs, 1.0) | dict(strengths)
