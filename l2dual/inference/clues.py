"""What a surface's CTC says of each phone of a text that was due: what a rater is trained on.

The ratios of likelihoods are those of `l2dual.inference.pronunciation`, after Cao et al. 2024; places
in time are means over all alignments of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2dual.inference.pronunciation import NEVER, Alternatives, alternatives, backward, forward, indices, lattice
from l2dual.text.phones import ERROR

MOST = 20.0  # a ratio of likelihoods counts up to this, in natural logarithms
FLOOR = -14.0  # likewise a posterior
PLACES = 5  # in a word, from its start and from its end; later ones count as this


@dataclass(frozen=True)
class Clues:
    """Of the n phones of a text."""

    phones: np.ndarray  # (n,): their numbers in the vocabulary
    words: np.ndarray  # (n,): number of the word that each is in, from 0 on
    values: np.ndarray  # (n, 15 + 2 V), float32; V tokens in the vocabulary


def clues(log_probs: np.ndarray, vocabulary: list[str], due: Sequence[Sequence[str]], step: float) -> Clues:
    """The clues of a text.

    Args:
        log_probs: natural log probabilities of the surface's CTC, (T', V).
        vocabulary: V tokens, the blank first.
        due: the phones of each word.
        step: seconds between frames.

    Raises:
        DataError: a phone that the vocabulary lacks, or more phones than the frames can hold.
    """
    ids = indices(vocabulary, [phone for word in due for phone in word])
    log_probs = np.asarray(log_probs, dtype=np.float64)
    found = alternatives(log_probs, ids)
    taken = occupied(log_probs, ids, found.due)
    frames = taken.sum(0)  # (n,)
    share = taken / frames  # (T', n)
    words = np.repeat(np.arange(len(due)), [len(word) for word in due])
    posterior = np.log(share.T @ np.exp(log_probs) + np.exp(FLOOR))
    columns = [
        _ratios(found, ids, vocabulary),
        _times(share, step),
        np.stack([np.log(frames), (share * log_probs[:, ids]).sum(0).clip(FLOOR)], axis=1),
        _places(due),
        np.full((len(ids), 1), found.due / len(ids)),
        posterior,
        (found.replaced - found.due).clip(-MOST, MOST),
    ]
    return Clues(np.array(ids), words, np.concatenate(columns, axis=1).astype(np.float32))


def occupied(log_probs: np.ndarray, ids: list[int], due: float) -> np.ndarray:
    """Probability that token i is said in frame t, (T', n), given that the text is; ``due`` is its log likelihood."""
    both = forward(log_probs, ids) + backward(log_probs, ids) - log_probs[:, lattice(ids)[0]]
    return np.exp((both[:, 1::2] - due).clip(-100.0, 0.0))


def _ratios(found: Alternatives, ids: list[int], vocabulary: list[str]) -> np.ndarray:
    """Log likelihoods of the text's neighbours less that of the text, (n, 8)."""
    sounds = np.array([not token.startswith("<") for token in vocabulary])
    replaced = np.where(sounds, found.replaced, NEVER)
    replaced[np.arange(len(ids)), ids] = NEVER
    put_in = np.logaddexp.reduce(np.where(sounds, found.put_in, NEVER), axis=1)
    any_other = np.logaddexp.reduce(replaced, axis=1)
    unclear = np.full((len(ids), 2), NEVER)  # replaced by an unclear sound; one put in before
    if ERROR in vocabulary:
        error = vocabulary.index(ERROR)
        unclear = np.stack([found.replaced[:, error], found.put_in[:-1, error]], axis=1)
    wrong = np.logaddexp.reduce(np.column_stack([any_other, found.left_out, unclear[:, 0]]), axis=1)
    ratios = [wrong, replaced.max(1), any_other, found.left_out, unclear, put_in[:-1], put_in[1:]]
    return (np.column_stack(ratios) - found.due).clip(-MOST, MOST)


def _times(share: np.ndarray, step: float) -> np.ndarray:
    """Seconds from the phone before and to the next, or from and to the ends, as log(1 + 25 s), (n, 2)."""
    centre = np.arange(len(share)) @ share
    gaps = np.stack([np.diff(centre, prepend=0.0), np.diff(centre, append=len(share) - 1.0)], axis=1)
    return np.log1p(25 * step * gaps.clip(0.0))


def _places(due: Sequence[Sequence[str]]) -> np.ndarray:
    """Place in the word, from its start and from its end, (n, 2)."""
    both = [(place, len(word) - 1 - place) for word in due for place in range(len(word))]
    return np.array(both, dtype=float).clip(max=PLACES)
