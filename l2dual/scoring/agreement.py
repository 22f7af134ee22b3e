"""How well a machine's scores of pronunciation agree with those of raters.

Agreement of scores is Pearson's correlation (PCC). Of errors it is that of `l2dual.scoring.measures`:
a phone is an error to the raters where their mean mark is 1 of 2 or less (or below .5, as the
corpus's own annotation has it), to the machine where its score makes an error more likely than
none, by a logistic that was fitted on the development set. Values are means over the seeds of a
system. Their 95 % intervals are percentiles of a bootstrap over speakers, which draws the same
speakers for all seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from l2dual.data.datadir import MIN_CLUSTERS
from l2dual.scoring.measures import DETECTION

ERROR = 1.0  # a mean mark of this or less, of 2
MARKED = 0.5  # a mean mark below it is an error to the corpus's annotation
DRAWS = 2000
WHISPER = "Whisper as it comes"  # the baseline, by name
WORD_SCORES = {"accuracy": "words", "stress": "word_stress", "total": "word_total"}  # names in utt2scores
COUNTS = ("TR", "FA", "FR", "TA")
SHOWN = ("precision", "recall", "f1", "false_acceptance_rate", "false_rejection_rate")
Of = Callable[[np.ndarray], np.ndarray]  # sums (..., K) -> values (...)


class Judged(NamedTuple):
    """One kind of score of one machine: of all phones, of all words, or of all utterances."""

    machine: np.ndarray  # (N,)
    raters: np.ndarray  # (N,)
    speakers: np.ndarray  # (N,)


@dataclass(frozen=True)
class Agreement:
    """A value, its interval, and the value of each seed; None where there is nothing to divide by.

    There is no interval with fewer than MIN_CLUSTERS speakers.
    """

    value: float | None
    interval: tuple[float, float] | None
    each: tuple[float | None, ...]  # by seed


def correlation(seeds: Sequence[Judged]) -> Agreement:
    """PCC of scores, over the seeds of a system."""
    return _agreement([_pairs(one) for one in seeds], _pcc)


def detection(seeds: Sequence[Judged], limits: Sequence[float], marked: bool = False) -> dict[str, Agreement]:
    """Precision, recall, F1, false acceptance and rejection of errors, by a limit for each seed.

    Args:
        seeds: scores of phones.
        limits: a machine's score below it is an error.
        marked: whether an error is what the corpus's annotation has.
    """
    counts = [_counts(one, limit, marked) for one, limit in zip(seeds, limits, strict=True)]
    return {name: _agreement(counts, _ratio(name)) for name in SHOWN}


def error_rates(errors: np.ndarray, sizes: np.ndarray, speakers: np.ndarray) -> Agreement:
    """Errors by tokens, of seeds and utterances (S, U), with the same interval; sizes (U,) in tokens."""
    return _agreement([(speakers, np.stack([seed, sizes], axis=1)) for seed in errors], _per_token)


def limit_of(chance: Sequence[float]) -> float:
    """The score below which a phone is more likely wrong than right.

    Args:
        chance: constant and slope of the logistic from a score to the chance that raters call a phone right.
    """
    constant, slope = chance
    if slope > 0:
        return -constant / slope
    return np.inf if constant < 0 else -np.inf  # the score tells nothing


def written(one: Mapping, times: float, decimals: int) -> tuple[str, str]:
    """Value and interval of a record of `Agreement`, as text; a dash where there is none."""
    if one["value"] is None:
        return "–", ""
    number = f"{{:.{decimals}f}}".format
    ends = ", ".join(number(times * end) for end in one["interval"] or ())
    return number(times * one["value"]).replace("-", "−"), f"[{ends}]".replace("-", "−") if ends else ""


def is_error(marks: np.ndarray, marked: bool = False) -> np.ndarray:
    """Whether phones with these mean marks are errors."""
    return marks < MARKED if marked else marks <= ERROR


def _pairs(scored: Judged) -> tuple[np.ndarray, np.ndarray]:
    x, y = scored.machine - scored.machine.mean(), scored.raters - scored.raters.mean()
    return scored.speakers, np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _counts(scored: Judged, limit: float, marked: bool) -> tuple[np.ndarray, np.ndarray]:
    wrong, called = is_error(scored.raters, marked), scored.machine < limit
    both = [wrong & called, wrong & ~called, ~wrong & called, ~wrong & ~called]
    return scored.speakers, np.stack(both, axis=1).astype(float)


def _pcc(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.sqrt((n * xx - x * x).clip(0.0) * (n * yy - y * y).clip(0.0))
    return np.divide(n * xy - x * y, spread, out=np.full_like(n, np.nan), where=spread > 0)


def _per_token(sums: np.ndarray) -> np.ndarray:
    errors, sizes = np.moveaxis(sums.astype(float), -1, 0)
    return np.divide(errors, sizes, out=np.full_like(errors, np.nan), where=sizes > 0)


def _ratio(name: str) -> Of:
    def of(sums: np.ndarray) -> np.ndarray:
        above, below = (sum(weight * sums[..., COUNTS.index(count)] for count, weight in weights.items())
                        for weights in DETECTION[name])  # fmt: skip
        return np.divide(above, below, out=np.full_like(np.asarray(below, float), np.nan), where=np.asarray(below) > 0)

    return of


def _agreement(seeds: Sequence[tuple[np.ndarray, np.ndarray]], of: Of) -> Agreement:
    """A value of summed terms (N, K), given the speaker of each, and its interval."""
    names, first = np.unique(seeds[0][0], return_inverse=True)
    by_speaker = np.zeros((len(seeds), len(names), seeds[0][1].shape[1]))
    for sums, (_, terms) in zip(by_speaker, seeds, strict=True):
        np.add.at(sums, first, terms)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    each = tuple(None if np.isnan(value) else float(value) for value in of(by_speaker.sum(1)))
    known = [value for value in each if value is not None]
    if len(known) < len(each):
        return Agreement(None, None, each)
    replicates = of(np.einsum("ds,rsk->rdk", drawn, by_speaker)).mean(0)
    interval = None
    if len(names) >= MIN_CLUSTERS:
        low, high = np.nanpercentile(replicates, [2.5, 97.5])
        interval = float(low), float(high)
    return Agreement(float(np.mean(known)), interval, each)
