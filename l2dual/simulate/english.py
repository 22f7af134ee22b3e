"""English: prompts, canonical pronunciation (CMUdict), learners' errors and their respelling.

Phones are ARPAbet without stress, and AX for CMUdict's AH0; stress is kept beside them. The data
are in data/en.*.yaml and rules/en.yaml.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import count, product
from pathlib import Path
from string import Formatter

import numpy as np
import yaml

from l2dual.errors import DataError
from l2dual.simulate.audible import audible_rules
from l2dual.simulate.rules import BOUNDARY, Error, Rule, confusable, draw_errors, load_rules, pick
from l2dual.text.english import VOICE as VOICE
from l2dual.text.english import marked, plain, unlisted

LANGUAGE = "en"
DATA = Path(__file__).parent / "data"
POSITIONS = frozenset({"initial", "medial", "final", "stressed"})


@dataclass(frozen=True)
class Word:
    """A word as it is said: the phones said for each canonical phone.

    ``stress`` has 1 (primary), 2 (secondary) or 0 for each phone. ``said[i]`` is ``(phones[i],)``
    where there is no error, empty where the phone is dropped, longer where one was inserted.
    """

    text: str
    phones: tuple[str, ...]
    stress: tuple[int, ...]
    said: tuple[tuple[str, ...], ...]

    def error(self, i: int) -> bool:
        """Whether the phone ``i`` is mispronounced."""
        return self.said[i] != (self.phones[i],)


@dataclass(frozen=True)
class Speech:
    """A sentence as it is said."""

    words: tuple[Word, ...]


@dataclass(frozen=True)
class Chunk:
    """Letters that write the phones from ``start`` to before ``stop``; silent ones write none."""

    letters: str
    start: int
    stop: int


@cache
def _data(name: str) -> dict:
    return yaml.safe_load((DATA / f"{LANGUAGE}.{name}.yaml").read_text(encoding="utf-8"))


@cache
def _spellings() -> dict[tuple[str, ...], list[str]]:
    data = _data("spellings")
    table = {**data["spellings"], **data["pairs"]}
    return {tuple(phones.split()): spellings.split() for phones, spellings in table.items()}


VOWELS = frozenset("AA AE AH AX AO AW AY EH ER EY IH IY OW OY UH UW".split())
PHONES = frozenset(_data("espeak")["phones"])


def sentences(seed: int) -> list[str]:
    """All prompts, distinct, lower case without punctuation, in an order drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    data = _data("sentences")
    prompts = []
    for template in data["templates"]:
        slots = [slot for _, slot, _, _ in Formatter().parse(template) if slot]
        fillings = list(product(*(data["slots"][slot] for slot in slots)))
        kept = rng.permutation(len(fillings))[: data["cap"]]
        form = template.format(**{slot: "{}" for slot in slots})
        prompts += [form.format(*fillings[i]) for i in sorted(kept)]
    prompts = list(dict.fromkeys(prompts))
    return [prompts[i] for i in rng.permutation(len(prompts))]


@cache
def lexicon() -> tuple[str, ...]:
    """Every word that a prompt may have."""
    data = _data("sentences")
    texts = [text for slot in data["slots"].values() for text in slot]
    for template in data["templates"]:
        texts += [literal for literal, *_ in Formatter().parse(template)]
    return tuple(sorted({word for text in texts for word in text.split()}))


def canonical(text: str, engine: str = "espeak") -> Speech:
    """The citation form of every word of ``text``, whose words are separated by single spaces.

    ``engine`` changes nothing here: no rule is a native speaker's.
    """
    return Speech(tuple(_word(word) for word in text.split()))


@cache
def _word(text: str) -> Word:
    phones, stress = marked(text)
    return Word(text, phones, stress, tuple((phone,) for phone in phones))


def caveats(texts: list[str]) -> dict[str, list[str]]:
    """For the record of a corpus: words of ``texts`` whose pronunciation is a guess, and words
    that are said without errors because their letters cannot be aligned with their phones."""
    found = sorted({word for text in texts for word in text.split()})
    return {
        "guessed_words": [word for word in found if unlisted(word)],
        "words_without_errors": [word for word in found if not respellable(_word(word))],
    }


