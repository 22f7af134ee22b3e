"""Where what was said is not what was meant, in one alphabet."""

from collections.abc import Sequence
from itertools import groupby

from l2dual.errors import DataError
from l2dual.inference.result import Difference, Step, Token
from l2dual.text import korean
from l2dual.text.lexicon import Lexicon
from l2dual.text.units import align_tokens, normalize, tokens


def unit_of(language: str, convention: str) -> str:
    """What a surface is compared in: ``phone``, or ``char`` for letters and Hangul syllables."""
    return "phone" if (language, convention) == ("en", "pronounced") else "char"


def due_of(meaning: str, surface: str, language: str, convention: str, lexicon: Lexicon) -> str | None:
    """What someone who means ``meaning`` should have said, as the surface is written.

    Of several pronunciations it is the one nearest to ``surface``. None where a word has none.
    English is pronounced by ``lexicon``.
    """
    if convention == "heard":
        return normalize(meaning)
    try:
        return lexicon.nearest(meaning, surface) if language == "en" else korean.nearest(meaning, surface)
    except DataError:
        return None


def steps(due: str, surface: Sequence[Token], unit: str) -> list[Step]:
    """Align what was due with the tokens of the surface."""
    if unit == "phone":
        left, right = due.split(), [token.text for token in surface]
    else:
        left, right = tokens(due, unit), [normalize(token.text) or " " for token in surface]
    found, number = [], 0
    for ours, theirs in align_tokens(left, right):
        found.append(Step(ours or "", theirs or "", number))
        number += theirs is not None
    return found


def differences(alignment: Sequence[Step], surface: Sequence[Token], unit: str) -> tuple[Difference, ...]:
    """The runs of steps that are not the same, and their times."""
    runs = groupby(alignment, key=lambda step: step.is_same)
    joint = " " if unit == "phone" else ""
    return tuple(_difference(list(run), surface, joint) for is_same, run in runs if not is_same)


def _difference(run: list[Step], surface: Sequence[Token], joint: str) -> Difference:
    said = joint.join(step.said for step in run if step.said)
    due = joint.join(step.due for step in run if step.due)
    inner = [surface[step.token] for step in run if step.said]
    if inner:
        return Difference(said, due, inner[0].start, inner[-1].end)
    before, after = surface[max(0, run[0].token - 1) :][:1], surface[run[0].token :][:1]
    start = before[0].end if before and run[0].token else None
    end = after[0].start if after else None
    return Difference(said, due, start if start is not None else end, end if end is not None else start)
