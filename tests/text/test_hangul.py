import unicodedata

import pytest

from l2dual.errors import DataError
from l2dual.text.hangul import LAST, Syllable, compose, decompose, has_coda, with_coda


def test_every_syllable_survives_the_round_trip_and_agrees_with_unicode():
    for code in range(ord("가"), ord(LAST) + 1):
        syllable = decompose(chr(code))
        assert compose(syllable) == chr(code)
        n_letters = len(unicodedata.normalize("NFD", chr(code)))
        assert n_letters == 2 + (syllable.coda != "")


@pytest.mark.parametrize(
    "character, letters",
    [
        ("가", ("ㄱ", "ㅏ", "")),
        ("힣", ("ㅎ", "ㅣ", "ㅎ")),
        ("아", ("", "ㅏ", "")),
        ("값", ("ㄱ", "ㅏ", "ㅄ")),
        ("쯧", ("ㅉ", "ㅡ", "ㅅ")),
        ("의", ("", "ㅢ", "")),
        ("않", ("", "ㅏ", "ㄶ")),
    ],
)
def test_letters(character, letters):
    assert decompose(character) == Syllable(*letters)


@pytest.mark.parametrize("text", ["a", "ㄱ", " ", "", "가나", unicodedata.normalize("NFD", "각")])
def test_anything_else_is_an_error(text):
    with pytest.raises(DataError, match="not a Hangul syllable"):
        decompose(text)


def test_coda():
    assert has_coda("밥") and has_coda("지하철") and not has_coda("커피")
    assert with_coda("먹어가", "ㅆ") == "먹어갔"
    assert with_coda("서울", "") == "서우"
