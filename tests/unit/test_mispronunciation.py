import pytest

from l2dual.mispronunciation import (
    COUNTS,
    judge,
    mark,
    measure,
    names_errors,
    project,
    trivial,
)

THINK, SINK = "dh ih ng k", "s ih ng k"


def decide(canonical, surface, heard, own, unit):
    return judge(canonical, mark(canonical, surface, unit), heard, own, unit)


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
    ],
)
def test_decisions_against_a_given_prompt(heard, expected):
    assert decide(THINK, SINK, heard, None, "phone") == expected


def test_an_insertion_is_a_decision_where_someone_has_one():
    assert decide("a b", "a uh b", "a uh b", None, "phone") == counts(TA=2, TR=1, CD=1)
    assert decide("a b", "a uh b", "a b", None, "phone") == counts(TA=2, FA=1)


def test_an_unnamed_error_is_detected_but_not_diagnosed():
    found = decide(THINK, "<err> ih ng k", SINK, None, "phone")
    assert found == counts(TR=1, TA=3)
    assert measure("diagnosis_error_rate", found) is None and measure("recall", found) == 1
    assert names_errors(THINK, mark(THINK, SINK, "phone"), "phone")
    for surface in ("<err> ih ng k", "s <err> ng k"):  # beside it, s may be an inserted phone
        assert not names_errors(THINK, mark(THINK, surface, "phone"), "phone")
        found = decide(THINK, surface, SINK, None, "phone")
        assert found["CD"] == found["DE"] == 0 and found["TR"] == 1


@pytest.mark.parametrize(
    "heard, own, expected",
    [
        ("i sink so", "i think so", counts(TR=1, CD=1, TA=2)),
        ("i think so", "i think so", counts(FA=1, TA=2)),
        ("i sink so", "i sink so", counts(FA=1, TA=2)),  # another word, said right: no report
        ("i sink", "i think", counts(TR=1, CD=1, TA=2)),  # "so" is in neither: no report
        ("i sink so much", "i think so", counts(TR=1, CD=1, TA=2, FR=1)),
        ("i sink so mush", "i think so much", counts(TR=1, CD=1, TA=2, FR=1)),
        ("i sink so much", "i think so much", counts(TR=1, CD=1, TA=2)),
        ("oh i sink so", "i think so", counts(TR=1, CD=1, TA=2, FR=1)),
        ("", "", counts(FA=1, TA=2)),
    ],
)
def test_decisions_against_its_own_meaning(heard, own, expected):
    assert decide("i think so", "i sink so", heard, own, "word") == expected


def test_a_right_meaning_is_as_good_as_the_prompt():
    for unit in ("char", "word"):
        given = decide("i think so", "i sink so", "i zink sou", None, unit)
        assert decide("i think so", "i sink so", "i zink sou", "i think so", unit) == given
    marks = mark("i think so", "i sink so", "char")
    assert project("i think so", "i think so", marks, "char") == marks


def test_measures_and_trivial_answers():
    found = counts(TR=6, FA=4, FR=2, TA=88, CD=3, DE=1)
    expected = {"precision": 6 / 8, "recall": 0.6, "f1": 12 / 18, "false_acceptance_rate": 0.4}
    expected |= {"false_rejection_rate": 2 / 90, "diagnosis_error_rate": 1 / 4}
    assert {name: measure(name, found) for name in expected} == pytest.approx(expected)
    base = trivial(found)
    assert base["f1"] == {"all_correct": 0, "random": pytest.approx(0.1)}
    assert base["precision"]["all_correct"] is None
    assert base["precision"]["random"] == base["recall"]["random"] == pytest.approx(0.1)
    assert base["false_acceptance_rate"] == {"all_correct": 1, "random": pytest.approx(0.9)}
    assert base["false_rejection_rate"] == {"all_correct": 0, "random": pytest.approx(0.1)}
    assert base["diagnosis_error_rate"] == {"all_correct": None, "random": None}
