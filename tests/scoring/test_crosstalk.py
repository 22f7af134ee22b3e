"""Golden cases of where the learner's tokens are, and of what is counted there."""

import pytest

from l2dual.scoring.crosstalk import COUNTS, Mark, meaning_marks, surface_marks, tally
from l2dual.text.units import align


def learners(marks):
    return [index for index, mark in enumerate(marks) if mark.learner]


def count(marks, reference, hypothesis, unit="char"):
    return tuple(tally(marks, align(reference, hypothesis, unit)).values())


def test_learners_tokens_of_both_outputs():
    # think said as sink: t deleted, h for s
    surface = surface_marks("i think", "i sink", "char")
    meaning = meaning_marks("i think", "i think", "i sink", "char")
    assert learners(surface) == [2] and learners(meaning) == [2, 3]
    assert [surface[2].other, *(meaning[i].other for i in (2, 3))] in (["h", None, "s"], ["t", "s", None])
    # an inserted vowel is a learner's token of the surface alone, without one to replace it
    assert surface_marks("pen", "penu", "char")[3] == Mark(True, None)
    assert learners(meaning_marks("pen", "pen", "penu", "char")) == []
    # a deleted one of the meaning alone
    assert learners(surface_marks("hand", "han", "char")) == []
    assert meaning_marks("hand", "hand", "han", "char")[3] == Mark(True, None)
    assert surface_marks("", "", "char") == [] == meaning_marks("", "", "", "char")


def test_native_rules_are_no_learners_tokens():
    """같이 is said 가치; 가지 is the learner's."""
    assert learners(meaning_marks("같이", "가치", "가치", "char")) == []
    assert learners(meaning_marks("같이", "가치", "가지", "char")) == [1]
    assert learners(surface_marks("가치", "가지", "char")) == [1]
    # 닭이 has two syllables as 달기; of 값 하나, canonical 가파나, one token has no counterpart
    marks = meaning_marks("값 하나", "가파나", "가바나", "char")
    assert len(marks) == 4 and len(learners(marks)) == 1


# reference said "i sink so" for "i think so", word by word: (hypothesis, counts)
CASES = [
    ("i sink so", (1, 0, 1, 0)),  # right
    ("i think so", (1, 1, 1, 1)),  # the meaning's word: an intrusion
    ("i zinc so", (1, 1, 1, 0)),  # another word
    ("i so", (1, 1, 1, 0)),  # deleted
    ("you sink so", (1, 0, 1, 0)),  # an error at another token
    ("i sink well so", (1, 0, 1, 0)),  # an insertion beside it belongs to no token
    ("i really sink so", (1, 0, 1, 0)),
    ("", (1, 1, 1, 0)),
]


@pytest.mark.parametrize("hypothesis, expected", CASES)
def test_what_is_counted_in_the_surface(hypothesis, expected):
    marks = surface_marks("i think so", "i sink so", "word")
    assert count(marks, "i sink so", hypothesis, "word") == expected


def test_what_is_counted_in_the_meaning():
    marks = meaning_marks("i think so", "i think so", "i sink so", "word")
    assert count(marks, "i think so", "i think so", "word") == (1, 0, 1, 0)
    assert count(marks, "i think so", "i sink so", "word") == (1, 1, 1, 1)
    assert count(marks, "i think so", "i drink so", "word") == (1, 1, 1, 0)


def test_a_token_without_another_is_never_an_intrusion():
    inserted = surface_marks("pen", "penu", "char")
    assert count(inserted, "penu", "pen") == (1, 1, 0, 0)
    deleted = meaning_marks("hand", "hand", "han", "char")
    assert count(deleted, "hand", "han") == (1, 1, 0, 0)
    # what the learner said is, by a native rule, how the word is spelled: no intrusion
    spelled = meaning_marks("국물", "궁물", "국물", "char")
    assert count(spelled, "국물", "국물") == (1, 0, 0, 0)


def test_without_a_learners_error_nothing_is_counted():
    marks = surface_marks("i think", "i think", "char")
    assert count(marks, "i think", "xyz") == (0,) * len(COUNTS)


def test_every_learners_token_is_counted():
    marks = surface_marks("th r th", "s r s", "phone")
    assert count(marks, "s r s", "s r s", "phone") == (2, 0, 2, 0)
    assert count(marks, "s r s", "th r th", "phone") == (2, 2, 2, 2)
    assert count(marks, "s r s", "th r s", "phone") == (2, 1, 2, 1)


def test_marks_of_another_text_are_refused():
    with pytest.raises(ValueError, match="zip"):
        tally(surface_marks("pen", "pen", "char"), align("penu", "penu", "char"))
