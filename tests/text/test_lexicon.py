"""The pronunciation of words, learned from a corpus."""

import json

import pytest

from l2dual.errors import DataError
from l2dual.text import english
from l2dual.text.lexicon import FILE, Annotated, Lexicon

BRITISH = [  # R only before vowels; "not" and "hot" with AH, but "father" as in CMUdict
    Annotated("not hot", "N AH T HH AH T", "N AH T AH T"),
    Annotated("hot", "HH AH T", "HH AH T"),
    Annotated("a hard card", "AH HH AA D K AA D", "AH HH AA T K AA D"),
    Annotated("the father", "DH AH F AA DH AH", "D AH F AA D AH"),
    Annotated("far away", "F AA R AH W EY", "F AA R AH W EY"),
    Annotated("sorry mary", "S AA R IY M EH R IY", "S AA R IY M EH R IY"),
]


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.learn(BRITISH)


def test_an_empty_one_is_the_dictionary():
    text = "chapter iv the 한국 the's tomato"
    readable = " ".join(map(english.pronounce, text.replace("한국 ", "").split()))
    assert Lexicon().phones(text) == readable.split()
    assert Lexicon().readings("tomato") == english.forms("tomato")


def test_words_of_the_corpus_are_as_it_has_them(lexicon):
    for meaning, canonical, _ in BRITISH:
        assert " ".join(lexicon.phones(meaning)) == canonical


def test_words_that_it_lacks_follow_its_rules(lexicon):
    assert [" ".join(lexicon.phones(word)) for word in ("pot", "lard", "carry")] == ["P AH T", "L AA D", "K AE R IY"]


def test_the_weak_vowel_stays_one(lexicon):
    assert lexicon.readings("a")[0] == ("AX",) and lexicon.readings("father")[0] == ("F", "AA", "DH", "AH")


def test_the_dictionary_remains_another_way_to_say_a_word(lexicon):
    assert lexicon.readings("hard") == [("HH", "AA", "D"), ("HH", "AA", "R", "D")]
    assert lexicon.nearest("hard", "HH AA R T") == "HH AA R D" and lexicon.nearest("hard", "AA D") == "HH AA D"


def test_what_learners_say_is_counted(lexicon):
    """Each phone counts five times as said as it is."""
    assert lexicon.said["DH"] == {"D": round(2 / 7, 5), "DH": round(5 / 7, 5)}
    assert lexicon.said["D"] == {"D": round(6 / 7, 5), "T": round(1 / 7, 5)}
    assert lexicon.said["HH"] == {"HH": 1.0}  # what was left out is not counted


def test_a_tie_changes_nothing():
    once = [Annotated("pot hot", "P AH T HH AA T", "P AH T HH AA T")]
    assert Lexicon.learn(once).rules == {}
    assert Lexicon.learn([*once, Annotated("not", "N AH T", "N AH T")]).rules == {"* AA *": ("AH",)}


def test_a_word_without_phones_is_as_in_the_dictionary():
    lexicon = Lexicon.learn([Annotated("uh the awe of god", "DH AX AH V G AA D", "DH AX AH V G AA D")] * 2)
    assert all(lexicon.readings(word)[0] for word in ("uh", "awe", "oh", "the"))


def test_it_is_read_as_it_was_written(lexicon, tmp_path):
    assert Lexicon.load(tmp_path) == Lexicon()
    lexicon.save(tmp_path)
    again = Lexicon.load(tmp_path)
    assert all(again.readings(word) == lexicon.readings(word) for word in ("father", "pot", "hard", "carry"))
    assert again.said == lexicon.said


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}x", '{"other": {}}', '{"words": {"a": [1]}}', '{"rules": 3}', '{"said": {"A": {"B": 2}}}',
     '{"said": {"A": {"B": "x"}}}', '{"words": {"a": "AH"}}', '{"words": {"a": 5}}', '{"words": {"a": [""]}}',
     "[" * 100_000],
)  # fmt: skip
def test_another_file_is_refused(content, tmp_path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DataError, match="no lexicon"):
        Lexicon.load(tmp_path)


def test_it_is_json_of_a_fixed_order(lexicon, tmp_path):
    lexicon.save(tmp_path)
    Lexicon.learn(reversed(BRITISH)).save(tmp_path / "again")
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "again" / FILE).read_bytes()
    assert list(json.loads((tmp_path / FILE).read_text())) == ["rules", "words", "said"]
