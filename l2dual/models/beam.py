"""Joint CTC/attention beam search over a batch (Watanabe et al. 2017, section IV).

It finds what ESPnet's BatchBeamSearch finds, in a fraction of the time: keys and values are
projected once, CTC prefix scores are one product over the frames, and a search is over as soon as
no running hypothesis can do better. What CTC calls impossible is dropped here; ESPnet's beam takes
it when it has nothing else.

Shapes: B utterances still searched, K beam size, H hypotheses an utterance (1 at the start, then
K), L tokens so far, T frames, D width of the encoder's output, V tokens of the vocabulary.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface

from l2dual.errors import UsageError
from l2dual.models.guide import Guide
from l2dual.models.scorers import BLANK, CTCPrefixes, Scorer, decoder_steps

PRE_BEAM = 1.5  # CTC scores this many times K tokens of a hypothesis, the decoder's likeliest
FEWER = 0.25  # share of the utterances that must be done before they leave the batch
END_STEPS, END_GAP = 3, 10.0  # end detection (Watanabe et al. 2017, eq. 50)
Ended = tuple[torch.Tensor, ...]  # utterances, lengths with eos, ids, scores and parts, N of each


class Hypothesis(NamedTuple):
    """A finished hypothesis.

    ``tokens`` are without sos, eos and blanks; ``score`` is the weighted sum of ``parts``, the log
    probabilities that the ``decoder`` and the ``ctc`` give it, and of the penalty for each token.
    """

    tokens: list[str]
    score: float
    parts: dict[str, float]


@dataclass(frozen=True)
class BeamOptions:
    """How far and how wide to search; the words are ESPnet's.

    ``maxlenratio`` bounds the tokens per frame: below 0, it is minus their number; at 0, an
    utterance is done when the hypotheses that end have become much worse than its best one.
    """

    beam_size: int = 4
    maxlenratio: float = 0.0
    minlenratio: float = 0.0
    penalty: float = 0.0
    normalize_length: bool = False

    def bounds(self, frames: int, minlenratio: float) -> tuple[int, int]:
        """The most and the fewest tokens, with eos, of an utterance of ``frames`` frames."""
        most = max(1, int(self.maxlenratio * frames)) if self.maxlenratio else frames
        if self.maxlenratio < 0:
            most = -int(self.maxlenratio)
        fewest = int(minlenratio * frames) if minlenratio >= 0 else -int(minlenratio)
        return most, fewest


class BeamSearch:
    """The search of one output.

    Args:
        decoder: None where CTC scores alone.
        ctc: None where the decoder scores alone.
        token_list: the vocabulary, from the blank to sos/eos.
        ctc_weight: CTC's share of the score; with 1 the decoder, with 0 the CTC isn't asked.
        options: of the search.

    Raises:
        UsageError: the decoder can't score hypotheses in a batch.
    """

    def __init__(
        self,
        decoder: AbsDecoder | Guide | None,
        ctc: CTC | None,
        token_list: list[str],
        ctc_weight: float,
        options: BeamOptions,
    ):
        weight = 0.0 if ctc is None else 1.0 if decoder is None else ctc_weight
        if weight < 1 and not isinstance(decoder, BatchScorerInterface):
            raise UsageError(
                f"{type(decoder).__name__} can't score hypotheses in a batch: "
                "train with decoder: transformer"
            )
        self.decoder = decoder
        self.ctc = ctc
        weights = {"decoder": 1 - weight, "ctc": weight}
        self.weights = {name: share for name, share in weights.items() if share > 0}
        self.options = options
        self.token_list = token_list
        self.eos = len(token_list) - 1
        self.beam = min(options.beam_size, len(token_list))
        self.longest = getattr(decoder, "longest", math.inf) if weight < 1 else math.inf

    @torch.inference_mode()
    def __call__(
        self, x: torch.Tensor, lengths: torch.Tensor, n_best: int = 1
    ) -> list[list[Hypothesis]]:
        """Finished hypotheses of each utterance, the best first; none without frames.

        Args:
            x: encoder output, (B, T, D).
            lengths: frames, (B,).
            n_best: hypotheses an utterance at most; the fewer, the sooner a search is over.
        """
        found: list[list[Hypothesis]] = [[] for _ in x]
        ratio = self.options.minlenratio
        left = [utt for utt, frames in enumerate(lengths.tolist()) if frames > 0]
        while left:
            searched = self._search(x[left], lengths[left], ratio, n_best)
            for utt, hypotheses in zip(left, searched, strict=True):
                found[utt] = hypotheses[:n_best]
            left = [utt for utt in left if not found[utt]] if ratio >= 0.1 else []
            ratio = max(0.0, ratio - 0.1)  # ESPnet's way out when nothing is long enough
        return found

    def _search(
        self, x: torch.Tensor, lengths: torch.Tensor, minlenratio: float, n_best: int
    ) -> list[list[Hypothesis]]:
        frames = lengths.tolist()
        x, lengths = x[:, : max(frames)], lengths.to(x.device)
        bounds = [self.options.bounds(n, minlenratio) for n in frames]
        limits = torch.tensor([(min(most, self.longest), fewest) for most, fewest in bounds])
        beams = Beams(x, limits.to(x.device), self.eos, self.beam, list(self.weights))
        scorers: dict[str, Scorer] = {}
        if "decoder" in self.weights:
            scorers["decoder"] = decoder_steps(self.decoder, x, lengths)
        if "ctc" in self.weights:
            scorers["ctc"] = CTCPrefixes(self.ctc, x, lengths, self.eos)
        ended: list[Ended] = []
        for _ in range(int(limits[:, 0].max())):
            parents, tokens = beams.extend(*self._scores(beams, scorers))
            now = beams.end()
            done = self._done(beams, n_best)
            n_ended, n_done = torch.stack((now.sum(), done.sum())).tolist()
            if n_ended:
                ended.append(beams.select(now))
            if n_done == len(done):
                break
            beams.live &= ~done[:, None]
            if n_done >= FEWER * len(done):
                rows = (~done).nonzero().flatten()
                parents, tokens = parents[rows], tokens[rows]
                for part in (beams, *scorers.values()):
                    part.keep(rows)
            for scorer in scorers.values():
                scorer.extend(parents, tokens)
        return self._nbest(ended, len(x))

    def _done(self, beams: "Beams", n_best: int) -> torch.Tensor:
        """Which utterances need no further step, (B,)."""
        done = ~beams.live.any(1)
        ended = beams.ended  # (B, L, K)
        if self.options.maxlenratio == 0 and ended.size(1) >= END_STEPS + 2:
            best = ended.amax(2)  # (B, L)
            recent = best[:, -END_STEPS - 2 : -2]  # ESPnet counts sos and eos: two steps late
            worse = (recent < best.amax(1, keepdim=True) - END_GAP) & (recent > -torch.inf)
            done |= worse.all(1)
        falling = self.options.penalty <= 0 and not self.options.normalize_length
        if falling and ended[0].numel() >= n_best:
            hope = beams.score.masked_fill(~beams.live, -torch.inf).amax(1)
            done |= ended.flatten(1).topk(n_best).values[:, -1] >= hope
        return done

    def _scores(
        self, beams: "Beams", scorers: Mapping[str, Scorer]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What each token would add to the hypotheses' scores, and to their parts, (B, H, V)."""
        size = len(self.token_list)
        weighted = beams.score.new_full((*beams.score.shape, size), self.options.penalty)
        parts = {}
        if "decoder" in scorers:
            parts["decoder"] = scorers["decoder"].score(beams.tokens)
            weighted += self.weights["decoder"] * parts["decoder"]
        if "ctc" in scorers:
            prefixes = scorers["ctc"].score(beams.tokens).to(weighted.dtype)
            number = int(PRE_BEAM * self.beam)
            if "decoder" in scorers and number < size and not isinstance(self.decoder, Guide):
                unlikely = torch.ones_like(prefixes, dtype=torch.bool)
                unlikely.scatter_(2, weighted.topk(number).indices, False)
                unlikely[..., self.eos] = False
                prefixes.masked_fill_(unlikely, -torch.inf)
            parts["ctc"] = prefixes - beams.parts["ctc"][..., None]
            weighted += self.weights["ctc"] * parts["ctc"]
        return weighted, parts

    def _nbest(self, ended: list[Ended], n_utts: int) -> list[list[Hypothesis]]:
        found: list[list[tuple[float, Hypothesis]]] = [[] for _ in range(n_utts)]
        for step in ended:
            for utt, length, ids, score, *parts in zip(*(field.tolist() for field in step), strict=True):
                tokens = [self.token_list[i] for i in ids if i not in (BLANK, self.eos)]
                key = score / length if self.options.normalize_length else score
                named = dict(zip(self.weights, parts, strict=True))
                found[utt].append((key, Hypothesis(tokens, score, named)))
        ranked = [sorted(utt, key=lambda pair: pair[0], reverse=True) for utt in found]
        return [[hypothesis for _, hypothesis in utt] for utt in ranked]


