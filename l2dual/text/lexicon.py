"""A corpus's pronunciation of English words, and what its learners say instead: counted in its training data.

The canonical phones of a corpus may have another accent than CMUdict's: in speechocean762 "not" is N AH T, not
N AA T. A rule says what a phone of CMUdict becomes between its neighbours; words that the rules get wrong are
listed. A word that the corpus lacks follows the rules. For each canonical phone the annotation's phones in its place
are counted too.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.text import english
from l2dual.text.units import align_tokens

FILE = "lexicon.json"  # of a run, or of an archive
EDGE, ANY = "#", "*"
LEAST = 2  # words that must have a context
OWN = 5  # times that each phone counts as said as it is, before any other is counted

Phones = tuple[str, ...]


class Annotated(NamedTuple):
    """An utterance of the training data: what was meant, the corpus's phones for it, and those that were said."""

    meaning: str
    canonical: str
    surface: str


@dataclass(frozen=True)
class Lexicon:
    """English words in phones (ARPAbet without stress; the weak vowel is AX). An empty one is CMUdict.

    Attributes:
        rules: what a phone becomes, by "before phone after"; ``#`` is the edge of the word, ``*`` any phone.
        words: the pronunciation of words that the rules get wrong.
        said: for each canonical phone, how probable each phone is in its place.
    """

    rules: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    said: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def learn(cls, utterances: Iterable[Annotated]) -> "Lexicon":
        """Count what stands in the place of each phone of CMUdict, and of each canonical phone.

        Args:
            utterances: of the training data; a word that CMUdict, and espeak-ng, can't read is left out.
        """
        words: dict[str, Counter[tuple[Phones, ...]]] = defaultdict(Counter)
        said: dict[str, Counter[str]] = defaultdict(Counter)
        for one in utterances:
            for word, own in _by_word(one):
                words[word][own] += 1
            for due, heard in align_tokens(one.canonical.split(), one.surface.split()):
                if due and heard:
                    said[due][heard] += 1
        for due, counts in said.items():
            counts[due] += OWN
        listed = {word: _likeliest(forms) for word, forms in sorted(words.items())}
        by_rules = cls(_rules(listed))
        joined = {word: tuple(phone for some in own for phone in some) for word, own in listed.items()}
        wrong = {word: form for word, form in joined.items() if by_rules.readings(word)[0] != form}
        return cls(by_rules.rules, wrong, {due: _shares(counts) for due, counts in sorted(said.items())})

    def readings(self, word: str) -> list[Phones]:
        """Ways to say a word, the corpus's first, then CMUdict's; DataError if nobody can read it."""
        listed = english.forms(word)
        own = (tuple(self.words[word]) if word in self.words else self._by_rules(listed[0])) or listed[0]
        return [own, *(form for form in listed if form != own)]

    def by_word(self, text: str) -> list[list[str]]:
        """The phones of each word of a text, the weak vowel as AH; without words that nobody can read."""
        found = []
        for word in english.words(text):
            with suppress(DataError):
                found.append(english.plain(self.readings(word)[0]).split())
        return found

    def phones(self, text: str) -> list[str]:
        """What a text calls for: the phones of all words that somebody can read."""
        return [phone for word in self.by_word(text) for phone in word]

    def nearest(self, text: str, said: str) -> str:
        """As `english.nearest`, by this lexicon; the weak vowel as AH."""
        return english.nearest(text, said, self.readings).replace("AX", "AH")

    def _by_rules(self, usual: Phones) -> Phones:
        found: list[str] = []
        for phone, keys in zip(usual, _contexts(usual), strict=True):
            found += next((self.rules[key] for key in keys if key in self.rules), (phone,))
        return tuple(found)

    def save(self, folder: Path) -> None:
        """Write FOLDER/lexicon.json."""
        with atomic_write(folder / FILE) as stream:
            json.dump(asdict(self), stream, indent=1)

    @classmethod
    def load(cls, folder: Path) -> "Lexicon":
        """Read what :meth:`save` wrote, or an empty one where there is nothing; DataError if it is something else."""
        file = folder / FILE
        if not file.is_file():
            return cls()
        try:
            found = cls(**json.loads(file.read_text(encoding="utf-8")))
            for phones in (*found.rules.values(), *found.words.values()):
                if not isinstance(phones, list) or not all(isinstance(phone, str) and phone for phone in phones):
                    raise ValueError(f"{phones} is no list of phones")
            for due, shares in found.said.items():
                if not all(0 <= share <= 1 for share in shares.values()):
                    raise ValueError(f"said for {due}: no probabilities")
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{file}: no lexicon ({error}): delete it, and CMUdict is used") from error
        return found


def _by_word(one: Annotated) -> Iterator[tuple[str, tuple[Phones, ...]]]:
    """Each word, and what the corpus has in the place of each of its phones in CMUdict."""
    readings = []
    for word in english.words(one.meaning):
        with suppress(DataError):
            readings.append((word, english.forms(word)[0]))
    usual = [phone for _, phones in readings for phone in phones]
    if not usual:
        return
    own: list[list[str]] = [[] for _ in usual]
    place = 0
    for ours, theirs in align_tokens(english.plain(usual).split(), one.canonical.split()):
        here = place if ours else max(place - 1, 0)
        place += ours is not None
        if theirs:
            own[here].append("AX" if usual[here] == "AX" and theirs == "AH" else theirs)
    start = 0
    for word, phones in readings:
        yield word, tuple(tuple(some) for some in own[start : start + len(phones)])
        start += len(phones)


def _contexts(phones: Phones) -> Iterator[tuple[str, str, str]]:
    """The keys of each phone's rules, the most special first."""
    whole = (EDGE, *phones, EDGE)
    for before, phone, after in zip(whole, whole[1:], whole[2:], strict=False):
        yield f"{before} {phone} {after}", f"{ANY} {phone} {after}", f"{ANY} {phone} {ANY}"


def _rules(listed: Mapping[str, tuple[Phones, ...]]) -> dict[str, Phones]:
    """The outcome of each context in most words, where a more general rule has another one."""
    contexts: dict[str, Counter[Phones]] = defaultdict(Counter)
    for word, own in listed.items():
        for keys, phones in zip(_contexts(english.forms(word)[0]), own, strict=True):
            for key in keys:
                contexts[key][phones] += 1
    rules: dict[str, Phones] = {}
    for key in sorted(contexts, key=lambda key: (-key.count(ANY), key)):
        before, phone, after = key.split()
        general = [f"{ANY} {phone} {after}"] * (before != ANY) + [f"{ANY} {phone} {ANY}"]
        known = next((rules[one] for one in general if one in rules), (phone,))
        counts = contexts[key]
        outcome = _likeliest(counts)
        if counts.total() >= LEAST and counts[outcome] > counts[known]:
            rules[key] = outcome
    return rules


def _likeliest[Outcome: tuple](counts: Counter[Outcome]) -> Outcome:
    """The most frequent one; of several the longest, so that nothing is left out by chance."""
    return min(counts, key=lambda outcome: (-counts[outcome], -len(outcome), outcome))


def _shares(counts: Counter[str]) -> dict[str, float]:
    return {phone: round(number / counts.total(), 5) for phone, number in sorted(counts.items())}
