"""Clues of a text, by lattices whose answers are known."""

import numpy as np
import pytest

from l2dual.errors import DataError
from l2dual.inference.clues import clues, occupied
from l2dual.inference.pronunciation import judge
from l2dual.inference.timing import Clock
from l2dual.text.phones import PHONES
from tests.inference.test_feedback import spoken

VOCABULARY = ["<blank>", "<unk>", *sorted(PHONES), "<err>", "<sos/eos>"]
DUE = [["AY"], ["TH", "IH", "NG", "K"]]
FLAT = "AY TH IH NG K".split()


def test_goodness_is_the_first_clue():
    log_probs = spoken("AY S IH NG K".split(), VOCABULARY, sure=0.9)
    found = clues(log_probs, VOCABULARY, DUE, 0.04)
    judged = judge(log_probs, VOCABULARY, FLAT, Clock(0.04, 0.0), 1.0)
    assert np.allclose(1 / (1 + np.exp(found.values[:, 0])), [token.score for token in judged.tokens], atol=1e-6)
    assert found.values.shape == (5, 15 + 2 * len(VOCABULARY)) and found.values[:, 0].argmax() == 1
    assert found.words.tolist() == [0, 1, 1, 1, 1]
    assert found.phones.tolist() == [VOCABULARY.index(phone) for phone in FLAT]


def test_places_in_time():
    log_probs = spoken("AY TH IH NG K".split(), VOCABULARY)
    found = clues(log_probs, VOCABULARY, DUE, 0.04)
    assert np.allclose(np.expm1(found.values[1:-1, 8:10]) / 25, 3 * 0.04, atol=1e-3)  # seconds to both neighbours
    assert found.values[:, 12:14].tolist() == [[0, 0], [0, 3], [1, 2], [2, 1], [3, 0]]


def test_a_phone_is_somewhere():
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet(np.ones(4), size=7))
    found = clues(log_probs, ["<blank>", "a", "b", "<sos/eos>"], [["a", "b"]], 0.04)
    whole = occupied(log_probs, [1, 2], float(found.values[0, 14]) * 2)
    assert whole.shape == (7, 2) and (whole.sum(0) >= 1 - 1e-5).all() and (whole.sum(1) <= 1 + 1e-5).all()


def test_a_text_that_does_not_fit():
    with pytest.raises(DataError, match="the prompt is too long for the recording"):
        clues(np.log(np.full((2, 3), 1 / 3)), ["<blank>", "a", "b"], [["a", "b", "a"]], 0.04)
