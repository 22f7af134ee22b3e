"""Decode both outputs of a model: one encoder pass, one search per output."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from l2dual.errors import UsageError
from l2dual.models.beam import BeamOptions, BeamSearch, GreedyCTC, Hypothesis
from l2dual.models.dual import L2DualModel
from l2dual.models.guide import Guidance, Words, likelihoods
from l2dual.sharing.mechanism import Encoded
from l2dual.systems import OUTPUTS

MODES = ("beam", "greedy_ctc")
NEVER = -1e9  # log likelihood of what can't be aligned


@dataclass(frozen=True)
class SearchOptions(BeamOptions):
    """Options of the searches, as in conf/decode.yaml.

    ``ctc_weight`` per output is the CTC's share of a hypothesis's score
    (Watanabe et al. 2017, eq. 14); where a model has no CTC on an output, attention scores alone.
    ``guided``: the surface is searched with the canonical tokens of the best meaning as its prior
    (:mod:`l2dual.models.guide`), in place of a decoder; a system that lacks a CTC on the surface, or a meaning,
    is searched without. ``canonical_weight`` is then the weight of the
    surface's CTC in the score of a meaning: of the log likelihood of the meaning's canonical tokens.
    """

    batch_size: int = 32
    guided: bool = False
    canonical_weight: float = 0.0
    mode: str = "beam"
    ctc_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, 0.7))

    @classmethod
    def from_config(cls, config: Mapping, where: str) -> "SearchOptions":
        """Options read from YAML.

        Raises:
            UsageError: an unknown key or mode, a size below 1, or a weight outside its range.
        """
        unknown = set(config) - set(cls.__dataclass_fields__)
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"{where}: unknown option {sorted(unknown)[0]}: use one of {known}")
        options = cls(**config)
        if options.mode not in MODES:
            raise UsageError(f"{where}: mode {options.mode}: use one of {', '.join(MODES)}")
        for name, least in (("beam_size", 1), ("batch_size", 1), ("canonical_weight", 0)):
            value = getattr(options, name)
            if not isinstance(value, int | float) or value < least or (least and value != int(value)):
                raise UsageError(f"{where}: {name} is {value!r}: give a {'whole ' * least}number of at least {least}")
        if not isinstance(options.ctc_weight, Mapping):
            raise UsageError(f"{where}: ctc_weight is {options.ctc_weight!r}: give {{surface: 0.7, meaning: 0.7}}")
        for output in OUTPUTS:
            if not 0 <= options.ctc_weight.get(output, -1) <= 1:
                raise UsageError(f"{where}: ctc_weight of {output} must lie between 0 and 1")
        return options

    def guides(self, model: L2DualModel) -> bool:
        """Whether the surface of a model is searched with the meaning's tokens as its prior."""
        return self.guided and "surface" in model.ctcs and "meaning" in model.outputs


class DualDecoder:
    """The searches of one model.

    Args:
        model: in evaluation mode.
        options: of the searches.
        guidance: what guides it, if the options guide the model.

    Raises:
        UsageError: a search that the model has no part for, or a guided one without a guide.
    """

    def __init__(
        self,
        model: L2DualModel,
        options: SearchOptions,
        guidance: Guidance | None = None,
    ):
        if options.guides(model) and not guidance:
            raise UsageError("guided: true: this search needs the lexicon of a run: give it, or search without")
        self.model = model
        self.options = options
        self.guidance = guidance
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
        if self.guidance:
            return self._guided(encoded, n_best, self.guidance)
        return {output: one(*encoded.of(output), n_best) for output, one in self.searches.items()}

    def _guided(self, encoded: Encoded, n_best: int, guidance: Guidance) -> dict[str, list[list[Hypothesis]]]:
        """The meanings in the order in which the surface's CTC puts them, and surfaces guided by the first."""
        found: dict[str, list[list[Hypothesis]]] = {"surface": [], "meaning": []}
        options, tokens, ctc = self.options, self.model.token_lists["surface"], self.model.ctcs["surface"]
        among = max(n_best, options.beam_size) if options.canonical_weight else n_best
        meanings = self.searches["meaning"](*encoded.of("meaning"), among)
        for states, length, some in zip(*encoded.of("surface"), meanings, strict=True):
            states = states[None, :length]
            log_probs = ctc.log_softmax(states)[0]
            ranked, words = self._ranked(log_probs, some, guidance)
            search = BeamSearch(guidance.guide(log_probs, words), ctc, tokens, options.ctc_weight["surface"], options)
            found["surface"] += search(states, length[None], n_best)
            found["meaning"].append(ranked[:n_best])
        return found

    def _ranked(
        self, log_probs: torch.Tensor, meanings: list[Hypothesis], guidance: Guidance
    ) -> tuple[list[Hypothesis], Words]:
        """An utterance's meanings, the best first, and the words of the best one."""
        if not meanings:
            return [], []
        words = [guidance.words(one.tokens) for one in meanings]
        heard = likelihoods(log_probs, list(map(guidance.ids, words))).clamp(min=NEVER).tolist()
        scores = [one.score + self.options.canonical_weight * own for one, own in zip(meanings, heard, strict=True)]
        order = sorted(range(len(scores)), key=lambda number: -scores[number])
        parts = [one.parts | {"canonical": own} for one, own in zip(meanings, heard, strict=True)]
        return [Hypothesis(meanings[n].tokens, scores[n], parts[n]) for n in order], words[order[0]]

    def __call__(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> dict[str, list[list[str]]]:
        """Best tokens of each output and utterance, from what :meth:`nbest` takes."""
        return {
            output: [hypotheses[0].tokens if hypotheses else [] for hypotheses in found]
            for output, found in self.nbest(speech, speech_lengths).items()
        }
