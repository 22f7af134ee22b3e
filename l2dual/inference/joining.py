"""One recording out of its pieces."""

from collections.abc import Sequence

from l2dual.inference.result import Step, Token, Transcription


def joined(parts: Sequence[Transcription], spaced: bool) -> Transcription:
    """The transcriptions of a recording's pieces as one.

    Args:
        spaced: whether the tokens are joined by spaces; else a space is a token, and put between pieces.
    """
    parts = [part for part in parts if part.text] or [*parts[:1], Transcription("", 0.0, (), ())][:1]
    if len(parts) == 1:
        return parts[0]
    between = () if spaced else (Token(" ", None, None, None),)
    tokens = [token for part in parts for token in (*between, *part.tokens)][len(between) :]
    text, score = " ".join(part.text for part in parts), sum(part.score for part in parts)
    return Transcription(text, score, tuple(tokens), ((text, score),))


def chained(parts: Sequence[tuple[Sequence[Step], int]], spaced: bool) -> list[Step]:
    """The alignments of a recording's pieces as one; each with the number of its surface's tokens."""
    found, number = [], 0
    for steps, tokens in parts:
        if number and tokens and not spaced:
            found.append(Step(" ", " ", number))
            number += 1
        found += [step._replace(token=step.token + number) for step in steps]
        number += tokens
    return found
