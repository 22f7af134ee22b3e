"""L2 Korean: standard pronunciation, learners' rules, and how what they say is written.

A word is said apart from its neighbours (citation form), by the rules of standard_korean.py. An
error changes one letter of a pronounced syllable: its onset, nucleus or coda.

The convention `heard` keeps the spelling wherever the learner spoke as a native would. It cannot
show an error that only restores the spelling (국물, standard [궁물], said as 국 and 물). Learners here do
not make these, so `heard` equals the text if there is no error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, product

import numpy as np

from l2dual.errors import DataError, UsageError
from l2dual.simulate.audible import audible_rules
from l2dual.simulate.korean_prompts import sentences
from l2dual.simulate.rules import BOUNDARY, Error, Rule, confusable, draw_errors, load_rules, pick
from l2dual.text.hangul import CODAS, NUCLEI, ONSETS, Syllable, compose, decompose
from l2dual.text.korean import standard
from l2dual.text.korean_sounds import CLUSTERS, NASAL, NEUTRAL

__all__ = ["L1S", "VOICE", "canonical", "caveats", "contrasts", "heard", "mispronounce"]
__all__ += ["others", "phonemes", "pronounced"]
__all__ += ["rules", "sentences"]

VOICE = "ko"
L1S = ("english", "mandarin", "japanese", "vietnamese")
NATIVE = "native"  # rules of standard pronunciation, beside the L1s in rules/ko.yaml
SLOTS = ("onset", "nucleus", "coda")
CODA_SOUNDS = tuple(dict.fromkeys(NEUTRAL.values()))
SOUNDS_OF_SLOT = {"onset": ONSETS, "nucleus": NUCLEI, "coda": CODA_SOUNDS}
LETTERS = frozenset((*ONSETS, *NUCLEI, *CODAS)) - {""}

# Mnemonics of espeak-ng's voice `ko`, one for each sound. Lax stops are voiced, as that voice has
# them between vowels and mostly at the beginning of a word too. Where its own choice is hardly
# heard, another mnemonic of its tables is used: t for ㄸ (its t- is like d), the long N- for coda ㅇ
# (its N is like n). ㅅ and ㅆ sound alike in it.
ONSET_PHONEMES = {
    **{"": "", "ㄴ": "n", "ㄹ": "*", "ㅁ": "m", "ㅅ": "s", "ㅆ": "s-", "ㅎ": "h"},
    **{"ㄱ": "g", "ㄷ": "d", "ㅂ": "b", "ㅈ": "dZ;"},
    **{"ㄲ": "k-", "ㄸ": "t", "ㅃ": "p-", "ㅉ": "tS;-"},
    **{"ㅋ": "kh", "ㅌ": "th", "ㅍ": "ph", "ㅊ": "tSh"},
}
NUCLEUS_PHONEMES = {
    **{"ㅏ": "a", "ㅐ": "E", "ㅓ": "@", "ㅔ": "e", "ㅗ": "o", "ㅜ": "u", "ㅡ": "u-", "ㅣ": "i"},
    **{"ㅑ": "ja", "ㅒ": "jE", "ㅕ": "j@", "ㅖ": "je", "ㅛ": "jo", "ㅠ": "ju"},
    **{"ㅘ": "wa", "ㅙ": "wE", "ㅚ": "we", "ㅝ": "w@", "ㅞ": "we", "ㅟ": "wi", "ㅢ": "u-j"},
}
CODA_PHONEMES = {"": "", "ㄱ": "k", "ㄴ": "n", "ㄷ": "t", "ㄹ": "L", "ㅁ": "m", "ㅂ": "p", "ㅇ": "N-"}
N_CONTRASTS = 8  # pairs of words that a rule is measured on
SECOND_L = "l"  # onset ㄹ after coda ㄹ: a long lateral, no flap


@dataclass(frozen=True)
class Spoken:
    """One spelled syllable, its standard pronunciation, and what was said."""

    spelled: Syllable
    standard: Syllable
    said: Syllable
    added: Syllable | None = None  # a syllable said after it: its coda with an inserted vowel


Word = tuple[Spoken, ...]


@dataclass(frozen=True)
class Speech:
    """An utterance: per word, its syllables."""

    words: tuple[Word, ...]


def canonical(text: str, engine: str = "espeak") -> Speech:
    """What a native speaker says for ``text``: Hangul words separated by single spaces.

    Native rules that ``engine`` does not render are left out. Raises DataError if a character is
    not a Hangul syllable.
    """
    if not text or text != " ".join(text.split()):
        raise DataError(f"text '{text}': write words separated by single spaces")
    return Speech(tuple(_standard_word(word, engine) for word in text.split(" ")))


def caveats(texts: list[str]) -> dict[str, list[str]]:
    """For the record of a corpus: nothing; see english.py."""
    return {}


def rules(l1: str, engine: str = "espeak") -> list[Rule]:
    """The rules of learners whose first language is ``l1`` that ``engine`` makes audible."""
    if l1 not in L1S:
        raise UsageError(f"no rules for L1 '{l1}' of Korean; choose from {sorted(L1S)}")
    return [rule for rule in _all_rules()[l1] if rule.name in audible_rules("ko", engine)]


def others(engine: str = "espeak") -> dict[tuple[str, str], tuple[str, ...]]:
    """For random substitution: per slot and letter, those that may be said in its place."""
    every = [rule for rules in _all_rules().values() for rule in rules]
    alike = {*confusable(every, audible_rules("ko", engine)), frozenset({"ㅚ", "ㅞ"})}
    return {
        (slot, letter): tuple(
            other for other in letters if other not in ("", letter) and {letter, other} not in alike
        )
        for slot, letters in SOUNDS_OF_SLOT.items()
        for letter in letters
    }


def mispronounce(
    speech: Speech,
    rules: Sequence[Rule],
    scale: float,
    rng: np.random.Generator,
    others: dict[tuple[str, str], tuple[str, ...]] | None = None,
) -> Speech:
    """Make each rule's error with its own rate times ``scale``, independently at each sound.

    Contexts are those of the standard pronunciation; a sound has at most one error, see
    draw_errors. With ``others`` the errors are at the same places, but a letter that is
    substituted or inserted is a random one.
    """
    return Speech(tuple(_mispronounce(word, rules, scale, rng, others) for word in speech.words))


def heard(text: str, speech: Speech) -> str:
    """``text`` respelled where ``speech`` differs from the standard; equal to it nowhere else.

    A wrong onset, nucleus or coda replaces its letter. Where the letters between two vowels are not
    those that are pronounced (먹어 [머거], 국물 [궁물]), both are respelled as pronounced (머커).
    """
    if text.split() != ["".join(compose(s.spelled) for s in word) for word in speech.words]:
        raise DataError(f"text '{text}' is not what this speech was made from")
    return " ".join(_spell(_heard_word(word)) for word in speech.words)


def pronounced(speech: Speech) -> str:
    """Hangul as pronounced, errors included; words separated by spaces."""
    return " ".join(_spell(_said(word)) for word in speech.words)


def phonemes(speech: Speech) -> str:
    """Mnemonics of espeak-ng's voice `ko`; words separated by spaces, stress on the first vowel."""
    return " ".join(_word_phonemes(_said(word)) for word in speech.words)


