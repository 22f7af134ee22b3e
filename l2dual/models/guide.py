"""A prior for the surface, made from the best meaning.

The surface's CTC hears well and knows no words; the meaning's decoder knows words. So the CTC helps to choose the
meaning (:func:`likelihoods`). The canonical tokens of that meaning then pass through a channel, in which each may be
kept, changed or dropped, and others added. This takes the place of the surface's decoder in the search. What is
said for each canonical token is counted in the training data (:class:`l2dual.text.lexicon.Lexicon`). Where the model
has a rater, it says of each token of an utterance how likely it is an error. The channel's own changes, the same at
every token, allow for a wrong meaning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface

from l2dual.text.phones import ERROR

Words = list[list[str]]  # the canonical tokens of each word


@dataclass(frozen=True)
class Channel:
    """Probabilities that a canonical token is changed or dropped, and that one is added before it."""

    changed: float = 0.015
    dropped: float = 0.01
    added: float = 0.01


UNCOUNTED = Channel(0.06, 0.03, 0.03)  # where nobody has counted what learners say


def said_for(said: Mapping[str, Mapping[str, float]], tokens: Sequence[str]) -> torch.Tensor:
    """The probability of each token in the place of each canonical one, (V, V); what ``said`` lacks is said as it is.

    Args:
        said: probabilities by canonical token and token.
        tokens: the vocabulary.
    """
    ids = {token: number for number, token in enumerate(tokens)}
    found = torch.eye(len(tokens), dtype=torch.double)
    for due in said.keys() & ids.keys():
        shares = {ids[token]: share for token, share in said[due].items() if token in ids}
        if total := sum(shares.values()):
            found[ids[due]] = 0.0
            found[ids[due], list(shares)] = torch.tensor(list(shares.values()), dtype=torch.double) / total
    return found


def with_errors(calls: torch.Tensor, errors: Sequence[float], error: int) -> torch.Tensor:
    """As ``calls`` (N, V), with these probabilities (N,) of the token ``error``: of errors that have no name, as most
    have in speechocean762 (757 of the 759 of its test half).
    """
    due = torch.tensor(errors, dtype=calls.dtype)[:, None]
    others = calls.clone()
    others[:, error] = 0.0
    others *= (1 - due) / others.sum(1, keepdim=True).clamp(min=1e-300)
    others[:, error] = 1 - others.sum(1)
    return others


def likelihoods(log_probs: torch.Tensor, called: Sequence[Sequence[int]]) -> torch.Tensor:
    """How well a CTC hears each of N token sequences, summed over all alignments.

    Args:
        log_probs: natural log probabilities of the frames of one utterance, (T', V), the blank first.
        called: ids of each sequence; it may be empty.

    Returns:
        Natural log likelihoods (N,); minus infinity where the frames are too few.
    """
    lengths = torch.tensor([len(ids) for ids in called])
    targets = torch.tensor([number for ids in called for number in ids])
    frames = torch.full_like(lengths, len(log_probs))
    each = log_probs[:, None].expand(-1, len(called), -1)
    return -torch.nn.functional.ctc_loss(each, targets.to(each.device), frames, lengths, reduction="none")


class Guide(BatchScorerInterface):
    """The prior of one utterance, in a decoder's place.

    Args:
        calls: the probability of each token in the place of each of N canonical ones, (N, V); the last is sos/eos.
        channel: what else may happen to them.
    """

    def __init__(self, calls: torch.Tensor, channel: Channel):
        self.calls, self.channel = calls, channel

    def steps(self, x: torch.Tensor) -> "GuideSteps":
        """The scorer of an utterance's search, on the device of ``x``."""
        return GuideSteps(self, x)


class Guidance:
    """What a guided search knows of words and of learners, from which it makes the guide of an utterance.

    Args:
        tokens: the surface's vocabulary.
        canonical: tokens of a meaning -> its words in the surface's tokens.
        said: for a canonical token, how probable each token is in its place; what it lacks is said as it is.
        errors: log probabilities (T', V) of the surface's CTC and words -> for each of their tokens, how probable
            it is that the annotation has an error there; empty where that is unknown.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        canonical: Callable[[list[str]], Words],
        said: Mapping[str, Mapping[str, float]] | None = None,
        errors: Callable[[torch.Tensor, Words], Sequence[float]] = lambda log_probs, words: (),
    ):
        self.canonical, self.said, self.errors = canonical, said or {}, errors
        self._numbers = {token: number for number, token in enumerate(tokens)}
        self._shares = said_for(self.said, tokens)
        self._channel = Channel() if said else UNCOUNTED

    def words(self, meaning: list[str]) -> Words:
        """The words that the tokens of a meaning call for, without what the vocabulary lacks."""
        words = self.canonical(meaning)
        return [known for word in words if (known := [token for token in word if token in self._numbers])]

    def ids(self, words: Words) -> list[int]:
        """The ids of all tokens of words."""
        return [self._numbers[token] for word in words for token in word]

    def guide(self, log_probs: torch.Tensor, words: Words) -> Guide:
        """The guide of an utterance with these words, whose surface has log probabilities (T', V) by its CTC."""
        calls = self._shares[self.ids(words)]
        if errors := self.errors(log_probs, words):
            calls = with_errors(calls, errors, self._numbers[ERROR])
        return Guide(calls, self._channel)


class GuideSteps:
    """Follows how many canonical tokens each hypothesis may have used: the forward algorithm.

    Attributes:
        used: probability of each number of them, given the hypothesis, (1, H, N + 1).
    """

    def __init__(self, guide: Guide, x: torch.Tensor):
        (number, size), self.channel = guide.calls.shape, guide.channel
        end = torch.nn.functional.one_hot(torch.tensor([size - 1]))
        self.calls = torch.cat([guide.calls, end]).to(x.device)  # (N + 1, V): of the next token
        places = torch.arange(number + 1, device=x.device)
        drops = places - places[:, None]  # (N + 1, N + 1)
        self.drops = torch.where(drops < 0, 0.0, self.channel.dropped ** drops.double())
        self.used = torch.zeros(1, 1, number + 1, dtype=torch.double, device=x.device)
        self.used[..., 0] = 1.0

    def _reached(self) -> torch.Tensor:
        """Probability of each number of used tokens when some more are dropped, (1, H, N + 1)."""
        reached = self.used @ self.drops
        reached[..., :-1] *= 1 - self.channel.dropped
        return reached

    def score(self, tokens: torch.Tensor) -> torch.Tensor:
        """See :class:`l2dual.models.scorers.Scorer`."""
        return self._next(self._reached()).log().float()

    def _next(self, reached: torch.Tensor) -> torch.Tensor:
        """Probability of each next token, (1, H, V)."""
        channel, size = self.channel, self.calls.size(1)
        any_token = reached.sum(2, keepdim=True) * channel.added
        any_token = any_token + reached[..., :-1].sum(2, keepdim=True) * channel.changed
        called = reached * (1 - channel.added)
        called[..., :-1] *= 1 - channel.changed / (1 - channel.added)
        probabilities = called @ self.calls
        probabilities[..., 1:-1] += any_token / (size - 2)
        return probabilities

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """See :class:`l2dual.models.scorers.Scorer`."""
        channel, share = self.channel, 1 / (self.calls.size(1) - 2)
        reached = self._reached().gather(1, parents[..., None].expand(-1, -1, self.used.size(2)))
        kept = self.calls[:, tokens].permute(1, 2, 0)[..., :-1]  # (1, H, N)
        passed = kept * (1 - channel.added - channel.changed) + channel.changed * share
        used = reached * channel.added * share
        used[..., 1:] += reached[..., :-1] * passed
        self.used = used / used.sum(2, keepdim=True).clamp(min=1e-300)

    def keep(self, rows: torch.Tensor) -> None:
        """One utterance is all there is."""
