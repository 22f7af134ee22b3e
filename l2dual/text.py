"""Texts as scoring sees them: one normalizer, tokens of a unit, and their alignment.

Characters include the space between words, as in ESPnet's character error rate.
"""

import unicodedata
from itertools import zip_longest

import jiwer

NORMALIZER = "NFC, lower case, single spaces"
NAMES = {"char": "characters", "word": "words", "phone": "phones"}
UNITS = {"char": ("char", "word"), "phone": ("phone",)}  # of the text: what it is scored in


def normalize(text: str) -> str:
    """Return ``text`` in NFC, lower case, with single spaces and none at the ends."""
    lower = unicodedata.normalize("NFC", text).lower()
    return " ".join(unicodedata.normalize("NFC", lower).split())


def tokens(text: str, unit: str) -> list[str]:
    """Split a normalized text into units: ``char``, or ``word`` and ``phone`` at the spaces."""
    return list(text) if unit == "char" else text.split()


def align(reference: str, hypothesis: str, unit: str) -> list[tuple[str | None, str | None]]:
    """Align two normalized texts with the fewest edits (jiwer's alignment).

    Returns one pair (reference token, hypothesis token) per step; None stands for a token that
    the other side has not: an insertion on the left, a deletion on the right.
    """
    process = jiwer.process_characters if unit == "char" else jiwer.process_words
    output = process(reference, hypothesis)
    left, right = tokens(reference, unit), tokens(hypothesis, unit)
    pairs: list[tuple[str | None, str | None]] = []
    for chunk in output.alignments[0]:
        ours = left[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = right[chunk.hyp_start_idx : chunk.hyp_end_idx]
        pairs += zip_longest(ours, theirs)
    return pairs


def distance(one: str, other: str, unit: str) -> int:
    """Return the Levenshtein distance between two normalized texts, in units."""
    return sum(left != right for left, right in align(one, other, unit))


def width(text: str) -> int:
    """Return how many terminal columns ``text`` takes (a Hangul syllable takes two)."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, columns: int) -> str:
    """Fill ``text`` with spaces up to a number of terminal columns."""
    return text + " " * (columns - width(text))
