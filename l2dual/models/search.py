"""Decode both outputs of a model: one encoder pass, one search per output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from l2dual.errors import UsageError
from l2dual.models.beam import BeamOptions, BeamSearch, GreedyCTC, Hypothesis
from l2dual.models.dual import L2DualModel
from l2dual.models.guide import Channel, Guide
from l2dual.sharing.mechanism import Encoded
from l2dual.systems import OUTPUTS

MODES = ("beam", "greedy_ctc")


@dataclass(frozen=True)
class SearchOptions(BeamOptions):
    """Options of the searches, as in conf/decode.yaml.

    ``ctc_weight`` per output is the CTC's share of a hypothesis's score
    (Watanabe et al. 2017, eq. 14); where a model has no CTC on an output, attention scores alone.
    ``guided``: the surface is searched with the canonical tokens of the best meaning as its prior
    (:mod:`l2dual.models.guide`), in place of a decoder.
    """

    batch_size: int = 32
    guided: bool = False
    mode: str = "beam"
    ctc_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, 0.3))

    @classmethod
    def from_config(cls, config: Mapping, where: str) -> "SearchOptions":
        """Options read from YAML.

        Raises:
            UsageError: an unknown key or mode, or a CTC weight outside 0 to 1.
        """
        unknown = set(config) - set(cls.__dataclass_fields__)
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"{where}: unknown option {sorted(unknown)[0]}: use one of {known}")
        options = cls(**config)
        if options.mode not in MODES:
            raise UsageError(f"{where}: mode {options.mode}: use one of {', '.join(MODES)}")
        for output in OUTPUTS:
            if not 0 <= options.ctc_weight.get(output, -1) <= 1:
                raise UsageError(f"{where}: ctc_weight of {output} must lie between 0 and 1")
        return options


class DualDecoder:
    """The searches of one model.

    Args:
        model: in evaluation mode.
        options: of the searches.
        canonical: tokens of a meaning -> the surface's tokens that it calls for, where the search is guided.

    Raises:
        UsageError: a search that the model has no part for.
    """

    def __init__(
        self,
        model: L2DualModel,
        options: SearchOptions,
        canonical: Callable[[list[str]], list[str]] | None = None,
    ):
        self.model = model
        self.options = options
        self.canonical = canonical
        if options.guided and ("surface" not in model.ctcs or "meaning" not in model.outputs):
            raise UsageError("guided: true: needs a system with a CTC on the surface, and a meaning")
        self.searches = {output: self._search(output) for output in model.outputs}

    def _search(self, output: str) -> BeamSearch | GreedyCTC:
        tokens = self.model.token_lists[output]
        decoder, ctc = (dict(parts).get(output) for parts in (self.model.decoders, self.model.ctcs))
        if self.options.mode == "beam":
            return BeamSearch(decoder, ctc, tokens, self.options.ctc_weight[output], self.options)
        if ctc is None:
            raise UsageError(f"mode greedy_ctc: this system has no CTC on {output}: use mode beam")
        return GreedyCTC(ctc, tokens)

    @torch.inference_mode()
    def nbest(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, n_best: int = 1
    ) -> dict[str, list[list[Hypothesis]]]:
        """Hypotheses of each output and utterance, the best first.

        Args:
            speech: samples, (B, T).
            speech_lengths: (B,).
            n_best: hypotheses an utterance at most; fewer are found sooner.
        """
        return self.search(self.model.encode(speech, speech_lengths), n_best)

    @torch.inference_mode()
    def search(self, encoded: Encoded, n_best: int = 1) -> dict[str, list[list[Hypothesis]]]:
        """As :meth:`nbest`, of what the model's ``encode`` gave."""
        plain = [output for output in self.searches if not (self.options.guided and output == "surface")]
        found = {output: self.searches[output](*encoded.of(output), n_best) for output in plain}
        if self.options.guided:
            found["surface"] = self._guided(*encoded.of("surface"), found["meaning"], n_best)
        return {output: found[output] for output in self.searches}

    def _guided(
        self, x: torch.Tensor, lengths: torch.Tensor, meanings: list[list[Hypothesis]], n_best: int
    ) -> list[list[Hypothesis]]:
        """The surface's hypotheses, each utterance guided by its best meaning."""
        tokens, ctc = self.model.token_lists["surface"], self.model.ctcs["surface"]
        ids, found = {token: number for number, token in enumerate(tokens)}, []
        for states, length, meaning in zip(x, lengths, meanings, strict=True):
            called = self.canonical(meaning[0].tokens) if meaning else []
            guide = Guide([ids[token] for token in called if token in ids], len(tokens), Channel())
            search = BeamSearch(guide, ctc, tokens, self.options.ctc_weight["surface"], self.options)
            found += search(states[None, :length], length[None], n_best)
        return found

    def __call__(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> dict[str, list[list[str]]]:
        """Best tokens of each output and utterance, from what :meth:`nbest` takes."""
        return {
            output: [hypotheses[0].tokens if hypotheses else [] for hypotheses in found]
            for output, found in self.nbest(speech, speech_lengths).items()
        }
