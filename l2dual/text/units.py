"""Texts as scoring sees them: one normalizer, tokens of a unit, and their alignment.

Characters include the space between words, as in ESPnet's character error rate.
"""

import re
import unicodedata

from rapidfuzz.distance import Levenshtein

NORMALIZER = "NFC, lower case, single spaces"
RATES = {"char": "CER", "word": "WER", "phone": "PER"}
NAMES = {"char": "characters", "word": "words", "phone": "phones"}
EDIT = 1 << 20  # what an edit costs against a substitution's extra 1
CHARACTER = re.compile("<unk>|.", re.DOTALL)
UNITS = {"char": ("char", "word"), "phone": ("phone",)}  # of the text: what it is scored in


def normalize(text: str) -> str:
    """Return ``text`` in NFC, lower case, with single spaces and none at the ends."""
    lower = unicodedata.normalize("NFC", text).lower()
    return " ".join(unicodedata.normalize("NFC", lower).split())


def tokens(text: str, unit: str) -> list[str]:
    """Split a normalized text into units: ``char``, or ``word`` and ``phone`` at the spaces.

    ``<unk>``, which a model writes for a token that it does not know, is one character.
    """
    return CHARACTER.findall(text) if unit == "char" else text.split()


def align(reference: str, hypothesis: str, unit: str) -> list[tuple[str | None, str | None]]:
    """Align two normalized texts with the fewest edits and, of those, the fewest substitutions.

    The second rule, as the weights of NIST's sclite do, keeps more tokens together, and leaves one
    answer to how many edits are substitutions, deletions and insertions. (kaldialign's `sclite_mode`
    is not used: it takes two deletions and two insertions for three substitutions, sclite does not.)

    Returns one pair (reference token, hypothesis token) per step; None stands for a token that
    the other side has not: an insertion on the left, a deletion on the right.
    """
    return align_tokens(tokens(reference, unit), tokens(hypothesis, unit))


def align_tokens(left: list[str], right: list[str]) -> list[tuple[str | None, str | None]]:
    """Align two lists of tokens as `align` does."""
    start = common(left, right)
    end = common(left[start:][::-1], right[start:][::-1])
    middle = _align(left[start : len(left) - end], right[start : len(right) - end])
    same = [(token, token) for token in left]
    return same[:start] + middle + same[len(left) - end :]


def common(left: list[str], right: list[str]) -> int:
    """Return how many tokens two lists begin with alike."""
    pairs = enumerate(zip(left, right))  # noqa: B905 (of unlike length)
    return next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(left), len(right)))


def _align(left: list[str], right: list[str]) -> list[tuple[str | None, str | None]]:
    """Fill Wagner and Fischer's table, of edits times EDIT plus substitutions; trace it back."""
    rows = [[j * EDIT for j in range(len(right) + 1)]]
    for ours in left:
        above, cost = rows[-1], rows[-1][0] + EDIT
        row = [cost]
        for j, theirs in enumerate(right):
            diagonal = above[j] if ours == theirs else above[j] + EDIT + 1
            cost = min(diagonal, cost + EDIT, above[j + 1] + EDIT)
            row.append(cost)
        rows.append(row)
    i, j = len(left), len(right)
    pairs: list[tuple[str | None, str | None]] = []
    while i or j:
        cost = rows[i][j]
        matched = i and j and rows[i - 1][j - 1] + (left[i - 1] != right[j - 1]) * (EDIT + 1)
        if i and j and matched == cost:
            i, j = i - 1, j - 1
            pairs.append((left[i], right[j]))
        elif i and rows[i - 1][j] + EDIT == cost:
            i -= 1
            pairs.append((left[i], None))
        else:
            j -= 1
            pairs.append((None, right[j]))
    return pairs[::-1]


def distance(one: str, other: str, unit: str) -> int:
    """Return the Levenshtein distance between two normalized texts, in units."""
    return Levenshtein.distance(tokens(one, unit), tokens(other, unit))


def width(text: str) -> int:
    """Return how many terminal columns ``text`` takes (a Hangul syllable takes two)."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, columns: int) -> str:
    """Fill ``text`` with spaces up to a number of terminal columns."""
    return text + " " * (columns - width(text))