def all_rules() -> dict[str, tuple[Rule, ...]]:
    """The rules of rules/en.yaml by L1, inaudible ones too."""
    return load_rules(LANGUAGE, PHONES, POSITIONS)


L1S = tuple(all_rules())


def rules(l1: str, engine: str = "espeak") -> list[Rule]:
    """The rules of learners whose first language is ``l1``, those that ``engine`` makes audible."""
    return [rule for rule in all_rules()[l1] if rule.name in audible_rules(LANGUAGE, engine)]


def others(engine: str = "espeak") -> dict[str, tuple[str, ...]]:
    """For random substitution: the vowels or consonants that a phone may be replaced by."""
    every = [rule for rules in all_rules().values() for rule in rules]
    alike = confusable(every, audible_rules(LANGUAGE, engine))
    alike |= {frozenset({"AH", "AX"}), frozenset({"DH", "TH"})}  # written alike
    return {
        phone: tuple(
            other
            for other in sorted(PHONES - {phone, "AX"})
            if _is_vowel(other) == _is_vowel(phone) and {phone, other} not in alike
        )
        for phone in PHONES
    }


def _is_vowel(phone: str) -> bool:
    return phone in VOWELS or phone == "AX"


def mispronounce(
    speech: Speech,
    rules: list[Rule],
    scale: float,
    rng: np.random.Generator,
    others: dict[str, tuple[str, ...]] | None = None,
) -> Speech:
    """Make each rule's error with its own rate times ``scale``, independently at each phone.

    Contexts are those of the canonical phones; a phone has at most one error, see draw_errors.
    With ``others`` the errors are at the same places, but a phone that is substituted or
    inserted is a random one. A word whose letters cannot be aligned is said without errors.
    """
    words = []
    for word in speech.words:
        said = list(word.said)
        for error in draw_errors(_sites(word, rules), rng):
            if error.threshold < scale:
                said[error.site] = _changed(error, others)
        words.append(replace(word, said=tuple(said)))
    return Speech(tuple(words))


def _changed(error: Error, others: dict[str, tuple[str, ...]] | None) -> tuple[str, ...]:
    old, new = error.rule.old, error.rule.new
    if others is None or not new:
        return new
    if len(new) == 1:
        return (pick(others[old[0]], error.draw),)
    return (*new[:-1], pick(others[new[-1]], error.draw))


def _sites(word: Word, rules: list[Rule]) -> list[list[Rule]]:
    if not respellable(word):
        return []
    return [[rule for rule in rules if _applies(rule, word, i)] for i in range(len(word.phones))]


@cache
def respellable(word: Word) -> bool:
    """Whether the letters of ``word`` can be aligned with its phones."""
    try:
        return bool(alignment(word.text, word.phones))
    except DataError:
        return False


def _applies(rule: Rule, word: Word, i: int) -> bool:
    phones = (BOUNDARY, *word.phones, BOUNDARY)
    last = len(word.phones) - 1
    place = "initial" if i == 0 else "final" if i == last else "medial"
    return (
        rule.old == (word.phones[i],)
        and rule.fits(phones[i], phones[i + 2])
        and (not rule.position or rule.position == place or _stressed(rule, word, i))
    )


def _stressed(rule: Rule, word: Word, i: int) -> bool:
    return rule.position == "stressed" and word.stress[i] == 1


def heard(text: str, speech: Speech) -> str:
    """``text`` respelled where ``speech`` errs; equal to ``text`` exactly where it does not."""
    return " ".join(
        _respell(word) if any(map(word.error, range(len(word.phones)))) else spelled
        for spelled, word in zip(text.split(), speech.words, strict=True)
    )


def _respell(word: Word) -> str:
    """The first respelling that differs from the word."""
    for skip in count():
        letters = "".join(_letters(word, skip))
        if letters != word.text:
            return letters


def _letters(word: Word, skip: int) -> list[str]:
    """The letters of each chunk; ``skip`` passes over that many spellings of a changed phone."""
    parts = []
    inserted = False
    for chunk in alignment(word.text, word.phones):
        span = range(chunk.start, chunk.stop)
        if not span:  # the silent e of "like" is dropped when a vowel follows the k
            parts.append("" if inserted else chunk.letters)
        elif not any(map(word.error, span)):
            parts.append(chunk.letters)
        elif len(span) == 1 and word.said[chunk.start][:1] == (word.phones[chunk.start],):
            parts += [chunk.letters, *(_spell(p, skip) for p in word.said[chunk.start][1:])]
        else:
            parts += [_spell(p, skip, chunk.letters) for i in span for p in word.said[i]]
        inserted = bool(span) and len(word.said[span[-1]]) > 1
    return parts


