"""Goodness of pronunciation: against sums over all paths, and on made-up recordings."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2dual.errors import DataError
from l2dual.inference.pronunciation import alternatives, judge, log_likelihood
from l2dual.inference.timing import Clock

VOCABULARY = ["<blank>", "<unk>", "S", "TH", "IH", "<err>", "<sos/eos>"]
CLOCK = Clock(0.04, 0.0)


def random_ctc(n_frames, size, seed):
    logits = np.random.default_rng(seed).normal(scale=2, size=(n_frames, size))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def brute_force(log_probs):
    """Log likelihood of every text, by all V^T' paths."""
    total = {}
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = tuple(token for token, _ in groupby(path) if token != 0)
        score = log_probs[np.arange(len(path)), path].sum()
        total[text] = np.logaddexp(total.get(text, -np.inf), score)
    return total


@settings(max_examples=60)
@given(st.integers(1, 5), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 99))
def test_likelihoods_are_sums_over_all_paths(n_frames, ids, seed):
    log_probs = random_ctc(n_frames, 4, seed)
    texts = brute_force(log_probs)

    def of(text):
        return texts.get(tuple(text), -np.inf)

    assert np.isclose(log_likelihood(log_probs, ids), of(ids))
    if of(ids) == -np.inf:
        with pytest.raises(DataError, match=f"{len(ids)} sounds in {n_frames} frames"):
            alternatives(log_probs, ids)
        return
    found = alternatives(log_probs, ids)
    assert np.isclose(found.due, of(ids))
    for i in range(len(ids) + 1):
        for v in (1, 2, 3):
            assert np.isclose(found.put_in[i, v], of([*ids[:i], v, *ids[i:]]))
            if i < len(ids):
                assert np.isclose(found.replaced[i, v], of([*ids[:i], v, *ids[i + 1 :]]))
        if i < len(ids):
            assert np.isclose(found.left_out[i], of([*ids[:i], *ids[i + 1 :]]))


def spoken(path, sure=0.9):
    """A CTC that emits the tokens of ``path``, one a frame, each with probability ``sure``."""
    probs = np.full((len(path), len(VOCABULARY)), (1 - sure) / (len(VOCABULARY) - 1))
    for frame, token in enumerate(path):
        probs[frame, VOCABULARY.index(token) if token else 0] = sure
    return np.log(probs)


def test_what_was_said_instead_is_found_with_its_time():
    found = judge(spoken(["", "S", "", "", "IH", "", "S", ""]), VOCABULARY, ["TH", "IH", "S"], CLOCK, 9.0)
    first, second, third = found.tokens
    assert (first.due, first.said) == ("TH", "S") and first.score < 0.1
    assert second.score > 0.9 and third.score > 0.9
    assert first.start <= 0.04 and 0.08 <= first.end <= second.start <= 0.16 < second.end <= 0.24
    assert found.gaps[2].score > 0.5 and found.gaps[3].score > 0.5


def test_a_token_left_out_and_one_put_in():
    left_out = judge(spoken(["", "IH", "", "", "S", ""]), VOCABULARY, ["TH", "IH", "S"], CLOCK, 9.0)
    assert left_out.tokens[0].said == "" and left_out.tokens[0].score < 0.1
    put_in = judge(spoken(["", "S", "", "IH", "", "TH", "", ""], 0.97), VOCABULARY, ["S", "TH"], CLOCK, 9.0)
    assert (put_in.gaps[1].said, put_in.gaps[1].score < 0.1) == ("IH", True)
    assert min(put_in.gaps[0].score, put_in.gaps[2].score) > 0.4 and min(t.score for t in put_in.tokens) > 0.4


def test_symbols_are_no_alternatives_but_an_unnamed_sound_is():
    sure = spoken(["", "<unk>", "", "IH", ""])
    assert judge(sure, VOCABULARY, ["TH", "IH"], CLOCK, 9.0).tokens[0].said in ("", "S", "<err>")
    assert judge(spoken(["", "<err>", "", "IH"]), VOCABULARY, ["TH", "IH"], CLOCK, 9.0).tokens[0].said == "<err>"


@pytest.mark.parametrize("due, why", [([], "it says nothing"), (["TH", "ㄱ"], "does not know ㄱ")])
def test_a_prompt_that_cannot_be_scored(due, why):
    with pytest.raises(DataError, match=why):
        judge(spoken(["", "S"]), VOCABULARY, due, CLOCK, 9.0)
