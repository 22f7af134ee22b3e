import pytest

from l2dual.scoring.mispronunciation import COUNTS, Marks, count_decisions, mark, names_errors

THINK, SINK = "dh ih ng k", "s ih ng k"


def decide(canonical, surface, heard, unit="phone"):
    return count_decisions(canonical, mark(canonical, surface, unit), mark(canonical, heard, unit), unit)


def counts(**some):
    return dict.fromkeys(COUNTS, 0) | some


def test_marks_say_what_stands_for_each_token():
    marks = mark("a b c", "x a c y z", "phone")
    assert marks.said == [("a",), (), ("c",)]
    assert marks.inserted == [("x",), (), (), ("y", "z")]


@pytest.mark.parametrize(
    "heard, expected",
    [
        (SINK, counts(TR=1, CD=1, TA=3)),  # found, and named
        ("t ih ng k", counts(TR=1, DE=1, TA=3)),  # found, misnamed
        (THINK, counts(FA=1, TA=3)),  # missed
        ("dh ih n k", counts(FA=1, FR=1, TA=2)),  # missed, and a false alarm
        ("s ih ng k uh", counts(TR=1, CD=1, TA=3, FR=1)),  # an insertion that was not there
        ("ih ng k", counts(TR=1, DE=1, TA=3)),
        ("", counts(TR=1, DE=1, FR=3)),
    ],
)
def test_decisions_against_the_reference_prompt(heard, expected):
    assert decide(THINK, SINK, heard) == expected


def test_an_insertion_is_a_decision_where_someone_has_one():
    assert decide("a b", "a uh b", "a uh b") == counts(TA=2, TR=1, CD=1)
    assert decide("a b", "a uh b", "a b") == counts(TA=2, FA=1)


def test_an_unnamed_error_is_detected_but_not_diagnosed():
    assert decide(THINK, "<err> ih ng k", SINK) == counts(TR=1, TA=3)
    assert names_errors(THINK, mark(THINK, SINK, "phone"), "phone")
    for surface in ("<err> ih ng k", "s <err> ng k"):  # beside it, s may be an inserted phone
        assert not names_errors(THINK, mark(THINK, surface, "phone"), "phone")
        found = decide(THINK, surface, SINK)
        assert found["CD"] == found["DE"] == 0 and found["TR"] == 1
    inserted = "dh <err> ih ng k"
    assert not names_errors(THINK, mark(THINK, inserted, "phone"), "phone")
    assert decide(THINK, inserted, inserted) == counts(TR=1, TA=4)


def test_an_annotation_names_errors_where_it_says_what_was_said_instead():
    for surface, named in (("ab", False), ("a", False), ("axb", False), ("ax", True), ("xb", True)):
        assert names_errors("ab", mark("ab", surface, "char"), "char") is named


def test_every_decision_is_counted():
    assert decide("abcd", "axyd", "axyd", "char") == counts(TA=2, TR=2, CD=2)
    assert decide("abcd", "axyd", "avwd", "char") == counts(TA=2, TR=2, DE=2)
    assert decide("abcd", "axyd", "abcd", "char") == counts(TA=2, FA=2)
    assert decide("abcd", "abcd", "axyd", "char") == counts(TA=2, FR=2)


def test_marks_of_another_prompt_are_refused():
    truth, fewer = mark("a b", "a x", "phone"), Marks([("a",), ("b",)], [()])
    for canonical, system in (("a b c", truth), ("a b", mark("a", "a", "phone")), ("a b", fewer)):
        with pytest.raises(ValueError, match="zip"):
            count_decisions(canonical, truth, system, "phone")
    with pytest.raises(ValueError, match="zip"):
        names_errors("a", mark("a b", "a b", "phone"), "phone")
