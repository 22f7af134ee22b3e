#!/usr/bin/env python3
"""How well goodness of pronunciation agrees with speechocean762's raters: docs/feedback.md.

    tools/goodness.py --exp exp/speechocean762/do_ctconly.seed1 --data dump/TAG/cached_NAME

DATA has `valid`, on which the logistic and the threshold are fitted, and `test`. An error is a phone
whose mean mark is 1 of 2 or less.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import run
from l2dual.inference.feedback import WRONG_BELOW
from l2dual.inference.pronunciation import judge
from l2dual.inference.timing import Clock
from l2dual.models.dual import L2DualModel
from l2dual.training.load import load_model

RIGHT = 1.0  # a mean mark above it
DRAWS = 2000


class Phones(NamedTuple):
    """Of each canonical phone, all (N,)."""

    goodness: np.ndarray  # natural logarithm
    marks: np.ndarray
    speakers: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Whether it is one."""
        return self.marks <= RIGHT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    model = load_model(args.exp)
    valid, test = (phones(model, DataDir.load(args.data / split)) for split in ("valid", "test"))
    fitted = LogisticRegression(C=1e4).fit(valid.goodness[:, None], ~valid.errors)
    constant, slope = fitted.intercept_[0], fitted.coef_[0, 0]
    limit = max(np.quantile(valid.goodness, np.linspace(0.002, 0.3, 150)), key=lambda g: f1(valid, valid.goodness < g))
    print(f"chance = logistic({constant:.3f} + {slope:.3f} ln g); best threshold g < {np.exp(limit):.4f}")
    for name, some in (("valid", valid), ("test", test)):
        called = expit(constant + slope * some.goodness) < WRONG_BELOW
        print(f"{name}: {len(some.marks)} phones, {some.errors.sum()} errors, {called.sum()} called errors")
        for measure, of in measures(some, called, limit).items():
            print(f"  {measure:28} {of(slice(None)):.3f} {interval(of, some.speakers)}")


def phones(model: L2DualModel, data: DataDir) -> Phones:
    """Judge every canonical phone of a data directory."""
    rows = [row for utt, log_probs in posteriors(model, data) for row in judged(model, data, utt, log_probs)]
    return Phones(*(np.array(column) for column in zip(*rows, strict=True)))


def posteriors(model: L2DualModel, data: DataDir) -> Iterator[tuple[str, np.ndarray]]:
    """The surface's log probabilities (T', V) of each utterance."""
    with torch.inference_mode():
        for utts, speech, lengths in batches(data, 8):
            states, frames = model.encode(speech, lengths).of("surface")
            yield from zip(utts, map(cut, model.ctcs["surface"].log_softmax(states), frames), strict=True)


def cut(log_probs: torch.Tensor, frames: torch.Tensor) -> np.ndarray:
    return log_probs[: int(frames)].numpy()


def judged(model: L2DualModel, data: DataDir, utt: str, log_probs: np.ndarray) -> Iterator[tuple[float, float, str]]:
    """Goodness, mark and speaker of each phone."""
    marks = [mark for word in json.loads(data["utt2scores"][utt])["phones"] for mark in word]
    due = data["text.canonical"][utt].split()
    found = judge(log_probs, model.token_lists["surface"], due, Clock(1.0, 0.0), len(log_probs))
    for token, mark in zip(found.tokens, marks, strict=True):
        yield float(np.log(max(token.score, 1e-12))), mark, data["utt2spk"][utt]


def measures(some: Phones, called: np.ndarray, limit: float) -> dict:
    """What is printed, each a function of the phones that are taken."""
    errors, found = some.errors, some.errors & called
    return {
        "PCC of ln g and mark": lambda take: np.corrcoef(some.goodness[take], some.marks[take])[0, 1],
        "F1, best threshold of valid": lambda take: f1(Phones(*(x[take] for x in some)), some.goodness[take] < limit),
        "precision, called": lambda take: found[take].sum() / max(1, called[take].sum()),
        "recall, called": lambda take: found[take].sum() / max(1, errors[take].sum()),
        "called, of the right": lambda take: (called & ~errors)[take].sum() / (~errors)[take].sum(),
    }


def f1(some: Phones, called: np.ndarray) -> float:
    return 2 * (some.errors & called).sum() / max(1, some.errors.sum() + called.sum())


def interval(of, speakers: np.ndarray) -> np.ndarray:
    """95 %, by a bootstrap over speakers."""
    rng, groups = np.random.default_rng(0), [np.flatnonzero(speakers == one) for one in np.unique(speakers)]
    draws = (rng.integers(len(groups), size=len(groups)) for _ in range(DRAWS))
    return np.percentile([of(np.concatenate([groups[i] for i in draw])) for draw in draws], [2.5, 97.5]).round(3)


if __name__ == "__main__":
    run(main)
