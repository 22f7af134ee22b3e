"""Texts without punctuation, in lower case."""

import pytest

from l2dual.text.cleaning import plain, spoken


@pytest.mark.parametrize(
    "written, expected",
    [
        ("Don’t, don`t!", "don't don't"),
        ("It costs 1,000 won, or 3.5 %.", "it costs 1000 won or 3.5 %"),
        ("1,2,3", "1 2 3"),
        ("pro\u00adnounce", "pronounce"),
        ("“학교에,” 갔어요.", "학교에 갔어요"),
        ("‘밥’이라고, '아'와 '어'를", "밥 이라고 아 와 어 를"),
        ("...", ""),
    ],
)
def test_plain_text(written, expected):
    assert plain(written) == expected
    assert plain(expected) == expected


@pytest.mark.parametrize(
    "written, expected",
    [
        ("Stop!Now: yes", "Stop! Now: yes"),
        ("hello.World, at 12:30", "hello. World, at 12:30"),
        ("don`t 1,000 U.S. 3.5", "don't 1,000 U.S. 3.5"),
        ("학교에,갔어요.그래", "학교에, 갔어요. 그래"),
    ],
)
def test_words_end_where_they_are_pronounced(written, expected):
    assert spoken(written) == expected
