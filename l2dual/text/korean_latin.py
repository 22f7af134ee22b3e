"""Latin letters within Korean text, in Hangul: file 파일, TV 티브이.

English words come with the phones of english_words.py, written by the rules for foreign words
(외래어 표기법); abbreviations are read by their letters' names. data/ko.latin.yaml has both.
"""

import re
from functools import cache
from pathlib import Path

import yaml

from l2dual.text import english as english_words
from l2dual.text.hangul import Syllable, compose

DATA = Path(__file__).parent / "data" / "ko.latin.yaml"
LATIN = re.compile(r"\d[A-Za-z]\b|[A-Za-z][A-Za-z']*\d?")
MOST_LETTERS = 3  # of capitals that are always read by their names


def pieces(text: str) -> list[tuple[str, ...]]:
    """``text`` in pieces, each with every form that is licensed, the default first."""
    found, end = [], 0
    for match in LATIN.finditer(text):
        found += [(text[end : match.start()],), _read(match[0])]
        end = match.end()
    return [*found, (text[end:],)]


@cache
def _data() -> dict:
    return yaml.safe_load(DATA.read_text(encoding="utf-8"))


@cache
def _read(word: str) -> tuple[str, ...]:
    known = _data()["words"].get(word.lower())
    if known:
        return (known,)
    letters = re.sub(r"[\d']", "", word)
    if len(letters) < len(word) and word[-1].isdigit() or word[0].isdigit():
        return tuple(word.replace(letters, read) for read in _read(letters))
    short = letters.isupper() and len(letters) <= MOST_LETTERS or len(letters) == 1
    unlisted = bool(english_words.unlisted(word))
    if short or unlisted and (letters.isupper() or not re.search("[aeiouy]", letters.lower())):
        return _spelled(letters.lower())
    return ("".join(map(compose, _syllables(english_words.marked(word.lower())[0]))),)


def _spelled(letters: str) -> tuple[str, ...]:
    """By the letters' names: all of the standard's, or all of the common ones."""
    names = [_data()["letters"][letter].split() for letter in letters]
    return tuple(dict.fromkeys("".join(name[i] for name in names) for i in (0, -1)))


def _syllables(phones: tuple[str, ...]) -> list[Syllable]:
    data = _data()
    syllables: list[Syllable] = []
    onset = glide = ""
    for before, phone, after in zip(("", *phones), phones, (*phones[1:], ""), strict=False):
        vowel_follows = after[:1] in "AEIOUYW" and after != ""
        if phone in data["vowels"]:
            first, *rest = data["vowels"][phone].split()
            nucleus = data["glides"][glide].get(first, first) if glide else first
            syllables += [Syllable(onset, nucleus), *(Syllable("", more) for more in rest)]
            onset = glide = ""
        elif phone in data["glides"]:
            if onset and phone == "Y" and onset in "ㄴㄷㄹㅅㅈㅊㅌ":
                syllables, onset = [*syllables, Syllable(onset, "ㅣ")], ""
            glide = phone
        elif vowel_follows and phone != "NG":
            if phone == "L" and syllables and not syllables[-1].coda and before not in ("M", "N"):
                syllables[-1] = syllables[-1]._replace(coda="ㄹ")
            onset = data["onsets"][phone]
        elif syllables and not syllables[-1].coda and _as_coda(before, phone, after):
            syllables[-1] = syllables[-1]._replace(coda=data["codas"][phone])
        elif phone not in ("R", "HH", "NG"):
            nucleus = "ㅠ" if phone == "SH" and after else data["alone"].get(phone, "ㅡ")
            syllables.append(Syllable(data["onsets"][phone], nucleus))
    return syllables


def _as_coda(before: str, phone: str, after: str) -> bool:
    if phone in ("P", "T", "K"):
        return before in _data()["short"].split() and after not in ("L", "R", "M", "N")
    return phone in _data()["codas"]
