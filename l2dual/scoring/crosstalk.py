"""Learner's tokens: where the primary outcome, cross-talk, is counted.

A learner's token is a reference token at which surface and canonical differ: in the surface, one
that differs from the canonical token or has none; in the meaning, a canonical token that was not
said. The other output's token is what stands for it on the other side of that alignment.

An error at a token is a substitution or a deletion of it. Inserted tokens stand between reference
tokens, belong to none, and are counted at neither kind; they are part of the overall error rate.

Replaced tokens are learner's tokens with a token on the other side; an intrusion writes that one.
"""

from dataclasses import dataclass

from l2dual.text.units import align

COUNTS = ("learner", "learner_errors", "replaced", "intrusions")


@dataclass(frozen=True)
class Mark:
    """Of one reference token: whether it is a learner's, and the other output's token, if any."""

    learner: bool = False
    other: str | None = None


def surface_marks(canonical: str, surface: str, unit: str) -> list[Mark]:
    """Mark the tokens of a surface; normalized texts."""
    return [Mark(c != s, c) for c, s in align(canonical, surface, unit) if s is not None]


def meaning_marks(meaning: str, canonical: str, surface: str, unit: str) -> list[Mark]:
    """Mark the tokens of a meaning; normalized texts in one alphabet.

    Where native rules set the canonical text apart from the meaning, a token of the meaning has the
    mark of the canonical token that it is aligned with.
    """
    steps = align(canonical, surface, unit)
    of_canonical = iter([Mark(c != s, s) for c, s in steps if c is not None])
    marks = []
    for token, expected in align(meaning, canonical, unit):
        mark = Mark() if expected is None else next(of_canonical)
        if token is not None:
            marks.append(mark)
    return marks


def tally(marks: list[Mark], pairs: list[tuple[str | None, str | None]]) -> dict[str, int]:
    """Count COUNTS in the alignment of a reference, whose tokens have ``marks``, and a hypothesis."""
    counts = dict.fromkeys(COUNTS, 0)
    outcomes = [pair for pair in pairs if pair[0] is not None]
    for mark, (reference, hypothesis) in zip(marks, outcomes, strict=True):
        if mark.learner:
            counts["learner"] += 1
            counts["learner_errors"] += reference != hypothesis
            if mark.other not in (None, reference):
                counts["replaced"] += 1
                counts["intrusions"] += hypothesis == mark.other
    return counts