def contrasts() -> dict[str, list[tuple[Speech, Speech]]]:
    """For every rule of rules/ko.yaml, by name: words said without it and with it."""
    found: dict[str, list[tuple[Speech, Speech]]] = {}
    words = dict.fromkeys(word for text in sentences(0) for word in text.split())
    for rule in {rule.name: rule for l1 in _all_rules().values() for rule in l1}.values():
        pairs = filter(None, (_contrast(word, rule) for word in words))
        found[rule.name] = list(islice(pairs, N_CONTRASTS))
    return found


# Which sites a rule's `position` means: the slot, and what holds there.
POSITIONS: dict[str, tuple[str, Callable[[Word, int], bool]]] = {
    "nucleus": ("nucleus", lambda word, i: True),
    "onset": ("onset", lambda word, i: True),
    "initial": ("onset", lambda word, i: i == 0),
    "linked": ("onset", lambda word, i: not word[i].spelled.onset and word[i].standard.onset != ""),
    "palatalized": ("onset", lambda word, i: _palatalized(word, i)),
    "silent-h": ("onset", lambda word, i: i > 0 and word[i - 1].spelled.coda == "ㅎ"),
    "coda": ("coda", lambda word, i: True),
    "cluster": ("coda", lambda word, i: word[i].spelled.coda in CLUSTERS),
    "nasalized": ("coda", lambda word, i: _nasalized(word[i])),
}


def _palatalized(word: Word, i: int) -> bool:
    spelled = (word[i - 1].spelled.coda, word[i].spelled.onset) if i else None
    return spelled in (("ㄷ", ""), ("ㅌ", "")) and word[i].standard.onset in ("ㅈ", "ㅊ")


