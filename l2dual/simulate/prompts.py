"""The user's own prompts for simulated learners: a text file, one sentence a line."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from l2dual.errors import DataError
from l2dual.simulate import phonology

PUNCTUATION = re.compile(r"""[.,!?…~:;"“”‘()–—-]""")
QUOTED = re.compile(r"‘([^‘’]*)’(?!\w)")
LETTERS = {"en": ("a to z and '", re.compile("[a-z' ]")), "ko": ("Hangul", re.compile("[가-힣 ]"))}


def read_prompts(path: Path, language: str, seed: int) -> list[str]:
    """The sentences of ``path``, without punctuation and in lower case, in an order by ``seed``.

    DataError for an empty line, a duplicate sentence, a letter outside the language's alphabet, or
    a word without a pronunciation: the first such line, and the number of others.
    """
    lines = _read(path).splitlines()
    wrong: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        sentence = clean(line)
        problem = next(_problems(sentence, language, seen), None)
        seen.setdefault(sentence, number)
        if problem:
            wrong.append(f"{path}: line {number}: {problem}")
    if wrong:
        more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
        raise DataError(wrong[0] + more)
    sentences = list(seen)
    return [sentences[i] for i in np.random.default_rng(seed).permutation(len(sentences))]


def clean(line: str) -> str:
    """``line`` in NFC and lower case, with single spaces and without punctuation."""
    text = QUOTED.sub(r" \1 ", unicodedata.normalize("NFC", line)).lower().replace("’", "'")
    return " ".join(PUNCTUATION.sub(" ", text).split())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing; give --prompts a file of sentences") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from None


def _problems(sentence: str, language: str, seen: dict[str, int]) -> Iterator[str]:
    name, allowed = LETTERS[language]
    if not sentence:
        yield "empty; remove it"
    for character in allowed.sub("", sentence)[:1]:
        yield f"'{character}' is not one of the letters ({name}); write it out in words"
    if sentence in seen:
        yield f"the same sentence as line {seen[sentence]}; remove it"
    try:
        phonology(language).canonical(sentence)
    except DataError as error:
        yield str(error)
