"""Standard Korean pronunciation (표준 발음법, the National Institute of Korean Language).

The rules are korean_sounds.py's, the words korean_words.py's; numbers and Latin letters are read
out by korean_numbers.py and korean_latin.py. Where the standard licenses more than one form (맛있다
[마싣따], [마딛따]), `pronunciations` gives all of them and `pronounce` the first.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import combinations, islice

from l2dual.errors import DataError
from l2dual.phonology import korean_latin, korean_numbers
from l2dual.phonology.hangul import FIRST, LAST, Syllable, compose, decompose
from l2dual.phonology.korean_sounds import sounds
from l2dual.phonology.korean_words import phrase

MOST_FORMS = 64  # of one text; those that are nearest to the default come first
JAMO = re.compile("[ㄱ-ㆎ]")  # letters by themselves, ㅋㅋ: nothing to say
CLAUSE_END = re.compile(r"[,.!?;:…。、]+(?=\W|$)")
PAUSE = "|"


def standard(word: str) -> list[Syllable]:
    """The pronounced syllables of ``word``, as many as are spelled; DataError unless Hangul."""
    for character in word:
        decompose(character)
    found = phrase([word], [False], alone=True)
    return sounds(found.spelled, found.borders)


def standard_text(word: str) -> str:
    """As ``standard``, written in Hangul: 먹어 -> 머거."""
    return "".join(map(compose, standard(word)))


def pronounce(text: str) -> str:
    """How a native speaker says ``text``, in Hangul: liaison across words, numbers and Latin
    letters read out, punctuation left out, spaces kept. DataError for another script."""
    return next(_forms(text))


def pronunciations(text: str) -> list[str]:
    """Every form that the standard licenses for ``text``, that of `pronounce` first, then those
    with fewer departures from it; at most MOST_FORMS."""
    return list(islice(dict.fromkeys(islice(_forms(text), 4 * MOST_FORMS)), MOST_FORMS))


def _forms(text: str) -> Iterator[str]:
    for spelled in _readings(text):
        words = _words(spelled, text)
        if not words:
            yield ""
            continue
        found = phrase([word.rstrip(PAUSE) for word in words], [w.endswith(PAUSE) for w in words])
        lengths = [len(word.rstrip(PAUSE)) for word in words]
        for n in range(len(found.options) + 1):
            for chosen in combinations(found.options, n):
                said = found.with_options(chosen)
                yield _spaced(sounds(said.spelled, said.borders), lengths)


def _readings(text: str) -> Iterator[str]:
    """``text`` with numbers and Latin letters written out, in every way."""
    text = JAMO.sub("", unicodedata.normalize("NFC", text))
    for in_hangul in korean_latin.readings(korean_numbers.with_units(text)):
        yield from korean_numbers.readings(in_hangul)


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


def _spaced(syllables: list[Syllable], lengths: list[int]) -> str:
    characters = iter(map(compose, syllables))
    return " ".join("".join(islice(characters, length)) for length in lengths)
