"""Hangul syllables to letters and back.

A syllable is its onset, nucleus and coda, each a letter of the compatibility block (ㄱ, ㅏ, ㄳ):
one letter for one sound, wherever it stands. The silent onset ㅇ is "", and so is an absent coda.
Source: The Unicode Standard, section 3.12, Conjoining Jamo Behavior.
"""

from typing import NamedTuple

from l2dual.errors import DataError

ONSETS = (*"ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆ", "", *"ㅈㅉㅊㅋㅌㅍㅎ")
NUCLEI = tuple("ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ")
CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
FIRST, LAST = "가", "힣"


class Syllable(NamedTuple):
    """One syllable; `onset` and `coda` may be empty."""

    onset: str
    nucleus: str
    coda: str = ""


def decompose(character: str) -> Syllable:
    """The letters of one precomposed (NFC) Hangul syllable; DataError for anything else."""
    if len(character) != 1 or not FIRST <= character <= LAST:
        raise DataError(f"'{character}' is not a Hangul syllable; write Hangul in NFC only")
    index = ord(character) - ord(FIRST)
    onset, rest = divmod(index, len(NUCLEI) * len(CODAS))
    nucleus, coda = divmod(rest, len(CODAS))
    return Syllable(ONSETS[onset], NUCLEI[nucleus], CODAS[coda])


def compose(syllable: Syllable) -> str:
    """The precomposed (NFC) character of ``syllable``."""
    onset, nucleus, coda = syllable
    index = (ONSETS.index(onset) * len(NUCLEI) + NUCLEI.index(nucleus)) * len(CODAS)
    return chr(ord(FIRST) + index + CODAS.index(coda))


def has_coda(word: str) -> bool:
    """Whether the last syllable of ``word`` is closed: what the form of a particle depends on."""
    return decompose(word[-1]).coda != ""


def with_coda(word: str, coda: str) -> str:
    """``word`` with ``coda`` in its last syllable, in place of what stood there."""
    return word[:-1] + compose(decompose(word[-1])._replace(coda=coda))
