"""What a model says of one recording."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Token:
    """A letter, Hangul syllable, space or phone of a transcription, and where it is in the recording.

    Times and confidence come from the CTC alignment; all three are None where an output has no CTC.
    """

    text: str
    start: float | None  # seconds from the recording's start
    end: float | None
    confidence: float | None  # 0 to 1


@dataclass(frozen=True)
class Transcription:
    """One output's transcription."""

    text: str
    score: float  # log probability of the search
    tokens: tuple[Token, ...]
    nbest: tuple[tuple[str, float], ...]  # texts and scores, the best first


class Step(NamedTuple):
    """A step of the alignment of what was due with what was said; empty where one has nothing.

    What was due is the meaning; where the surface is ``pronounced``, it is the meaning's pronunciation.
    """

    due: str
    said: str
    token: int  # of the surface: the one that was said, else the one before which something is missing

    @property
    def is_same(self) -> bool:
        """Whether what was due was said; spaces do not count."""
        return self.due.strip() == self.said.strip()


@dataclass(frozen=True)
class Difference:
    """A place where what was said is not what was meant; either side may be empty."""

    surface: str
    meaning: str
    start: float | None  # seconds
    end: float | None


@dataclass(frozen=True)
class JudgedSound:
    """A sound that was due or said; one of the two is empty where it was put in or left out.

    ``score``: the chance that raters call it right, 0 to 1 (docs/feedback.md); where the surface is in
    letters, the likelihood of the word that was due, of it and the one that was heard; None for a sound
    that is not judged by itself. ``verdict``: "right", "unsure", "wrong", or
    "unheard" where most of the text was not heard; ``said`` is then empty.
    """

    due: str
    said: str
    score: float | None
    verdict: str


@dataclass(frozen=True)
class JudgedWord:
    """A word of the prompt, how it was said, and what to tell the learner.

    ``ratings``: what raters would give to the word, 0 to 10: accuracy, stress and total; empty where the
    model has no rater (docs/rating.md).
    """

    text: str
    sounds: tuple[JudgedSound, ...]
    score: float  # the least of its sounds'
    verdict: str
    start: float  # seconds
    end: float
    sentences: tuple[str, ...]  # on its errors; none where the verdict is "unheard"
    ratings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recognized:
    """Both transcriptions of one recording.

    ``surface`` or ``meaning`` is None where the model has no such output. ``differences`` and ``alignment``
    are then empty, as they are where a word's pronunciation is due and not known. ``words`` is empty where no
    prompt was given, ``ratings`` where the model has no rater too: what raters would give to the whole, 0 to 10.
    ``notes`` say what limits the judgement of the prompt, as that most of it was not heard.
    """

    name: str  # file, or number in the list given
    seconds: float  # of the recording
    language: str  # en or ko
    convention: str  # of the surface: heard or pronounced
    surface: Transcription | None
    meaning: Transcription | None
    differences: tuple[Difference, ...]
    alignment: tuple[Step, ...] = ()
    words: tuple[JudgedWord, ...] = ()  # of the prompt
    notes: tuple[str, ...] = ()
    ratings: dict[str, float] = field(default_factory=dict)
