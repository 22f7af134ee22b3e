"""Where what was said is not what was due."""

import pytest

from l2dual.inference.differences import differences, due_of, steps, unit_of
from l2dual.inference.joining import chained, joined
from l2dual.inference.result import Difference, Step, Token, Transcription
from l2dual.text.lexicon import Lexicon


def said(texts):
    return [Token(text, float(i), i + 1.0, 0.9) for i, text in enumerate(texts)]


def found(due, texts, unit="char"):
    return [
        (one.surface, one.meaning, one.start, one.end)
        for one in differences(steps(due, said(texts), unit), said(texts), unit)
    ]


def test_runs_of_letters_are_one_difference():
    assert found("i think so", "i sink so") == [("s", "th", 2, 3)]
    assert found("we will", "we will") == []
    assert found("교실에서", "교실에소") == [("소", "서", 3, 4)]


def test_what_is_missing_is_between_its_neighbours():
    due = [Token("w", 0.0, 0.1, 1.0), Token("s", 0.3, 0.4, 1.0)]
    [one] = differences(steps("wes", due, "char"), due, "char")
    assert one == Difference("", "e", 0.1, 0.3)
    assert found("ab", "b") == [("", "a", 0, 0)]
    assert found("ab", "a") == [("", "b", 1, 1)]
    assert found("ab", "") == [("", "ab", None, None)]


def test_spaces_do_not_count():
    assert found("a b", "ab") == [] == found("ab", "a b")


def test_phones_are_set_beside_the_nearest_pronunciation():
    due = due_of("the think", "DH AH S IH NG K", "en", "pronounced", Lexicon())
    assert due == "DH AH TH IH NG K"
    assert found(due, "DH AH S IH NG K".split(), "phone") == [("S", "TH", 2, 3)]
    assert found("DH AH", "D".split(), "phone") == [("D", "DH AH", 0, 1)]


def test_korean_as_pronounced_is_set_beside_the_standard():
    assert due_of("같이 먹어요", "가티 머거요", "ko", "pronounced", Lexicon()) == "가치 머거요"
    assert due_of("같이 漢", "가치", "ko", "pronounced", Lexicon()) is None
    assert due_of("같이", "가치", "ko", "heard", Lexicon()) == "같이"


@pytest.mark.parametrize("language, convention", [("en", "heard"), ("ko", "heard"), ("ko", "pronounced")])
def test_units(language, convention):
    assert unit_of(language, convention) == "char"
    assert unit_of("en", "pronounced") == "phone"


def test_pieces_are_joined_with_spaces():
    one = Transcription("ab", -1.0, tuple(said("ab")), (("ab", -1.0), ("a", -2.0)))
    nothing = Transcription("", 0.0, (), ())
    whole = joined([one, nothing, one], False)
    assert whole.text == "ab ab" == "".join(token.text for token in whole.tokens)
    assert whole.score == -2.0 and whole.nbest == (("ab ab", -2.0),)
    assert [token.text for token in joined([one, one], True).tokens] == ["a", "b", "a", "b"]
    assert joined([nothing, one], False) is one and joined([], False) == joined([nothing], False) == nothing
    parts = [([Step("a", "a", 0), Step("b", "b", 1)], 2), ([], 0), ([Step("a", "a", 0)], 1)]
    assert [step.token for step in chained(parts, False)] == [0, 1, 2, 3]
    assert [step.token for step in chained(parts, True)] == [0, 1, 2]
