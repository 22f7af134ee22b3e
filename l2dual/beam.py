"""Joint CTC/attention beam search over a batch (Watanabe et al. 2017, section IV).

It finds what ESPnet's BatchBeamSearch finds, in a fraction of the time: keys and values are
projected once, CTC prefix scores are one product over the frames, and an utterance whose search
has ended leaves the batch.

Shapes: B utterances still searched, K beam size, H hypotheses an utterance (1 at the start, then
K), L tokens so far, T frames, D width of the encoder's output, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Protocol

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.pytorch_backend.transformer.attention import MultiHeadedAttention
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface
from torch.nn.functional import linear

from l2dual.errors import UsageError

BLANK = 0
LEAST = 1e-300  # of CTC's probabilities, so that they have a logarithm
LOWEST = -1.0e10  # in place of -inf where that would be subtracted from itself
PRE_BEAM = 1.5  # CTC scores this many times K tokens of a hypothesis, the decoder's likeliest
FEWER = 0.25  # share of the utterances that must be done before they leave the batch
SPAN = 8  # steps between two clearances of the decoder's keys and values
END_STEPS, END_GAP = 3, 10.0  # end detection (Watanabe et al. 2017, eq. 50)


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


class Scorer(Protocol):
    """What scores the next tokens of a grid of hypotheses (B, H), and keeps their states."""

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """Make hypothesis (b, k) its parent ``parents[b, k]`` with ``tokens[b, k]`` behind it."""

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the utterances that are not in ``rows``."""


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
        decoder: AbsDecoder | None,
        ctc: CTC | None,
        token_list: list[str],
        ctc_weight: float,
        options: BeamOptions,
    ):
        weight = 0.0 if ctc is None else 1.0 if decoder is None else ctc_weight
        self.decoder = decoder if weight < 1 else None
        self.ctc = ctc if weight > 0 else None
        if self.decoder is not None and not isinstance(decoder, BatchScorerInterface):
            raise UsageError(
                f"{type(decoder).__name__} can't score hypotheses in a batch: "
                "train with decoder: transformer"
            )
        self.weights = {"decoder": 1 - weight, "ctc": weight}
        self.options = options
        self.token_list = token_list
        self.eos = len(token_list) - 1
        self.beam = min(options.beam_size, len(token_list))

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
            for utt, hypotheses in zip(left, self._search(x[left], lengths[left], ratio, n_best)):
                found[utt] = hypotheses[:n_best]
            left = [utt for utt in left if not found[utt]] if ratio >= 0.1 else []
            ratio = max(0.0, ratio - 0.1)  # ESPnet's way out when nothing is long enough
        return found

    def _search(
        self, x: torch.Tensor, lengths: torch.Tensor, minlenratio: float, n_best: int
    ) -> list[list[Hypothesis]]:
        frames = lengths.tolist()
        x, lengths = x[:, : max(frames)], lengths.to(x.device)
        limits = torch.tensor([self.options.bounds(n, minlenratio) for n in frames])
        beams = Beams(x, self.eos, limits.to(x.device), self.beam)
        decoder = _steps_of(self.decoder, x, lengths) if self.decoder else None
        ctc = CTCPrefixes(self.ctc, x, lengths, self.eos) if self.ctc else None
        scorers = [scorer for scorer in (decoder, ctc) if scorer]
        ended: list[tuple[torch.Tensor, ...]] = []
        for _ in range(int(limits[:, 0].max())):
            parents, tokens = beams.extend(*self._scores(beams, decoder, ctc), self.beam)
            now = beams.end(self.eos)
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
                for part in (beams, *scorers):
                    part.keep(rows)
            for scorer in scorers:
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
        self, beams: "Beams", decoder: Scorer | None, ctc: "CTCPrefixes | None"
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Scores (B, H, V) of all hypotheses with each token behind them; their parts, added."""
        parts = {}
        weighted = beams.score.new_zeros(*beams.score.shape, len(self.token_list))
        if decoder:
            parts["decoder"] = decoder.score(beams.tokens)
            weighted += self.weights["decoder"] * parts["decoder"]
        weighted += self.options.penalty
        if ctc:
            scores = ctc.score().to(weighted.dtype)
            number = int(PRE_BEAM * self.beam)
            if decoder and number < len(self.token_list):
                unlikely = torch.ones_like(scores, dtype=torch.bool)
                unlikely.scatter_(2, weighted.topk(number).indices, False)
                unlikely[..., self.eos] = False
                scores.masked_fill_(unlikely, -torch.inf)
            parts["ctc"] = scores - beams.parts["ctc"][..., None]
            weighted += self.weights["ctc"] * parts["ctc"]
        return weighted, parts

    def _nbest(
        self, ended: Sequence[tuple[torch.Tensor, ...]], n_utts: int
    ) -> list[list[Hypothesis]]:
        found: list[list[tuple[float, Hypothesis]]] = [[] for _ in range(n_utts)]
        for step in ended:
            for utt, forced, ids, score, *parts in zip(*(part.tolist() for part in step)):
                named = {"decoder": parts[0], "ctc": parts[1]}
                named = {name: part for name, part in named.items() if self.weights[name]}
                length = len(ids) - 1 + forced
                tokens = [self.token_list[i] for i in ids if i not in (BLANK, self.eos)]
                key = score / length if self.options.normalize_length else score
                found[utt].append((key, Hypothesis(tokens, score, named)))
        best = [sorted(utt, key=lambda pair: pair[0], reverse=True) for utt in found]
        return [[hypothesis for _, hypothesis in utt] for utt in best]


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
    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> list[list[Hypothesis]]:
        """One hypothesis of each utterance, none without frames; its score is the path's.

        Args:
            x: encoder output, (B, T, D).
            lengths: frames, (B,).
        """
        log_p, ids = self.ctc.log_softmax(x).max(2)  # (B, T), (B, T)
        found: list[list[Hypothesis]] = []
        for path, scores, frames in zip(ids.tolist(), log_p.tolist(), lengths.tolist()):
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

    def __init__(self, x: torch.Tensor, sos: int, limits: torch.Tensor, beam: int):
        self.utts = torch.arange(len(x), device=x.device)
        self.limits = limits
        self.tokens = torch.full((len(x), 1, 1), sos, device=x.device)
        self.score = x.new_zeros(len(x), 1)
        self.parts = {"decoder": self.score, "ctc": self.score}
        self.live = torch.ones_like(self.score, dtype=torch.bool)
        self.ended = x.new_zeros(len(x), 0, beam)
        self.full = self.live[:, 0]

    def extend(
        self, weighted: torch.Tensor, parts: dict[str, torch.Tensor], beam: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the best ``beam`` extensions of each utterance.

        Args:
            weighted: what each token adds to the score, (B, H, V).
            parts: what it adds to each part, (B, H, V).

        Returns:
            Parents in 0..H-1 and new tokens, (B, K) each.
        """
        scores = weighted + self.score[..., None]
        scores.masked_fill_(~self.live[..., None], -torch.inf)
        self.score, chosen = scores.flatten(1).topk(beam)  # (B, K)
        parents, tokens = chosen // weighted.size(2), chosen % weighted.size(2)
        for name, part in parts.items():
            added = part.flatten(1).gather(1, chosen)
            self.parts[name] = self.parts[name].gather(1, parents) + added
        for name in self.parts.keys() - parts.keys():
            self.parts[name] = torch.zeros_like(self.score)
        rows = torch.arange(len(parents), device=parents.device)[:, None]
        self.tokens = torch.cat((self.tokens[rows, parents], tokens[..., None]), 2)  # (B, K, L + 1)
        return parents, tokens

    def end(self, eos: int) -> torch.Tensor:
        """End hypotheses with eos or the most tokens; which of them count, (B, K)."""
        length = self.tokens.size(2) - 1
        most, fewest = self.limits.T  # (B,), (B,)
        self.full = most == length
        over = (self.tokens[..., -1] == eos) | self.full[:, None]
        possible = self.score > -torch.inf
        self.live = possible & ~over
        now = over & possible & (length > fewest)[:, None]
        scores = self.score.masked_fill(~now, -torch.inf)
        self.ended = torch.cat((self.ended, scores[:, None]), 1)
        return now

    def select(self, chosen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Utterance, whether eos was put at its end, tokens, score and parts of ``chosen`` (B, K)."""
        rows = chosen.nonzero()[:, 0]
        fields = (self.tokens, self.score, *(self.parts[name] for name in ("decoder", "ctc")))
        return (self.utts[rows], self.full[rows], *(field[chosen] for field in fields))

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the utterances that are not in ``rows``."""
        for name in ("utts", "limits", "tokens", "score", "live", "ended", "full"):
            setattr(self, name, getattr(self, name)[rows])
        self.parts = {name: part[rows] for name, part in self.parts.items()}


class CTCPrefixes:
    """CTC probabilities of prefixes (Watanabe et al. 2017, algorithm 2), for all frames at once.

    A prefix of L - 1 tokens needs as many frames, so its state begins with frame L - 1; frame 0
    lies before the first one, and there the empty prefix has the probability 1.

    Attributes:
        p: probabilities of the frames after the state's first one, (B, V, T); 1 in the padding.
        state: log probabilities that the frames until t spell the prefix, of all paths and of
            those that end with a blank, (2, B, H, T + 1).
        last: the prefixes' last tokens, (B, H); ``p_last`` are their probabilities, (B, H, T).
    """

    def __init__(self, ctc: CTC, x: torch.Tensor, lengths: torch.Tensor, eos: int):
        self.inside = _inside(x, lengths)[:, None]  # (B, 1, T)
        p = ctc.log_softmax(x).double().exp().clamp_(min=LEAST).transpose(1, 2)
        self.p = torch.where(self.inside, p, 1.0)
        silence = torch.nn.functional.pad(_run(self.p[:, BLANK, None]), (1, 0))  # (B, 1, T + 1)
        self.state = torch.stack((silence, silence))
        self.last_frame = lengths
        self.eos = eos
        self.last = torch.full_like(lengths[:, None], eos)
        self.p_last = self.p[:, eos, None]

    def score(self) -> torch.Tensor:
        """Log probability of each prefix with each token behind it, (B, H, V)."""
        peak = self.state[0].amax(2, keepdim=True).clamp_(min=LOWEST)  # (B, H, 1)
        before = (self.state[..., :-1] - peak).exp_().mul_(self.inside)  # (2, B, H, T)
        repeated = (before[1] * self.p_last).sum(2, keepdim=True)  # (B, H, 1)
        sums = before[0] @ self.p.transpose(1, 2)  # (B, H, V)
        scores = sums.scatter_(2, self.last[..., None], repeated).log_().add_(peak)
        last_frame = self.last_frame.clamp(min=0)[:, None, None].expand_as(peak)
        scores[..., self.eos] = self.state[0].gather(2, last_frame)[..., 0]
        scores[..., BLANK] = -torch.inf
        return scores

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        rows = torch.arange(len(tokens), device=tokens.device)[:, None]
        repeats = self.last.gather(1, parents) == tokens
        before = self.state[repeats.long(), rows, parents]  # (B, H, T + 1)
        self.last, self.p_last = tokens, self.p[rows, tokens]
        label = _recursion(before[..., :-1], _run(self.p_last))  # (B, H, T)
        blank = _recursion(label[..., :-1], _run(self.p[:, BLANK, None, 1:]))  # (B, H, T - 1)
        blank = torch.nn.functional.pad(blank, (1, 0), value=-torch.inf)
        self.state = torch.stack((torch.logaddexp(label, blank), blank))
        self.inside, self.p, self.p_last = self.inside[..., 1:], self.p[..., 1:], self.p_last[..., 1:]
        self.last_frame = self.last_frame - 1

    def keep(self, rows: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        for name in ("inside", "p", "last_frame", "last", "p_last"):
            setattr(self, name, getattr(self, name)[rows])
        self.state = self.state[:, rows]


def _run(p: torch.Tensor) -> torch.Tensor:
    """Log of the product of ``p`` (B, H, T) up to each frame."""
    return p.log().cumsum(2)


def _recursion(before: torch.Tensor, run: torch.Tensor) -> torch.Tensor:
    """r with r[t] = (r[t - 1] + before[t]) p[t], r[-1] = 0, all as logarithms, (B, H, T).

    Args:
        before: (B, H, T).
        run: log of p[0] ... p[t], broadcast to (B, H, T).
    """
    shifted = torch.nn.functional.pad(run[..., :-1], (1, 0))
    return torch.logcumsumexp(before - shifted, 2).add_(run)


def _steps_of(decoder: AbsDecoder, x: torch.Tensor, lengths: torch.Tensor) -> "CachedSteps | AnySteps":
    plain = type(decoder) is TransformerDecoder and decoder.normalize_before
    if plain and not any(layer.concat_after for layer in decoder.decoders):
        return CachedSteps(decoder, x, lengths)
    return AnySteps(decoder, x, lengths)


class AnySteps:
    """A decoder through ESPnet's interface, which keeps no keys and values."""

    def __init__(self, decoder: AbsDecoder, x: torch.Tensor, lengths: torch.Tensor):
        self.decoder = decoder
        self.x = x
        self.mask = _inside(x, lengths)  # (B, T)
        self.states = [decoder.batch_init_state(x)] * len(x)  # one a hypothesis
        self.places = torch.zeros(0)  # (B, H): where in ``states`` a hypothesis has its own

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, H, V) of the tokens after ``tokens`` (B, H, L)."""
        width = tokens.size(1)
        masks = {}
        if BatchBeamSearch.supports_xs_mask(self.decoder):
            masks = {"xs_mask": self.mask[:, None].repeat_interleave(width, 0)}  # (B * H, 1, T)
        log_p, self.states = self.decoder.batch_score(
            tokens.flatten(0, 1), self.states, self.x.repeat_interleave(width, 0), **masks
        )
        self.places = torch.arange(len(log_p), device=log_p.device).view(-1, width)
        return log_p.view(*tokens.shape[:2], -1)

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        chosen = self.places.gather(1, parents).flatten().tolist()
        self.states = [self.decoder.select_state(self.states, place) for place in chosen]

    def keep(self, rows: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        self.x, self.mask, self.places = self.x[rows], self.mask[rows], self.places[rows]


class CachedSteps:
    """ESPnet's TransformerDecoder with its keys and values kept.

    Each step writes the keys and values of its H hypotheses to H new places, and hypotheses share
    those of their common past: a mask says which places are a hypothesis's own. When the places
    are full, those that are in no hypothesis's past are given up.
    """

    def __init__(self, decoder: TransformerDecoder, x: torch.Tensor, lengths: torch.Tensor):
        self.decoder = decoder
        self.layers = [CachedLayer(layer, x) for layer in decoder.decoders]
        padding = torch.zeros_like(x[..., 0]).masked_fill_(~_inside(x, lengths), -torch.inf)
        self.padding = padding[:, None, None]  # (B, 1, 1, T)
        self.past = x.new_zeros(len(x), 1, 0)  # (B, H, places): 0 in the past, else -inf
        self.room = 0

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, H, V) of the tokens after ``tokens`` (B, H, L)."""
        rows, width, length = tokens.shape
        if self.past.size(2) + width > self.room:
            self._make_room(SPAN * width)
        own = torch.eye(width, device=self.past.device, dtype=self.past.dtype).log_()
        self.past = torch.cat((self.past, own.expand(rows, -1, -1)), 2)
        embed, positions = self.decoder.embed
        x = embed(tokens[..., -1])  # (B, H, D)
        positions.extend_pe(x.new_empty(1, length))
        x = x * positions.xscale + positions.pe[0, length - 1]
        for layer in self.layers:
            x = layer(x, self.past[:, None], self.padding)
        return self.decoder.output_layer(self.decoder.after_norm(x)).log_softmax(2)

    def _make_room(self, room: int) -> None:
        wanted = (self.past == 0).any(1)  # (B, places)
        number = int(wanted.sum(1).max())
        places = wanted.byte().topk(number, 1).indices
        self.past = self.past.gather(2, places[:, None].expand(-1, self.past.size(1), -1))
        self.room = number + room
        for layer in self.layers:
            layer.move(places, self.room)

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        self.past = self.past.gather(1, parents[..., None].expand(-1, -1, self.past.size(2)))

    def keep(self, rows: torch.Tensor) -> None:
        """See :class:`Scorer`."""
        self.padding, self.past = self.padding[rows], self.past[rows]
        for layer in self.layers:
            layer.keep(rows)


class CachedLayer:
    """One layer of :class:`CachedSteps`; d: width of a head."""

    def __init__(self, layer: torch.nn.Module, x: torch.Tensor):
        self.layer = layer
        own, source = layer.self_attn, layer.src_attn
        self.heads = own.h
        parts = (own.linear_q, own.linear_k, own.linear_v)
        self.weight = torch.cat([part.weight for part in parts])  # (3 D, D)
        self.bias = torch.cat([part.bias for part in parts])
        keys = source.k_norm(self._split(source.linear_k(x))) * own.d_k**-0.5
        self.source_keys = keys.transpose(2, 3).contiguous()  # (B, heads, d, T)
        self.source_values = self._split(source.linear_v(x)).contiguous()  # (B, heads, T, d)
        self.cache = x.new_empty(2, len(x), self.heads, 0, own.d_k)  # keys and values, by place

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, D) -> (B, heads, H, d)"""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def __call__(self, x: torch.Tensor, past: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """The layer's output (B, H, D) for the newest tokens.

        Args:
            x: (B, H, D).
            past: added to the weights of the hypotheses' own past, (B, 1, H, places).
            padding: added to the weights of the frames, (B, 1, 1, T).
        """
        own, source, forward = self.layer.self_attn, self.layer.src_attn, self.layer.feed_forward
        new = linear(self.layer.norm1(x), self.weight, self.bias)  # (B, H, 3 D)
        query, *new = new.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        places = past.size(3)
        self.cache[0, :, :, places - x.size(1) : places] = own.k_norm(new[0]) * own.d_k**-0.5
        self.cache[1, :, :, places - x.size(1) : places] = new[1]
        keys, values = self.cache[:, :, :, :places]  # (B, heads, places, d), (B, heads, places, d)
        x = x + own.linear_out(_attend(own.q_norm(query), keys.transpose(2, 3), values, past))
        query = source.q_norm(self._split(source.linear_q(self.layer.norm2(x))))
        found = _attend(query, self.source_keys, self.source_values, padding)
        x = x + source.linear_out(found)
        return x + forward.w_2(forward.w_1(self.layer.norm3(x)).relu_())

    def move(self, places: torch.Tensor, room: int) -> None:
        """Take what is at ``places`` (B, n) to the first of ``room`` places."""
        index = places[:, None, :, None].expand(2, -1, self.heads, -1, self.cache.size(4))
        moved = self.cache.new_empty(*self.cache.shape[:3], room, self.cache.size(4))
        moved[:, :, :, : places.size(1)] = self.cache.gather(3, index)
        self.cache = moved

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the utterances that are not in ``rows``."""
        self.cache = self.cache[:, rows]
        self.source_keys, self.source_values = self.source_keys[rows], self.source_values[rows]


def _attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """(B, heads, H, d), (B, heads, d, places), (B, heads, places, d) -> (B, H, D)"""
    weights = (query @ keys).add_(mask).softmax(3)  # (B, heads, H, places)
    return (weights @ values).transpose(1, 2).flatten(2)


def _inside(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which frames of ``x`` (B, T, D) are no padding, (B, T)."""
    return torch.arange(x.size(1), device=x.device) < lengths[:, None]