def _spell(phone: str, skip: int, unlike: str = "") -> str:
    """The phone's first spelling that is not ``unlike``, or the one ``skip`` places later."""
    choices = [letters for letters in _spellings()[(phone,)] if letters != unlike]
    return choices[skip % len(choices)]


@cache
def alignment(text: str, phones: tuple[str, ...]) -> tuple[Chunk, ...]:
    """Which letters of a word write which phones, at the least cost.

    A spelling of data/en.spellings.yaml costs little, a silent letter more. DataError if the
    table cannot write the word.
    """
    silent = _data("spellings")["silent"]
    best: dict[tuple[int, int], tuple[float, tuple[Chunk, ...]]] = {(0, 0): (0.0, ())}

    def offer(letter: int, phone: int, cost: float, path: tuple[Chunk, ...]) -> None:
        if cost < best.get((letter, phone), (np.inf,))[0]:
            best[letter, phone] = (cost, path)

    for i, j in product(range(len(text) + 1), range(len(phones) + 1)):
        if (i, j) not in best:
            continue
        cost, path = best[i, j]
        if i < len(text):
            price = silent.get(text[i], silent["other"])
            offer(i + 1, j, cost + price, (*path, Chunk(text[i], j, j)))
        for width in (1, 2):
            unit = phones[j : j + width]
            for rank, letters in enumerate(_spellings().get(unit, [])):
                if len(unit) == width and text.startswith(letters, i):
                    chunk = Chunk(letters, j, j + width)
                    offer(i + len(letters), j + width, cost + 0.01 * rank, (*path, chunk))
    if (len(text), len(phones)) not in best:
        raise DataError(
            f"cannot align the word '{text}' with its phones {' '.join(phones)};"
            f" add a spelling to {DATA / 'en.spellings.yaml'}"
        )
    return best[len(text), len(phones)][1]


def pronounced(speech: Speech) -> str:
    """What is said in ARPAbet phones without stress, separated by spaces."""
    return plain(phone for word in speech.words for said in word.said for phone in said)


def phonemes(speech: Speech) -> str:
    """What is said in phoneme mnemonics of espeak-ng, words separated by spaces."""
    return " ".join(filter(None, map(_mnemonics, speech.words)))


def _mnemonics(word: Word) -> str:
    data = _data("espeak")
    said = []
    for phones, stress in zip(word.said, word.stress, strict=True):
        said += [(phone, stress if i == 0 else 0) for i, phone in enumerate(phones)]
    parts = []
    merged = False
    for i, (phone, stress) in enumerate(said):
        if merged:  # with the vowel before it
            merged = False
            continue
        after = [other for other, _ in said[i + 1 : i + 3]]
        pair = f"{phone} {after[0]}" if after and after[-1] not in VOWELS else ""
        merged = pair in data["merged"]
        if merged:
            mnemonic = data["merged"][pair]
        elif stress == 0 and phone in data["unstressed"]:
            mnemonic = data["unstressed"][phone]
        else:
            mnemonic = data["phones"][phone]
        mark = {1: "'", 2: ","}.get(stress, "") if phone in VOWELS else ""
        parts.append(mark + mnemonic)
    return "|".join(parts)


def contrasts() -> dict[str, list[tuple[Speech, Speech]]]:
    """For the audible gate: per rule, words of the lexicon said without and with it."""
    pairs: dict[str, list[tuple[Speech, Speech]]] = {}
    for rule in {rule.name: rule for l1 in L1S for rule in all_rules()[l1]}.values():
        found = []
        for word in map(_word, lexicon()):
            sites = [i for i in range(len(word.phones)) if _applies(rule, word, i)]
            if sites:
                i = sites[0]
                changed = replace(word, said=word.said[:i] + (rule.new,) + word.said[i + 1 :])
                found.append((Speech((word,)), Speech((changed,))))
        step = max(1, len(found) // 6)  # spread over the alphabet
        pairs[rule.name] = found[::step][:6]
    return pairs
