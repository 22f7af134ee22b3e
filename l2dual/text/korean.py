"""Standard Korean pronunciation (표준 발음법, the National Institute of Korean Language).

The rules are korean_sounds.py's, the words korean_words.py's; numbers and Latin letters are read
out by korean_numbers.py and korean_latin.py. Where the standard licenses more than one form (맛있다
[마싣따], [마딛따]), `pronunciations` gives all of them and `pronounce` the first.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import combinations, islice

from rapidfuzz.distance import Levenshtein

from l2dual.errors import DataError
from l2dual.text import korean_latin, korean_numbers
from l2dual.text.hangul import FIRST, LAST, Syllable, compose, decompose
from l2dual.text.korean_sounds import sounds
from l2dual.text.korean_words import Option, Phrase, phrase

MOST_FORMS = 64  # of one text; those that are nearest to the default come first
JAMO = re.compile("[ㄱ-ㆎ]")  # letters by themselves, ㅋㅋ: nothing to say
CLAUSE_END = re.compile(r"[,.!?;:…。、]+(?=\W|$)")
PAUSE = "|"


def standard(word: str) -> list[Syllable]:
    """The pronounced syllables of ``word``, as many as are spelled; DataError unless Hangul."""
    for character in word:
        decompose(character)  # or an error
    found = phrase([word], [False], alone=True)
    return sounds(found.spelled, found.borders)


def pronounce(text: str) -> str:
    """How a native speaker says ``text``, in Hangul: liaison across words, numbers and Latin
    letters read out, punctuation left out, spaces kept. DataError for another script."""
    return next(_forms(text))


def pronunciations(text: str) -> list[str]:
    """Every form that the standard licenses for ``text``, that of `pronounce` first, then those
    with fewer departures from it; at most MOST_FORMS."""
    return list(islice(dict.fromkeys(islice(_forms(text), 4 * MOST_FORMS)), MOST_FORMS))


def nearest(text: str, said: str) -> str:
    """The form that the standard licenses for ``text`` that is nearest to ``said``, in edits of
    syllables without spaces: what a learner who said it is measured against. There may be a pause
    after any word, which `pronunciations` does not list."""
    said = said.replace(" ", "")

    def edits(form: str) -> int:
        return Levenshtein.distance(form.replace(" ", ""), said)

    readings = [_phrase(spelled, text) for spelled in islice(_readings(text), MOST_FORMS)]
    words, found = min(readings, key=lambda reading: edits(_said(*reading)))
    chosen: tuple[Option, ...] = ()
    best = _said(words, found)
    for option in (*found.options, *found.pauses):  # each is taken if it brings the form nearer
        form = _said(words, found.with_options((*chosen, option)))
        if edits(form) < edits(best):
            chosen, best = (*chosen, option), form
    return best


def _forms(text: str) -> Iterator[str]:
    for spelled in _readings(text):
        words, found = _phrase(spelled, text)
        for n in range(len(found.options) + 1):
            for chosen in combinations(found.options, n):
                yield _said(words, found.with_options(chosen))


def _phrase(spelled: str, text: str) -> tuple[list[str], Phrase]:
    words = _words(spelled, text)
    bare = [word.rstrip(PAUSE) for word in words]
    return bare, phrase(bare, [word.endswith(PAUSE) for word in words], alone=len(words) == 1)


def _said(words: list[str], found: Phrase) -> str:
    characters = iter(map(compose, sounds(found.spelled, found.borders)))
    return " ".join("".join(islice(characters, len(word))) for word in words)


def _readings(text: str) -> Iterator[str]:
    """``text`` with numbers and Latin letters written out, in every way."""
    text = JAMO.sub("", unicodedata.normalize("NFC", text))
    for in_hangul in _ways(korean_latin.pieces(korean_numbers.with_units(text))):
        yield from _ways(korean_numbers.pieces(in_hangul))


def _ways(pieces: list[tuple[str, ...]]) -> Iterator[str]:
    """The pieces joined: the first form of each, then with one other form, and so on."""
    others = [(i, form) for i, forms in enumerate(pieces) for form in forms[1:]]
    for n in range(len(others) + 1):
        for chosen in combinations(others, n):
            if len(dict(chosen)) == n:
                yield "".join(dict(chosen).get(i, forms[0]) for i, forms in enumerate(pieces))


def _words(spelled: str, text: str) -> list[str]:
    """The words, without punctuation; PAUSE at the end of one before a pause."""
    words = []
    for word in CLAUSE_END.sub(PAUSE + " ", spelled).split():
        kept = "".join(c for c in word if c.isalpha() or c == PAUSE)
        for character in kept.replace(PAUSE, ""):
            if not FIRST <= character <= LAST:
                raise DataError(f"text '{text}': cannot say '{character}'; write it in Hangul")
        if kept.strip(PAUSE):
            words.append(kept)
        elif words:
            words[-1] += kept
    return words
