"""Raters learn from what raters gave, and are kept without a pickle."""

import json

import numpy as np
import pytest

from l2dual.errors import DataError
from l2dual.inference.clues import Clues
from l2dual.inference.feedback import give_feedback
from l2dual.inference.rater import FACTS, FORMAT, WEIGHTS, Raters
from l2dual.inference.rater_training import Example, fit
from l2dual.inference.tips import Tips
from tests.inference.test_feedback import SINK, evidence

VOCABULARY = ["<blank>", "a", "b", "c"]
FACTS_OF_TWO = {
    "vocabulary": VOCABULARY, "words": ["accuracy", "total"], "whole": ["total"], "members": 2,
    "chance": [-6.0, 6.0],
}  # fmt: skip


def example(seed):
    """A text whose first clue says how well each phone was said."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    values = rng.normal(size=(n, 4)).astype(np.float32)
    words = np.sort(rng.integers(0, 3, n))
    words = np.unique(words, return_inverse=True)[1]
    phones = (values[:, 0] < 0.7).astype(np.float32)
    by_word = np.array([phones[words == word].mean() for word in np.unique(words)])
    found = Clues(rng.integers(1, 4, n), words, values)
    return Example(str(seed), found, phones, np.stack([by_word] * 2, 1), phones.mean(keepdims=True))


@pytest.fixture(scope="module")
def raters():
    training = [example(seed) for seed in range(300)]
    return Raters([fit(training, len(VOCABULARY), 0)] * 2, dict(FACTS_OF_TWO))


def test_raters_learn(raters):
    unseen = [example(seed) for seed in range(1000, 1100)]
    found = raters.rate([one.clues for one in unseen])
    for got, due in (
        ([one.phones for one in found], [one.phones for one in unseen]),
        ([one.words["total"] for one in found], [one.words[:, 1] for one in unseen]),
        ([[one.whole["total"]] for one in found], [one.whole for one in unseen]),
    ):
        assert np.corrcoef(np.concatenate(got), np.concatenate(due))[0, 1] > 0.65
    assert raters.chance(2.0) > 0.99 > 0.01 > raters.chance(0.0)


def test_a_text_alone_and_beside_a_longer_one(raters):
    one, other = example(1), example(2)
    alone, [beside, _] = raters.rate([one.clues])[0], raters.rate([one.clues, other.clues])
    assert np.allclose(alone.phones, beside.phones, atol=1e-5) and len(alone.phones) == len(one.phones)
    assert np.allclose(alone.words["total"], beside.words["total"], atol=1e-4)
    assert np.isclose(alone.whole["total"], beside.whole["total"], atol=1e-4)


def test_kept_and_read_again(raters, tmp_path):
    raters.save(tmp_path)
    again = Raters.load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FACTS, WEIGHTS]
    one = example(5).clues
    assert np.allclose(raters.rate([one])[0].phones, again.rate([one])[0].phones, atol=0.01)
    assert Raters.load(tmp_path / "none") is None


@pytest.mark.parametrize(
    "file, content",
    [
        (FACTS, b"{"),
        (FACTS, json.dumps(FACTS_OF_TWO | {"format": 99}).encode()),
        (FACTS, json.dumps(FACTS_OF_TWO | {"format": FORMAT, "members": 3}).encode()),
        (FACTS, json.dumps(FACTS_OF_TWO | {"format": FORMAT, "whole": []}).encode()),
        (WEIGHTS, b"\x80\x04cos\nsystem\n."),
        (WEIGHTS, b""),
    ],
)
def test_files_that_are_no_rater(raters, tmp_path, file, content):
    raters.save(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match="no rater of this version"):
        Raters.load(tmp_path)


class Strict(Raters):
    """Raters who call the second phone of every text wrong, and the rest right."""

    def __init__(self):
        self.facts = FACTS_OF_TWO

    def rate(self, texts):
        from l2dual.inference.rater import Ratings

        n = len(texts[0].phones)
        words = {"total": [9.0] * (texts[0].words[-1] + 1)}
        return [Ratings([0.5 if k == 1 else 2.0 for k in range(n)], words, {"accuracy": 8.0, "total": 7.0})]


def test_feedback_with_raters():
    from dataclasses import replace

    from l2dual.inference.shown import as_json, as_page, as_text

    tips = Tips("en")
    told = give_feedback(replace(evidence(*SINK), raters=Strict()), "I sink so", tips)
    wrong = [sound for word in told.words for sound in word.sounds if sound.verdict == "wrong"]
    assert [(sound.due, sound.said) for sound in wrong] == [("S", "<err>")]  # heard as it is due, and yet wrong
    assert told.ratings == {"accuracy": 8.0, "total": 7.0} and told.words[0].ratings == {"total": 9.0}
    assert "Raters might give, of 10: accuracy 8.0, total 7.0" in as_text(told, tips)
    assert ", rating 9.0 of 10" in as_text(told, tips)
    record = json.loads(as_json(told))
    assert record["ratings"]["total"] == 7.0 and record["wrong_below"] == 0.5 and record["unsure_below"] == 0.75
    heard = evidence(*SINK)
    page = as_page(told, tips, "en", heard.samples, heard.rate)
    assert "accuracy 8.0, total 7.0" in page and ", rating 9.0 of 10" in page
    other = give_feedback(replace(evidence(*SINK), raters=Strict()), "where does your father work", tips)
    assert other.ratings == {}
