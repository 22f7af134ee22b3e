"""Times of the meaning's words where the meaning has no CTC: those of the phones that were said for them."""

from collections.abc import Sequence
from dataclasses import replace

from l2dual.inference.result import Step, Token, Transcription
from l2dual.text import english
from l2dual.text.lexicon import Lexicon


def with_times(
    meaning: Transcription, alignment: Sequence[Step], surface: Sequence[Token], lexicon: Lexicon
) -> Transcription:
    """``meaning`` with the times of its words; a space has those of the gap, confidences stay None.

    Args:
        meaning: English.
        alignment: of the phones that it calls for with the surface's.
        surface: phones and their times.
        lexicon: that the alignment is by.
    """
    due = [(step.due, surface[step.token] if step.said else None) for step in alignment if step.due]
    words = meaning.text.split()
    parts = _parts(words, [phone for phone, _ in due], lexicon)
    if parts is None or not all(token.start is None for token in meaning.tokens):
        return meaning
    spans, now = [], 0.0
    for start, end in parts:
        said = [token for _, token in due[start:end] if token]
        begun = [token.start for token in said if token.start is not None]
        ended = [token.end for token in said if token.end is not None]
        spans.append((begun[0] if begun else now, ended[-1] if ended else now))
        now = spans[-1][1]
    tokens, number = [], 0
    for token in meaning.tokens:
        if token.text == " ":
            number += 1
            tokens.append(replace(token, start=spans[number - 1][1], end=max(spans[number - 1][1], spans[number][0])))
        else:
            tokens.append(replace(token, start=spans[number][0], end=spans[number][1]))
    return replace(meaning, tokens=tuple(tokens))


def _parts(words: Sequence[str], phones: Sequence[str], lexicon: Lexicon) -> list[tuple[int, int]] | None:
    """Where each word's phones lie, by its pronunciations; None if they don't fit."""
    ends: dict[int, list[tuple[int, int]]] = {0: []}  # of the words so far, and their parts
    for word in words:
        forms = [english.plain(form).split() for each in english.words(word) for form in lexicon.readings(each)]
        further = {}
        for place, parts in ends.items():
            for form in forms:
                end = place + len(form)
                if list(phones[place:end]) == form:
                    further[end] = [*parts, (place, end)]
        ends = further
    return ends.get(len(phones))
