"""What a model says of one recording."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """A letter, Hangul syllable or phone of a transcription, and where it is in the recording.

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


@dataclass(frozen=True)
class Difference:
    """A place where what was said is not what was meant; either side may be empty."""

    surface: str
    meaning: str
    start: float | None  # seconds
    end: float | None


@dataclass(frozen=True)
class Recognized:
    """Both transcriptions of one recording.

    ``surface`` or ``meaning`` is None where the model has no such output; ``differences`` is then empty.
    """

    name: str  # file, or number in the list given
    seconds: float  # of the recording
    language: str  # en or ko
    convention: str  # of the surface: heard or pronounced
    surface: Transcription | None
    meaning: Transcription | None
    differences: tuple[Difference, ...]
