"""Mispronunciation detection and diagnosis (MDD) from a system's surface and the reference prompt.

The prompt is the canonical text of the reference, as a tutor knows it in read speech. Where prompt
and surface of the reference differ, the learner erred; where prompt and surface of the system
differ, the system says so. The unit of decision is a canonical token. Insertions count at the place
between two canonical tokens, if annotation or system has one there; empty places are no
decisions. Counts, and their ratios in measures.py, are those of Qian, Meng & Soong 2010 (ISCSLP) and Leung, Liu & Meng
2019 (ICASSP, section 4.2):

                     system: wrong                       system: right
    learner erred    true rejection (diagnosed or not)   false acceptance
    learner right    false rejection                     true acceptance

CD and DE are the true rejections whose annotation names what was said, where the system says the
same (correct diagnosis) and where it says something else (diagnosis error).
"""

from dataclasses import dataclass
from itertools import chain

from l2dual.text.phones import ERROR
from l2dual.text.units import align, tokens

UNNAMED = ERROR.lower()  # as `l2dual.text.units.normalize` leaves it
Said = tuple[str, ...]

COUNTS = ("TR", "FA", "FR", "TA", "CD", "DE")


@dataclass(frozen=True)
class Marks:
    """What was said for each canonical token, and before each and at the end: n + 1 gaps."""

    said: list[Said]
    inserted: list[Said]


def mark(prompt: str, surface: str, unit: str) -> Marks:
    """Align two normalized texts and return what was said for each token of ``prompt``."""
    said: list[Said] = []
    inserted: list[list[str]] = [[]]
    for expected, heard in align(prompt, surface, unit):
        if expected is not None:
            said.append(() if heard is None else (heard,))
            inserted.append([])
        elif heard is not None:
            inserted[-1].append(heard)
    return Marks(said, [tuple(gap) for gap in inserted])


def count_decisions(canonical: str, truth: Marks, system: Marks, unit: str) -> dict[str, int]:
    """Count the decisions (COUNTS) of a system on one utterance.

    Beside an unnamed phone there is no diagnosis: alignment may take an inserted phone for what was
    said instead of the next.
    """
    expectations = [(token,) for token in tokens(canonical, unit)]
    counts = dict.fromkeys(COUNTS, 0)
    named = not has_unnamed(truth)
    places = zip(expectations, truth.said, system.said, strict=True)
    gaps = [((), *pair) for pair in zip(truth.inserted, system.inserted, strict=True) if any(pair)]
    for expected, heard, reported in [*places, *gaps]:
        rejected, wrong = reported != expected, heard != expected
        counts[("TR" if rejected else "FA") if wrong else ("FR" if rejected else "TA")] += 1
        if rejected and wrong and named:
            counts["CD" if reported == heard else "DE"] += 1
    return counts


def has_unnamed(truth: Marks) -> bool:
    """Say whether a phone of the utterance is marked as wrong without its name."""
    return UNNAMED in chain(*truth.said, *truth.inserted)


def names_errors(canonical: str, truth: Marks, unit: str) -> bool:
    """Say whether the annotation names what was said for a wrong token; a deletion has no name.

    Where it does so nowhere, as in speechocean762, there is detection without diagnosis.
    """
    if has_unnamed(truth):
        return False
    places = zip(tokens(canonical, unit), truth.said, strict=True)
    return any(said and said != (token,) for token, said in places)
