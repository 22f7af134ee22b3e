"""Decode both outputs of a model: one encoder pass, one search per output."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus

from l2dual.errors import UsageError
from l2dual.models.dual import L2DualModel
from l2dual.systems import OUTPUTS


@dataclass(frozen=True)
class SearchOptions:
    """Options of the beam searches, as in conf/decode.yaml.

    ``ctc_weight`` per output is the CTC's share of a hypothesis's score
    (Watanabe et al. 2017, eq. 14); where a model has no CTC on an output, attention scores alone.
    ``maxlenratio`` bounds the tokens per encoder frame; 0 lets ESPnet detect the end.
    """

    beam_size: int = 4
    batch_size: int = 16
    maxlenratio: float = 0.0
    minlenratio: float = 0.0
    penalty: float = 0.0
    normalize_length: bool = False
    ctc_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, 0.3))

    @classmethod
    def from_config(cls, config: Mapping, where: str) -> "SearchOptions":
        """Options read from YAML.

        Raises:
            UsageError: an unknown key, or a CTC weight outside 0 to 1.
        """
        unknown = set(config) - set(cls.__dataclass_fields__)
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"{where}: unknown option {sorted(unknown)[0]}: use one of {known}")
        options = cls(**config)
        for output in OUTPUTS:
            if not 0 <= options.ctc_weight.get(output, -1) <= 1:
                raise UsageError(f"{where}: ctc_weight of {output} must lie between 0 and 1")
        return options


class DualDecoder:
    """Both searches of one model.

    Args:
        model: in evaluation mode.
        options: of the searches.
    """

    def __init__(self, model: L2DualModel, options: SearchOptions):
        self.model = model
        self.options = options
        self.searches = {output: self._search(output) for output in model.outputs}

    def _search(self, output: str) -> BatchBeamSearch:
        tokens = self.model.token_lists[output]
        sos_eos = self.model.sos_eos(output)
        scorers = {"decoder": self.model.decoders[output], "length_bonus": LengthBonus(len(tokens))}
        ctc_weight = self.options.ctc_weight[output] if output in self.model.ctcs else 0.0
        if ctc_weight > 0:
            scorers["ctc"] = CTCPrefixScorer(ctc=self.model.ctcs[output], eos=sos_eos)
        return BatchBeamSearch(
            scorers=scorers,
            weights={
                "decoder": 1.0 - ctc_weight,
                "ctc": ctc_weight,
                "length_bonus": self.options.penalty,
            },
            beam_size=min(self.options.beam_size, len(tokens)),
            vocab_size=len(tokens),
            sos=sos_eos,
            eos=sos_eos,
            token_list=tokens,
            pre_beam_score_key=None if ctc_weight == 1.0 else "full",
            normalize_length=self.options.normalize_length,
        ).eval()

    @torch.inference_mode()
    def __call__(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> dict[str, list[list[str]]]:
        """Best tokens of each output and utterance.

        Args:
            speech: samples, (B, T).
            speech_lengths: (B,).
        """
        encoded = self.model.encode(speech, speech_lengths)
        return {
            output: self._best(output, encoded.states[output], encoded.lengths)
            for output in self.model.outputs
        }

    def _best(self, output: str, encoder_out: torch.Tensor, lengths: torch.Tensor) -> list[list[str]]:
        search = self.searches[output]
        with projected_once(self.model.decoders[output]):
            found = search(
                x=encoder_out,
                x_lengths=lengths,
                maxlenratio=self.options.maxlenratio,
                minlenratio=self.options.minlenratio,
            )
        return [_tokens(hypotheses, search.token_list, search.eos) for hypotheses in found]


@contextmanager
def projected_once(decoder: torch.nn.Module) -> Iterator[None]:
    """Keep a search's keys and values of the encoder's output.

    ESPnet projects them again for every token: half of the time of a search.
    """
    sources = [layer.src_attn for layer in decoder.modules() if hasattr(layer, "src_attn")]
    projections = [linear for source in sources for linear in (source.linear_k, source.linear_v)]
    for linear in projections:
        linear.forward = _remembering(linear.forward)
    try:
        yield
    finally:
        for linear in projections:
            del linear.forward


def _remembering(
    project: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """``project``, which keeps its last tensor and result."""
    last = result = None

    def forward(x: torch.Tensor) -> torch.Tensor:
        nonlocal last, result
        if x is not last:
            last, result = x, project(x)
        return result

    return forward


def _tokens(hypotheses: list, token_list: list[str], sos_eos: int) -> list[str]:
    """Tokens of the best hypothesis, without sos, eos and blanks."""
    if not hypotheses:
        return []
    ids = hypotheses[0].yseq.tolist()
    return [token_list[i] for i in ids if i not in (0, sos_eos)]
