"""How each token of a known text was pronounced, by the CTC of the surface.

Alignment-free goodness of pronunciation after Cao et al. 2024 ("A Framework for Phoneme-Level
Pronunciation Assessment Using CTC", Interspeech): the likelihood of the text that was due is set
against that of the same text with one token replaced, left out, or one more put in, each summed
over all alignments. No boundary has to be right for a score to be right.

All sums are exact. The states of a text of n tokens are blank, token 0, blank, ..., token n - 1,
blank: state 2i + 1 is token i, state 2i the blank before it.
"""

from dataclasses import dataclass

import numpy as np
import torch

from l2dual.errors import DataError
from l2dual.inference.timing import Clock, Span, spans
from l2dual.models.ctc_alignment import BLANK
from l2dual.text.phones import ERROR

NEVER = -np.inf
MISSING = 3.0  # by how much leaving out must beat all replacements: CTC skips an unclear token cheaply


@dataclass(frozen=True)
class Alternatives:
    """Natural log likelihoods of a text and of all texts that are one edit away."""

    due: float  # of the text as it is
    replaced: np.ndarray  # (n, V): token i replaced by v
    left_out: np.ndarray  # (n,): without token i
    put_in: np.ndarray  # (n + 1, V): v before token i, or at the end


@dataclass(frozen=True)
class JudgedToken:
    """A token that was due, and how likely it is that it was said.

    ``score`` is the probability of the token among itself, every other token in its place, and
    nothing in its place, all as likely beforehand: 0 to 1. It is not a grade.
    """

    due: str
    score: float
    said: str  # what else is likeliest; empty: nothing; <err>: nothing that can be named
    start: float | None  # seconds from the recording's start
    end: float | None


@dataclass(frozen=True)
class Gap:
    """A place before a token (the last one: at the end), and whether a token was put in there."""

    score: float  # probability that nothing was put in
    said: str  # the likeliest token, had one been put in


@dataclass(frozen=True)
class Pronunciation:
    """What the surface's CTC says of a text that was due."""

    tokens: tuple[JudgedToken, ...]  # n
    gaps: tuple[Gap, ...]  # n + 1
    log_likelihood: float  # of the text


def judge(
    log_probs: np.ndarray, vocabulary: list[str], due: list[str], clock: Clock, seconds: float
) -> Pronunciation:
    """Score each token of ``due``.

    Args:
        log_probs: natural log probabilities of the surface's CTC, (T', V).
        vocabulary: V tokens, the blank first. Those in <> are no alternatives, except <err>, a
            sound that is none of the others.
        due: n tokens, each in ``vocabulary``.
        clock: when a frame is.
        seconds: of the recording.

    Raises:
        DataError: ``due`` is empty, has a token that the vocabulary lacks, or needs more frames.
    """
    ids = indices(vocabulary, due)
    log_probs = np.asarray(log_probs, dtype=np.float64)
    found = alternatives(log_probs, ids)
    sounds = np.array([not token.startswith("<") or token == ERROR for token in vocabulary])
    replaced = np.where(sounds, found.replaced, NEVER)
    replaced[np.arange(len(ids)), ids] = NEVER  # itself
    put_in = np.where(sounds, found.put_in, NEVER)
    timed = aligned(log_probs, vocabulary, ids, clock, seconds)
    tokens = []
    for token, row, left_out, span in zip(due, replaced, found.left_out, timed, strict=True):
        score, said = share(found.due, np.append(row, left_out)), instead(row, left_out, vocabulary)
        tokens.append(JudgedToken(token, score, said, span.start, span.end))
    gaps = [Gap(share(found.due, row), vocabulary[int(row.argmax())]) for row in put_in]
    return Pronunciation(tuple(tokens), tuple(gaps), found.due)


def indices(vocabulary: list[str], due: list[str]) -> list[int]:
    """Places of ``due`` in ``vocabulary``; DataError where it is empty or has an unknown token."""
    places = {token: index for index, token in enumerate(vocabulary)}
    unknown = sorted(set(due) - places.keys())
    if not due or unknown:
        what = f"the model does not know {', '.join(unknown)}" if unknown else "it says nothing"
        raise DataError(f"the prompt can't be scored: {what}; give another prompt or model")
    return [places[token] for token in due]


def instead(replaced: np.ndarray, left_out: float, vocabulary: list[str]) -> str:
    """What was said in a token's place, by the log likelihoods (V,) and () of what it might be."""
    best = int(replaced.argmax())
    if left_out > replaced[best] + MISSING:
        return ""
    return vocabulary[best] if replaced[best] >= left_out else ERROR


def share(due: float, others: np.ndarray) -> float:
    """The part of the likelihood that is ``due``'s, of it and the others' (log likelihoods)."""
    return float(np.exp(due - np.logaddexp(due, np.logaddexp.reduce(others))))


def log_likelihood(log_probs: np.ndarray, ids: list[int]) -> float:
    """Of the text ``ids`` under a CTC (T', V), summed over all alignments; -inf if none fits."""
    return float(np.logaddexp.reduce(forward(log_probs, ids)[-1, -2:]))