def _nasalized(spoken: Spoken) -> bool:
    return NASAL.get(NEUTRAL[spoken.spelled.coda]) == spoken.standard.coda != ""


@cache
def _all_rules() -> dict[str, tuple[Rule, ...]]:
    """The rules by L1, and under NATIVE those of standard pronunciation."""
    by_l1 = load_rules("ko", LETTERS, frozenset(POSITIONS))
    for rules in by_l1.values():
        for rule in rules:
            _check(rule)
    return by_l1


def _check(rule: Rule) -> None:
    most = {"nucleus": 1, "onset": 1, "coda": 2}.get(_slot(rule), 0)
    if len(rule.old) > 1 or len(rule.new) > most:
        raise DataError(
            f"rules/ko.yaml: {rule.l1}/{rule.name}: give a position, at most one letter in `from`,"
            " and in `to` at most one letter, or for a coda also a consonant and a vowel"
        )


def _slot(rule: Rule) -> str:
    return POSITIONS[rule.position][0] if rule.position else ""


# --- standard pronunciation


@cache
def _full_standard_word(word: str) -> Word:
    """``word`` by all rules of standard pronunciation, those too that cannot be heard."""
    spelled = map(decompose, word)
    return tuple(Spoken(one, said, said) for one, said in zip(spelled, standard(word), strict=True))


@cache
def _standard_word(word: str, engine: str) -> Word:
    """``word`` by the rules of standard pronunciation that ``engine`` renders audibly."""
    spoken = _full_standard_word(word)
    for rule in _all_rules()[NATIVE]:
        if rule.name not in audible_rules("ko", engine):
            spoken = _without(spoken, rule)
    return spoken


def _without(word: Word, rule: Rule) -> Word:
    """``word`` as it is where the native ``rule`` does not apply."""
    slot, holds = POSITIONS[rule.position]
    changed = list(word)
    for i, spoken in enumerate(word):
        applied = _source(word, i, slot), getattr(spoken.standard, slot)
        if applied == (rule.old[0], rule.new[0]) and holds(word, i):
            standard = spoken.standard._replace(**{slot: rule.old[0]})
            changed[i] = replace(spoken, standard=standard, said=standard)
    return tuple(changed)


def _source(word: Word, i: int, slot: str) -> str:
    """The spelled letter that the sound in this slot goes back to."""
    if slot == "coda":
        return NEUTRAL[word[i].spelled.coda]
    before = word[i - 1].spelled.coda if i else ""
    return word[i].spelled.onset or CLUSTERS.get(before, before)[-1:]


# --- learners' errors


def _mispronounce(
    word: Word,
    rules: Sequence[Rule],
    scale: float,
    rng: np.random.Generator,
    others: dict[tuple[str, str], tuple[str, ...]] | None,
) -> Word:
    places = [(i, slot) for i in range(len(word)) for slot in SLOTS]
    sites = [[rule for rule in rules if _is_site(word, *place, rule)] for place in places]
    said = word
    for error in draw_errors(sites, rng):
        if error.threshold < scale:
            changed = _apply(said, places[error.site][0], error.rule, _new(error, others))
            said = changed if _without_traceless(changed) == changed else said
    return said


def _new(error: Error, others: dict[tuple[str, str], tuple[str, ...]] | None) -> tuple[str, ...]:
    slot, old, new = _slot(error.rule), "".join(error.rule.old), error.rule.new
    if others is None or not new:
        return new
    if len(new) == 1:
        return (pick(others[slot, old], error.draw),)
    consonants, vowels = others["onset", new[0]], others["nucleus", new[1]]
    return pick(list(product(consonants, vowels)), error.draw)


def _is_site(word: Word, i: int, slot: str, rule: Rule) -> bool:
    rule_slot, holds = POSITIONS[rule.position]
    letter = "".join(rule.old)
    if slot != rule_slot or getattr(word[i].standard, slot) != letter or not holds(word, i):
        return False
    return rule.fits(*_neighbours(word, 3 * i + SLOTS.index(slot)))


def _neighbours(word: Word, place: int) -> tuple[str, str]:
    """The sounds before and after the slot ``place``; "#" beyond the word."""
    letters = [letter for spoken in word for letter in spoken.standard]
    before = next(filter(None, reversed(letters[:place])), BOUNDARY)
    return before, next(filter(None, letters[place + 1 :]), BOUNDARY)


