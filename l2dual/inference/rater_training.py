"""Train raters: small networks that learn from the clues of many texts what people gave to them."""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import DataError
from l2dual.inference.clues import Clues, clues
from l2dual.inference.rater import MOST, MOST_PHONE, Batch, Rater, Scores
from l2dual.models.dual import L2DualModel
from l2dual.scoring.agreement import WORD_SCORES

WHOLE_SCORES = ("accuracy", "completeness", "fluency", "prosodic", "total")
EPOCHS, TEXTS, RATE, DECAY = 10, 32, 2e-3, 0.01
SHARES = (1.0, 0.3, 0.2)  # of phones, words and the whole in the loss
MEMBERS = 3


class Example(NamedTuple):
    """A text that was said and what raters gave, as parts of the best score."""

    utterance: str
    clues: Clues
    phones: np.ndarray  # (n,)
    words: np.ndarray  # (W, scores of a word)
    whole: np.ndarray  # (scores of an utterance,)


def examples(model: L2DualModel, data: DataDir, step: float) -> Iterator[Example]:
    """The utterances of a data directory, but for those with a phone that the model does not know, or too
    many of them for their frames.

    Args:
        model: with a CTC on a surface in phones.
        data: with ``utt2scores``, as speechocean762 has it.
        step: seconds between frames of the encoder.

    Raises:
        DataError: no scores, or they do not fit the phones.
    """
    if "utt2scores" not in data.tables:
        raise DataError(f"{data.path}: has no utt2scores: raters' marks are needed (docs/rating.md)")
    vocabulary = model.token_lists["surface"]
    ctc: Any = model.ctcs["surface"]
    with torch.inference_mode():
        for utterances, speech, lengths in batches(data, 8):
            read, frames = model.encode(speech, lengths).of("surface")
            for name, log_probs, length in zip(utterances, ctc.log_softmax(read), frames.tolist(), strict=True):
                scores = json.loads(data["utt2scores"][name])
                due = _by_word(data["text.canonical"][name].split(), scores["phones"], f"{data.path}, {name}")
                try:
                    found = clues(log_probs[:length].numpy(), vocabulary, due, step)
                except DataError as error:
                    logging.warning("%s, %s: left out: %s", data.path, name, error)
                    continue
                yield Example(name, found, *_parts(scores))


def word_scores(data: DataDir) -> list[str]:
    """Names of the scores that words have."""
    first = json.loads(next(iter(data["utt2scores"].values())))
    return [name for name, key in WORD_SCORES.items() if key in first]


def _by_word(phones: list[str], marks: list[list[float]], where: str) -> list[list[str]]:
    if sum(map(len, marks)) != len(phones):
        raise DataError(f"{where}: {len(phones)} canonical phones and {sum(map(len, marks))} marks: run stage 1 again")
    left = iter(phones)
    return [[next(left) for _ in word] for word in marks]


def _parts(scores: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    phones = np.array([mark for word in scores["phones"] for mark in word]) / MOST_PHONE
    words = np.stack([scores[key] for key in WORD_SCORES.values() if key in scores], axis=1) / MOST
    whole = np.array([scores[name] for name in WHOLE_SCORES]) / MOST
    return phones.astype(np.float32), words.astype(np.float32), whole.astype(np.float32)


def fit(training: Sequence[Example], vocabulary: int, seed: int) -> Rater:
    """Train one network on the squared errors of all scores, each in parts of its variance."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    by_length = sorted(training, key=lambda one: len(one.phones))
    groups = [by_length[start : start + TEXTS] for start in range(0, len(by_length), TEXTS)]
    inputs = [Batch.of([one.clues for one in group]) for group in groups]
    targets = [_targets(group) for group in groups]
    rater = Rater(vocabulary, inputs[0].values.size(2), training[0].words.shape[1], len(training[0].whole))
    variances = _normalize(rater, training)
    optimizer = torch.optim.AdamW(rater.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * len(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=max(0.1, 2 / steps))
    rater.train()
    for _ in range(EPOCHS):
        for number in rng.permutation(len(groups)):
            loss = _loss(rater(inputs[number]), targets[number], inputs[number], variances)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(rater.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return rater.eval()


def _targets(group: Sequence[Example]) -> Scores:
    phones, words = (pad_sequence([torch.from_numpy(one[at]) for one in group], True) for at in (2, 3))
    return Scores(phones, words, torch.stack([torch.from_numpy(one.whole) for one in group]))


def _normalize(rater: Rater, training: Sequence[Example]) -> Scores:
    """Let a network start at the means of the clues and of the scores; return the scores' variances."""
    values = np.concatenate([one.clues.values for one in training])
    rater.mean.copy_(torch.from_numpy(values.mean(0)))
    rater.deviation.copy_(torch.from_numpy(values.std(0) + 1e-3))
    scores = [torch.from_numpy(np.concatenate([np.atleast_1d(one[at]) for one in training])) for at in (2, 3)]
    scores.append(torch.from_numpy(np.stack([one.whole for one in training])))
    heads = (rater.phone, rater.word[-1], rater.whole[-1])
    for head, some in zip(heads, scores, strict=True):
        head.bias.data = some.mean(0, keepdim=some.dim() == 1)
    return Scores(*(some.var(0) + 1e-4 for some in scores))


def _loss(found: Scores, due: Scores, batch: Batch, variances: Scores) -> torch.Tensor:
    inside = batch.words >= 0  # (B, N)
    number = torch.arange(due.words.size(1))  # of the word
    there = number < batch.words.amax(1, keepdim=True) + 1  # (B, W)
    phones = ((found.phones - due.phones) ** 2)[inside].mean() / variances.phones
    words = (((found.words - due.words) ** 2)[there] / variances.words).mean()
    whole = (((found.whole - due.whole) ** 2) / variances.whole).mean()
    return SHARES[0] * phones + SHARES[1] * words + SHARES[2] * whole