def alternatives(log_probs: np.ndarray, ids: list[int]) -> Alternatives:
    """The likelihoods of the text ``ids`` and of its neighbours under a CTC (T', V).

    A token put in at a place takes over from the states before it, at any frame, and hands over
    to the states behind it. Sums over the frames of both moments give each neighbour exactly.

    Raises:
        DataError: the text needs more frames than there are.
    """
    n, (n_frames, size) = len(ids), log_probs.shape
    before = forward(log_probs, ids)  # (T', 2n + 1)
    if n_frames == 0 or (due := float(np.logaddexp.reduce(before[-1, -2:]))) == NEVER:
        raise DataError(
            f"the prompt is too long for the recording: {n} sounds in {n_frames} frames; "
            "check that the prompt is what was said"
        )
    behind = backward(log_probs, ids)
    new = middle(log_probs, ids, before)  # (T', n + 1, V): the token at place i, at frame t
    other = np.full((n + 1, size), True)  # next to a token like itself, CTC needs a blank
    other[np.arange(n), ids] = False
    # Token i replaced: its new self hands over to the blank behind it or to token i + 1.
    to_blank, to_token = behind[:, 2::2], np.full((n_frames, n), NEVER)
    to_token[:, :-1] = behind[:, 3::2]
    leave = np.logaddexp(to_blank[..., None], np.where(other[1:], to_token[..., None], NEVER))
    replaced = over(new[:, :-1], leave, last=n - 1)
    # One more before token i: it hands over to a blank like the one before, or to token i.
    to_token = np.concatenate([behind[:, 1::2], np.full((n_frames, 1), NEVER)], axis=1)
    leave = np.logaddexp(behind[:, 0::2, None], np.where(other, to_token[..., None], NEVER))
    put_in = over(new, leave, last=n)
    return Alternatives(due, replaced, without(ids, before, behind), put_in)


def over(new: np.ndarray, leave: np.ndarray, last: int) -> np.ndarray:
    """Sum over the frames t of ``new`` at t times ``leave`` at t + 1; ``last`` may end the text."""
    total = np.logaddexp.reduce(new[:-1] + leave[1:], axis=0) if len(new) > 1 else np.full(new.shape[1:], NEVER)
    total[last] = np.logaddexp(total[last], new[-1, last])
    return total


def forward(log_probs: np.ndarray, ids: list[int]) -> np.ndarray:
    """Log likelihood of frames 0 to t that end in state s, (T', 2n + 1)."""
    states, skips = lattice(ids)
    emitted = log_probs[:, states]
    found = np.full(emitted.shape, NEVER)
    found[:1, :2] = emitted[:1, :2]
    for t in range(1, len(emitted)):
        row = found[t - 1].copy()
        row[1:] = np.logaddexp(row[1:], found[t - 1, :-1])
        row[2:] = np.logaddexp(row[2:], np.where(skips[2:], found[t - 1, :-2], NEVER))
        found[t] = row + emitted[t]
    return found


def backward(log_probs: np.ndarray, ids: list[int]) -> np.ndarray:
    """Log likelihood of frames t to the end that begin in state s, (T', 2n + 1): `forward` of the
    text and the recording turned round."""
    return forward(log_probs[::-1], ids[::-1])[::-1, ::-1]


def middle(log_probs: np.ndarray, ids: list[int], before: np.ndarray) -> np.ndarray:
    """Log likelihood of frames 0 to t that say tokens 0 to i - 1 and then v, which is at frame t,
    (T', n + 1, V)."""
    n = len(ids)
    enter = before[:, 0::2, None]  # from the blank before place i
    token = np.full((len(before), n + 1, 1), NEVER)
    token[:, 1:, 0] = before[:, 1::2]  # from token i - 1, unless v is the same
    other = np.full((n + 1, log_probs.shape[1]), True)
    other[np.arange(1, n + 1), ids] = False
    found = np.full((len(before), n + 1, log_probs.shape[1]), NEVER)
    found[0, 0] = log_probs[0]
    for t in range(1, len(before)):
        entered = np.logaddexp(enter[t - 1], np.where(other, token[t - 1], NEVER))
        found[t] = np.logaddexp(found[t - 1], entered) + log_probs[t]
    return found


def without(ids: list[int], before: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Log likelihood of the text without token i, (n,)."""
    n, found = len(ids), []
    for i in range(n):
        leave = before[:, 2 * i]  # the blank before token i
        if i and (i + 1 == n or ids[i - 1] != ids[i + 1]):
            leave = np.logaddexp(leave, before[:, 2 * i - 1])
        if i + 1 < n:
            total = np.logaddexp.reduce(leave[:-1] + behind[1:, 2 * i + 3]) if len(leave) > 1 else NEVER
            found.append(total if i else np.logaddexp(total, behind[0, 3]))
        else:
            found.append(leave[-1])
    return np.array(found)


def lattice(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The vocabulary's token of each state, and whether it follows the state before the last."""
    states = np.full(2 * len(ids) + 1, BLANK)
    states[1::2] = ids
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return states, skips


def aligned(
    log_probs: np.ndarray, vocabulary: list[str], ids: list[int], clock: Clock, seconds: float
) -> list[Span]:
    """When each token is said, by Viterbi."""
    tokens = [vocabulary[index] for index in ids]
    return spans(tokens, ids, torch.from_numpy(log_probs).float(), clock, seconds)