class GreedyCTC:
    """The likeliest CTC path of one output: quick, and worse than a beam search.

    Args:
        ctc: of the output.
        token_list: the vocabulary, from the blank to sos/eos.
    """

    def __init__(self, ctc: CTC, token_list: list[str]):
        self.ctc = ctc
        self.token_list = token_list

    @torch.inference_mode()
    def __call__(
        self, x: torch.Tensor, lengths: torch.Tensor, n_best: int = 1
    ) -> list[list[Hypothesis]]:
        """One hypothesis of each utterance, none without frames; its score is the path's.

        Args:
            x: encoder output, (B, T, D).
            lengths: frames, (B,).
            n_best: as for a beam search; there is only one.
        """
        log_p, ids = self.ctc.log_softmax(x).max(2)  # (B, T), (B, T)
        found: list[list[Hypothesis]] = []
        for path, scores, frames in zip(ids.tolist(), log_p.tolist(), lengths.tolist(), strict=True):
            labels = [label for label, _ in groupby(path[:frames])]
            silent = (BLANK, len(self.token_list) - 1)
            tokens = [self.token_list[label] for label in labels if label not in silent]
            score = sum(scores[:frames])
            found.append([Hypothesis(tokens, score, {"ctc": score})] if frames else [])
        return found


class Beams:
    """Hypotheses of the utterances that are still searched.

    Attributes:
        utts: which utterance each row is, (B,).
        limits: most and fewest tokens, (B, 2).
        tokens: ids from sos on, (B, H, L).
        score: (B, H).
        parts: the scores' parts, (B, H) each.
        live: False where a hypothesis has ended, (B, H).
        ended: scores of the hypotheses that ended at each step, else -inf, (B, L - 1, K).
        full: whether its hypotheses have the most tokens, (B,).
    """

    def __init__(
        self, x: torch.Tensor, limits: torch.Tensor, eos: int, beam: int, parts: list[str]
    ):
        self.eos = eos
        self.beam = beam
        self.utts = torch.arange(len(x), device=x.device)
        self.limits = limits
        self.tokens = torch.full((len(x), 1, 1), eos, device=x.device)  # sos is eos
        self.score = x.new_zeros(len(x), 1)
        self.parts = dict.fromkeys(parts, self.score)
        self.live = torch.ones_like(self.score, dtype=torch.bool)
        self.ended = x.new_zeros(len(x), 0, beam)
        self.full = self.live[:, 0]

    def extend(
        self, weighted: torch.Tensor, parts: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the best K extensions of each utterance.

        Args:
            weighted: what each token adds to the score, (B, H, V).
            parts: what it adds to each part, (B, H, V).

        Returns:
            Parents in 0..H-1 and new tokens, (B, K) each.
        """
        scores = weighted + self.score[..., None]
        scores.masked_fill_(~self.live[..., None], -torch.inf)
        self.score, chosen = scores.flatten(1).topk(self.beam)  # (B, K)
        parents, tokens = chosen // weighted.size(2), chosen % weighted.size(2)
        for name, part in parts.items():
            added = part.flatten(1).gather(1, chosen)
            self.parts[name] = self.parts[name].gather(1, parents) + added
        past = self.tokens.gather(1, parents[..., None].expand(-1, -1, self.tokens.size(2)))
        self.tokens = torch.cat((past, tokens[..., None]), 2)  # (B, K, L + 1)
        return parents, tokens

    def end(self) -> torch.Tensor:
        """End hypotheses with eos or the most tokens; which of them count, (B, K)."""
        length = self.tokens.size(2) - 1
        most, fewest = self.limits.T  # (B,), (B,)
        self.full = most == length
        over = (self.tokens[..., -1] == self.eos) | self.full[:, None]
        possible = self.score > -torch.inf
        self.live = possible & ~over
        now = over & possible & (length > fewest)[:, None]
        scores = self.score.masked_fill(~now, -torch.inf)
        self.ended = torch.cat((self.ended, scores[:, None]), 1)
        return now

    def select(self, chosen: torch.Tensor) -> Ended:
        """The hypotheses that are True in ``chosen`` (B, K)."""
        rows = chosen.nonzero()[:, 0]
        length = self.tokens.size(2) - 1 + self.full[rows].long()  # ESPnet puts eos behind the most
        fields = (self.tokens, self.score, *self.parts.values())
        return (self.utts[rows], length, *(field[chosen] for field in fields))

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the utterances that are not in ``rows``."""
        for name in ("utts", "limits", "tokens", "score", "live", "ended", "full"):
            setattr(self, name, getattr(self, name)[rows])
        self.parts = {name: part[rows] for name, part in self.parts.items()}
