"""Mispronunciation detection and diagnosis from a system's two transcriptions.

What was to be said is the *prompt*, what was said the surface; where they differ, the learner
erred. The annotation says so by canonical and surface of the reference, a system by its own
surface and a prompt:

- ``given``: the canonical text of the reference, as a tutor knows it in read speech. Defined for
  every system with a surface, under both conventions;
- ``own``: its own meaning, as in free speech. Defined where surface and meaning are in one alphabet
  (`heard`); for single-output systems it takes two, and is that of the pair so_surface, so_meaning.

The unit of decision is a canonical token (character and word under `heard`, phone or character
under `pronounced`). Insertions count at the place between two canonical tokens where they stand,
where annotation or system has one; empty places are no decisions. Counts and measures are those of
Qian, Meng & Soong 2010 (ISCSLP) and Leung, Liu & Meng 2019 (ICASSP, section 4.2):

                     system: wrong                       system: right
    learner erred    true rejection (diagnosed or not)   false acceptance
    learner right    false rejection                     true acceptance

    precision = TR / (TR + FR)                   false acceptance rate = FA / (TR + FA)
    recall    = TR / (TR + FA)                   false rejection rate  = FR / (TA + FR)
    f1        = 2 TR / (2 TR + FA + FR)          diagnosis error rate  = DE / (CD + DE)

with CD and DE the true rejections whose annotation names what was said, where the system says the
same (correct diagnosis) and where it says something else (diagnosis error).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from l2dual.corpora.phones import ERROR
from l2dual.text import align, tokens

UNNAMED = ERROR.lower()  # as `l2dual.text.normalize` leaves it
Said = tuple[str, ...]

# Measure: (counts summed above, counts summed below); the numbers multiply
MEASURES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "precision": ({"TR": 1}, {"TR": 1, "FR": 1}),
    "recall": ({"TR": 1}, {"TR": 1, "FA": 1}),
    "f1": ({"TR": 2}, {"TR": 2, "FA": 1, "FR": 1}),
    "false_acceptance_rate": ({"FA": 1}, {"TR": 1, "FA": 1}),
    "false_rejection_rate": ({"FR": 1}, {"TA": 1, "FR": 1}),
    "diagnosis_error_rate": ({"DE": 1}, {"CD": 1, "DE": 1}),
}
COUNTS = ("TR", "FA", "FR", "TA", "CD", "DE")


@dataclass(frozen=True)
class Marks:
    """What was said for each canonical token, and before each and at the end: n + 1 gaps."""

    said: list[Said]
    inserted: list[Said]


def mark(prompt: str, surface: str, unit: str) -> Marks:
    """Align two normalized texts and say what stands for each token of ``prompt``."""
    said: list[Said] = []
    inserted: list[list[str]] = [[]]
    for expected, heard in align(prompt, surface, unit):
        if expected is None:
            inserted[-1].append(heard)
        else:
            said.append(() if heard is None else (heard,))
            inserted.append([])
    return Marks(said, [tuple(gap) for gap in inserted])


def project(canonical: str, prompt: str, marks: Marks, unit: str) -> Marks:
    """Carry the marks on ``prompt``, a system's own meaning, to the tokens of ``canonical``.

    A canonical token counts as said right where the system has no token for it, or has another
    than was meant but finds no error in it: the system reports nothing there. Errors found in
    tokens that were not meant at all are kept as insertions where these stand.
    """
    said: list[Said] = []
    inserted: list[list[str]] = [list(marks.inserted[0])]
    position = 0
    for expected, own in align(canonical, prompt, unit):
        heard, after = (own,), ()
        if own is not None:
            heard, after = marks.said[position], marks.inserted[position + 1]
            position += 1
        if expected is None:
            inserted[-1] += () if heard == (own,) else (own, *heard)
            inserted[-1] += after
        else:
            said.append((expected,) if heard == (own,) else heard)
            inserted.append(list(after))
    return Marks(said, [tuple(gap) for gap in inserted])


def count(canonical: str, truth: Marks, system: Marks, unit: str) -> dict[str, int]:
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


def judge(
    canonical: str, truth: Marks, heard: str, own: str | None, unit: str
) -> dict[str, int]:
    """Count the decisions (COUNTS) on one utterance.

    Args:
        canonical: of the reference, normalized.
        truth: the marks of the reference's surface on ``canonical``.
        heard: the system's surface, normalized.
        own: the system's meaning for prompt ``own``; None for prompt ``given``.
    """
    if own is None:
        return count(canonical, truth, mark(canonical, heard, unit), unit)
    return count(canonical, truth, project(canonical, own, mark(own, heard, unit), unit), unit)


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


def trivial(counts: Mapping[str, float]) -> dict[str, dict[str, float | None]]:
    """Return each measure of two systems that do not listen, given the totals of COUNTS.

    ``all_correct`` accepts everything. ``random`` rejects each token with the probability that one
    is wrong: its measures are expectations (of f1, the ratio of the expected counts).
    """
    wrong, right = counts["TR"] + counts["FA"], counts["FR"] + counts["TA"]
    rate = wrong / (wrong + right) if wrong + right else 0
    accepted = {"TR": 0, "FA": wrong, "FR": 0, "TA": right}
    drawn = {"TR": rate * wrong, "FA": (1 - rate) * wrong}
    drawn |= {"FR": rate * right, "TA": (1 - rate) * right}
    return {
        name: {"all_correct": measure(name, accepted), "random": measure(name, drawn)}
        for name in MEASURES
    }


def measure(name: str, counts: Mapping[str, float]) -> float | None:
    """Return a measure from counts; None where it has no denominator."""
    above, below = (
        sum(times * counts.get(key, 0) for key, times in part.items()) for part in MEASURES[name]
    )
    return above / below if below else None