def _apply(word: Word, i: int, rule: Rule, new: tuple[str, ...]) -> Word:
    slot = _slot(rule)
    if len(new) == 2:  # the coda becomes the onset of one more syllable
        changed = replace(word[i], said=word[i].said._replace(coda=""), added=Syllable(*new))
    else:
        changed = replace(word[i], said=word[i].said._replace(**{slot: "".join(new)}))
    return word[:i] + (changed,) + word[i + 1 :]


def _without_traceless(word: Word) -> Word:
    """``word`` without the errors that would only restore its spelling."""
    said = [spoken.said for spoken in word]
    for i, (spelled, due) in _borders(word):
        if _border_said(word, i) == (spelled[0], None, spelled[1]) and spelled != due:
            if i >= 0:
                said[i] = said[i]._replace(coda=due[0])
            if i + 1 < len(word):
                said[i + 1] = said[i + 1]._replace(onset=due[1])
    for i, spoken in enumerate(word):
        if spoken.said.nucleus == spoken.spelled.nucleus:
            said[i] = said[i]._replace(nucleus=spoken.standard.nucleus)
    return tuple(replace(spoken, said=new) for spoken, new in zip(word, said, strict=True))


Border = tuple[str, str]  # a coda and the onset of the next syllable


def _borders(word: Word) -> Iterator[tuple[int, tuple[Border, Border]]]:
    """Per border, from the one before the first syllable (-1) to the one after the last: its
    number, and what stands there in spelling and in standard pronunciation."""
    for i in range(-1, len(word)):
        here, after = word[i] if i >= 0 else None, word[i + 1] if i + 1 < len(word) else None
        spelled = here.spelled.coda if here else "", after.spelled.onset if after else ""
        standard = here.standard.coda if here else "", after.standard.onset if after else ""
        yield i, (spelled, standard)


def _border_said(word: Word, i: int) -> tuple[str, Syllable | None, str]:
    """The coda, inserted syllable and onset that were said at border ``i``."""
    coda, added = (word[i].said.coda, word[i].added) if i >= 0 else ("", None)
    return coda, added, word[i + 1].said.onset if i + 1 < len(word) else ""


def _heard_word(word: Word) -> list[Syllable]:
    letters = [list(spoken.spelled) for spoken in word]
    for spoken, syllable in zip(word, letters, strict=True):
        if spoken.said.nucleus != spoken.standard.nucleus:
            syllable[1] = spoken.said.nucleus
    for i, (spelled, due) in _borders(word):
        coda, added, onset = _border_said(word, i)
        if (coda, added, onset) == (due[0], None, due[1]):
            continue
        as_pronounced = spelled != due
        if i >= 0 and (as_pronounced or coda != due[0]):
            letters[i][2] = coda
        if i + 1 < len(word) and (as_pronounced or onset != due[1]):
            letters[i + 1][0] = onset
    return _with_added(word, [Syllable(*syllable) for syllable in letters])


def _said(word: Word) -> list[Syllable]:
    return _with_added(word, [spoken.said for spoken in word])


def _with_added(word: Word, syllables: list[Syllable]) -> list[Syllable]:
    pairs = zip(syllables, (spoken.added for spoken in word), strict=True)
    return [syllable for pair in pairs for syllable in pair if syllable is not None]


def _spell(syllables: list[Syllable]) -> str:
    return "".join(map(compose, syllables))


def _word_phonemes(syllables: list[Syllable]) -> str:
    parts = []
    for i, (onset, nucleus, coda) in enumerate(syllables):
        double_l = onset == "ㄹ" and i > 0 and syllables[i - 1].coda == "ㄹ"
        first = SECOND_L if double_l else ONSET_PHONEMES[onset]
        stress = "'" if i == 0 else ""
        parts.append(first + stress + NUCLEUS_PHONEMES[nucleus] + CODA_PHONEMES[coda])
    return "|".join(parts)  # so that coda t and onset h are not read as the mnemonic th


# --- for the audible gate


def _contrast(word: str, rule: Rule) -> tuple[Speech, Speech] | None:
    """``word`` said without and with ``rule``, applied once; None if it has no site."""
    spoken = _full_standard_word(word)
    if rule.l1 == NATIVE:
        before, after = _without(spoken, rule), spoken
    else:
        slot = _slot(rule)
        sites = [i for i in range(len(spoken)) if _is_site(spoken, i, slot, rule)]
        before = spoken
        after = _without_traceless(_apply(spoken, sites[0], rule, rule.new)) if sites else spoken
    if before == after:
        return None
    return Speech((before,)), Speech((after,))
