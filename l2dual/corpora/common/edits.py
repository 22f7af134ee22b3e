"""Count the learner's edits of a corpus, before anything is trained on it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from l2dual.data.datadir import MIN_CLUSTERS, MIN_UTTS
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text.phones import ERROR, PHONES
from l2dual.text.units import NAMES, distance, normalize, tokens

UNUSUAL, WRONG = 30, 50  # learner's edits per 100 tokens
IPA = re.compile("[\u0250-\u02af\u02c8\u02cc\u02d0θðŋæ]")


@dataclass(frozen=True)
class Edits:
    """Edits between surface and canonical, and the canonical's tokens."""

    edits: int
    tokens: int

    @property
    def rate(self) -> float:
        """Per 100 tokens."""
        return 100 * self.edits / max(1, self.tokens)


def count(utterances: Iterable[Utterance], unit: str) -> Edits:
    """The learner's edits of the utterances that have a surface, in ``unit``."""
    edits = length = 0
    for utterance in utterances:
        if utterance.surface is not None:
            canonical = normalize(utterance.canonical)
            edits += distance(normalize(utterance.surface), canonical, unit)
            length += len(tokens(canonical, unit))
    return Edits(edits, length)


def erring(utterances: Iterable[Utterance]) -> set[str]:
    """The speakers (the voices, where a synthesizer spoke) who differ from canonical somewhere."""
    return {
        utterance.facts.get("voice", utterance.speaker)
        for utterance in utterances
        if utterance.surface is not None
        and normalize(utterance.surface) != normalize(utterance.canonical)
    }


def report(utterances: list[Utterance], unit: str) -> list[str]:
    """Stage 1's lines on the learner's edits, and on what the test set can't show."""
    lines = []
    for split in SPLITS:
        found = count((u for u in utterances if u.split == split), unit)
        if found.tokens:
            lines.append(
                f"{split}: {found.edits} learner's edits in {found.tokens} {NAMES[unit]} "
                f"({found.rate:.1f} per 100)"
            )
    if count(utterances, unit).rate > UNUSUAL:
        lines.append(
            f"warning: more than {UNUSUAL} learner's edits per 100 {NAMES[unit]}: check that "
            "surface and canonical are written in the same way"
        )
    return lines + lacking([u for u in utterances if u.split == "test"])


def lacking(test: list[Utterance]) -> list[str]:
    """Warnings of what a test set has too few of."""
    who, names = erring(test), "speakers or voices with errors"
    if all(utterance.surface is None for utterance in test):
        who, names = {u.facts.get("voice", u.speaker) for u in test}, "speakers"
    elif not who:
        return [
            "warning: the test set has no learner's error: error detection and cross-talk can't be "
            "measured; choose another test set by a column split (Kaldi: utt2split)"
        ]
    numbers = ((len(who), MIN_CLUSTERS, names), (len(test), MIN_UTTS, "utterances"))
    return [
        f"warning: {name} in the test set: {number}; intervals need {least}, so results will be "
        "single values"
        for number, least, name in numbers
        if number < least
    ]


def refuse_implausible(
    utterances: list[Utterance], unit: str, source: object, compared: str
) -> None:
    """Raise a DataError where the surface is not written as ``compared``, its canonical, is."""
    some = [u for u in utterances if u.surface is not None]
    words = {word.upper() for u in some for word in u.surface.split()}
    if unit == "char" and len(words) > 5 and words <= PHONES | {ERROR}:
        raise DataError(
            f"{source}: the surface is in ARPAbet phones, but the convention is `heard`: write "
            "--surface_convention pronounced"
        )
    found = count(some, unit)
    if found.rate > WRONG:
        raise DataError(
            f"{source}: {found.edits} learner's edits in {found.tokens} {NAMES[unit]} "
            f"({found.rate:.0f} per 100) can't be right: the surface is not written as {compared} "
            "is; correct it, or give the canonical text: the surface without errors"
        )
