"""When each letter or phone was said: the CTC alignment of a transcription with its recording."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from l2dual.data.frames import Convolution
from l2dual.data.tokens import WhisperTokenizer
from l2dual.inference.result import Token
from l2dual.models.ctc_alignment import align

REACH = 2  # frames that a token is heard before and after those where CTC writes it
SYLLABLE = re.compile("[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|.", re.DOTALL)  # of letters, NFD


class Clock(NamedTuple):
    """Frame i of an encoder hears the seconds from ``start + i * step`` to ``start + (i + 1) * step``."""

    step: float
    start: float

    @classmethod
    def of(cls, chain: Iterable[Convolution], rate: int) -> "Clock":
        """The clock of an encoder that shortens speech at ``rate`` Hz by a chain of convolutions."""
        stride, middle = 1, 0.0  # in samples
        for kernel, step, padding in chain:
            middle += stride * ((kernel - 1) / 2 - padding)
            stride *= step
        return cls(stride / rate, (middle + 0.5 - stride / 2) / rate)


class Span(NamedTuple):
    """Where a text is said, in seconds, and how sure the CTC is of it; None where it is not known."""

    text: str
    start: float | None
    end: float | None
    confidence: float | None


def spans(
    tokens: Sequence[str], ids: Sequence[int], log_probs: torch.Tensor | None, clock: Clock, most: float
) -> list[Span]:
    """Where each token is said.

    A token's confidence is the mean probability of the frames that the likeliest path gives it. Its time
    reaches ``REACH`` frames to both sides of them, or half the way to its neighbour.

    Args:
        ids: of the tokens.
        log_probs: of the output's CTC, (T', V); None where it has none.
        most: seconds at which the recording ends.
    """
    runs = None if log_probs is None else align(log_probs, ids)
    if log_probs is None or runs is None:
        return [Span(token, None, None, None) for token in tokens]
    found = []
    for number, (token, run) in enumerate(zip(tokens, runs, strict=True)):
        before = runs[number - 1].end if number else -2 * REACH
        after = runs[number + 1].start if number + 1 < len(runs) else len(log_probs) + 2 * REACH + 1
        start = max(run.start - REACH, (before + run.start) / 2)
        end = min(run.end + REACH, (run.end + after) / 2)
        begun, ended = (min(max(0.0, clock.start + frame * clock.step), most) for frame in (start, end))
        found.append(Span(token, round(begun, 3), round(ended, 3), round(run.score, 4)))
    return found


def letters(parts: Iterable[Span], token_type: str) -> tuple[Token, ...]:
    """The letters, syllables or phones of a text, whose tokens lie in ``parts``.

    Joined they are the text (phones and words: joined by spaces): a space is a token where it is said.
    """
    if token_type == "phn":
        return tuple(Token(*part) for part in parts)
    found: list[Token] = []
    for part in _characters(parts, token_type):
        if part.text != " " or (found and found[-1].text != " "):
            found.append(Token(*part))
    return tuple(found[:-1] if found and found[-1].text == " " else found)


def _characters(parts: Iterable[Span], token_type: str) -> list[Span]:
    if token_type == "jamo":
        return _syllables(list(parts))
    found: list[Span] = []
    if token_type == "whisper":
        parts = list(parts)
        texts = WhisperTokenizer.pieces([part.text for part in parts])
        parts = [part._replace(text=text) for part, text in zip(parts, texts, strict=True)]
    for number, part in enumerate(parts):
        text = part.text.replace("<space>", " ").replace("▁", " ")
        if token_type == "word" and number:
            text = f" {text}"
        found += _split(part, ["<unk>"] if text == "<unk>" else list(text))
    return found


def _split(part: Span, characters: list[str]) -> list[Span]:
    """Share a part's time among its characters."""
    if part.start is None or part.end is None:
        return [part._replace(text=character) for character in characters]
    step = (part.end - part.start) / max(1, len(characters))
    return [
        Span(character, round(part.start + i * step, 3), round(part.start + (i + 1) * step, 3), part.confidence)
        for i, character in enumerate(characters)
    ]


def _syllables(parts: list[Span]) -> list[Span]:
    """Compose the letters of Hangul; a syllable is as sure as its least sure letter."""
    single = [part._replace(text={"<space>": " ", "<unk>": "\ufffd"}.get(part.text, part.text)) for part in parts]
    found, place = [], 0
    for syllable in SYLLABLE.findall("".join(part.text for part in single)):
        inner = single[place : place + len(syllable)]
        place += len(syllable)
        sure = [part.confidence for part in inner if part.confidence is not None]
        text = unicodedata.normalize("NFC", syllable).replace("\ufffd", "<unk>")
        found.append(Span(text, inner[0].start, inner[-1].end, min(sure, default=None)))
    return found
