"""What each output reads of the layers of a pretrained encoder: the last as it is, or its own mix of all.

A decoder that comes with the encoder (`decoder: whisper`) reads the last layer, on which it was trained.
A CTC reads a learned mix of the layers (Yang et al. 2021, "SUPERB", Interspeech), fewer frames a
second, and blocks above them. The outputs share the front-end's frozen layers; and, where there are any,
the adapters of the blocks above those.
"""

from collections.abc import Mapping

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend

from l2dual.errors import UsageError
from l2dual.models.pretrained import PretrainedFrontend
from l2dual.models.whisper import AdaptedBlocks
from l2dual.sharing.mechanism import Encoded, Mechanism


class LayeredEncoder(Mechanism, AbsEncoder):
    """Takes layers side by side, as ``PretrainedFrontend`` gives them with ``mix: false``.

    Args:
        input_size: N * D values a frame.
        layers: their number N.
        heads: for an output, the options of its :class:`LayerHead`; another reads the last layer.
        rank: of adapters in the blocks above the front-end's last layer (0: these run without any), whose
            states are further layers; by default there are no such blocks.
        frontend: gives these blocks; `l2dual.models.build` names it.
    """

    def __init__(
        self,
        input_size: int,
        layers: int = 1,
        heads: Mapping[str, Mapping] | None = None,
        rank: int | None = None,
        frontend: AbsFrontend | None = None,
    ):
        super().__init__()
        if layers < 1 or input_size % layers:
            raise UsageError(f"encoder_conf: layers: {layers} do not divide the front-end's {input_size} values")
        self.layers, self.width = layers, input_size // layers
        self.adapted = None if rank is None else _blocks_above(frontend, rank)
        read = layers + (len(self.adapted.encoders) if self.adapted else 0)
        self.heads = torch.nn.ModuleDict(
            {output: LayerHead(read, self.width, **conf) for output, conf in (heads or {}).items()}
        )
        self.outputs: tuple[str, ...] = ()

    def keep(self, outputs: tuple[str, ...]) -> None:
        """Serve these outputs, and drop the heads of others."""
        self.outputs = outputs
        for output in [*self.heads]:
            if output not in outputs:
                del self.heads[output]

    def width_of(self, output: str) -> int:
        """Width D of the states that an output reads."""
        return self.heads[output].blocks.output_size() if output in self.heads else self.width

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor, ctcs: Mapping) -> Encoded:
        """States of each output.

        Args:
            feats: (B, F, N * D).
            lengths: (B,).
            ctcs: unused.
        """
        by_layer = feats.unflatten(2, (self.layers, self.width))  # (B, F, N, D)
        if self.adapted:
            by_layer = torch.cat((by_layer, torch.stack(self.adapted(by_layer[:, :, -1], lengths), 2)), 2)
        found = {output: (by_layer[:, :, -1], lengths) for output in self.outputs}
        found |= {output: head(by_layer, lengths) for output, head in self.heads.items()}
        states, frames = ({output: both[i] for output, both in found.items()} for i in (0, 1))
        return Encoded(states, frames)

    def path(self, output: str) -> list[torch.nn.Module]:
        """See :class:`Mechanism`."""
        own = self.heads[output].blocks.encoders if output in self.heads else []
        return [*(self.adapted.encoders if self.adapted else []), *own]

    def shared(self) -> torch.nn.Module | None:
        """See :class:`Mechanism`."""
        return self.adapted

    def output_size(self) -> int:
        """Width of the last layer."""
        return self.width


def _blocks_above(frontend: AbsFrontend | None, rank: int) -> AdaptedBlocks:
    if not isinstance(frontend, PretrainedFrontend):
        raise UsageError("encoder_conf: rank: adapters need `frontend: pretrained`, whose last blocks they are in")
    with torch.random.fork_rng(devices=[]):  # heads start as they do without adapters
        return frontend.adapted(rank)


class LayerHead(torch.nn.Module):
    """A mix of layers, frames joined, and Conformer blocks.

    Args:
        layers: number N of layers.
        width: D of each.
        stack: number of neighbouring frames joined into one.
        conf: of ESPnet's Conformer; ``output_size`` is the width of its states.
    """

    def __init__(self, layers: int, width: int, stack: int = 2, **conf):
        super().__init__()
        self.stack = stack
        self.weights = torch.nn.Parameter(torch.zeros(layers))
        self.blocks = ConformerEncoder(width * stack, input_layer="linear", **{"rel_pos_type": "latest"} | conf)

    def forward(self, by_layer: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, F // stack, D') of layers (B, F, N, D), and lengths (B,)."""
        alike = torch.nn.functional.layer_norm(by_layer, by_layer.shape[3:])  # in scale
        mixed = torch.einsum("n,bfnd->bfd", self.weights.softmax(0), alike)
        mixed = mixed[:, : mixed.size(1) // self.stack * self.stack]
        states, lengths, _ = self.blocks(mixed.unflatten(1, (-1, self.stack)).flatten(2), lengths // self.stack)
        return states, lengths
