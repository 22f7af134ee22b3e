"""What scores the hypotheses of a beam search: CTC, and the decoder with keys and values kept.

Each scores a grid of hypotheses and follows what becomes of it (:class:`Scorer`). The shapes are
those of :mod:`l2dual.models.beam`; d is the width of an attention head.
"""

from typing import Protocol

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from torch.nn.functional import linear, pad

from l2dual.models.guide import Guide
from l2dual.models.whisper_decoder import WhisperDecoder

BLANK = 0
LEAST = 1e-300  # of CTC's probabilities, so that they have a logarithm
LOWEST = -1.0e10  # in place of -inf where that would be subtracted from itself
SPAN = 8  # steps between two clearances of the decoder's keys and values


class Scorer(Protocol):
    """Scores the tokens behind each hypothesis of a grid (B, H)."""

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, H, V) of the tokens behind ``tokens`` (B, H, L)."""

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """Make hypothesis (b, k) its parent ``parents[b, k]`` with ``tokens[b, k]`` behind it."""

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the utterances that are not in ``rows``."""


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
        silence = pad(_run(self.p[:, BLANK, None]), (1, 0))  # (B, 1, T + 1)
        self.state = torch.stack((silence, silence))
        self.last_frame = lengths
        self.eos = eos
        self.last = torch.full_like(lengths[:, None], eos)
        self.p_last = self.p[:, eos, None]

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
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
        blank = pad(blank, (1, 0), value=-torch.inf)
        self.state = torch.stack((torch.logaddexp(label, blank), blank))
        for name in ("inside", "p", "p_last"):
            setattr(self, name, getattr(self, name)[..., 1:])
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
    shifted = pad(run[..., :-1], (1, 0))
    return torch.logcumsumexp(before - shifted, 2).add_(run)


def decoder_steps(decoder: AbsDecoder | Guide, x: torch.Tensor, lengths: torch.Tensor) -> Scorer:
    """The scorer of ``decoder``: with a cache where its layers are as ours.

    Args:
        x: encoder output, (B, T, D).
        lengths: frames, (B,).
    """
    if isinstance(decoder, Guide):
        return decoder.steps(x)
    plain = type(decoder) in (TransformerDecoder, WhisperDecoder) and decoder.normalize_before
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
        """See :class:`Scorer`."""
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
        self.prompt = getattr(decoder, "prompt", ())
        for number, token in enumerate(self.prompt):
            self._step(torch.full_like(lengths[:, None], token), number)

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
        """See :class:`Scorer`."""
        x = self._step(tokens[..., -1], len(self.prompt) + tokens.size(2) - 1)
        return self.decoder.output_layer(self.decoder.after_norm(x)).log_softmax(2)

    def _step(self, tokens: torch.Tensor, place: int) -> torch.Tensor:
        """States (B, H, D) of the tokens (B, H) at a place of their text."""
        rows, width = tokens.shape
        if self.past.size(2) + width > self.room:
            self._make_room(SPAN * width)
        own = torch.eye(width, device=self.past.device, dtype=self.past.dtype).log_()
        self.past = torch.cat((self.past, own.expand(rows, -1, -1)), 2)
        embed, positions = self.decoder.embed
        x = embed(tokens)  # (B, H, D)
        positions.extend_pe(x.new_empty(1, place + 1))
        x = x * positions.xscale + positions.pe[0, place]
        for layer in self.layers:
            x = layer(x, self.past[:, None], self.padding)
        return x

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
        self.heads, self.activation = own.h, layer.feed_forward.activation
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
        """The output (B, H, D) for the newest tokens.

        Args:
            x: (B, H, D).
            past: 0 at the places of a hypothesis's own past, else -inf, (B, 1, H, places).
            padding: 0 in the utterance, else -inf, (B, 1, 1, T).
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
        return x + forward.w_2(self.activation(forward.w_1(self.layer.norm3(x))))

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
