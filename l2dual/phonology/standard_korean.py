"""Standard Korean pronunciation of one word, from its spelling.

Source: Standard Pronunciation (표준 발음법), National Institute of Korean Language, 2017; the articles
are named below. What needs more than letters (compounds such as 강가 [강까], article 28; the endings
of verbs in ㄴ and ㅁ such as 신고 [신꼬], article 24) stands in data/ko.pronunciations.yaml.
"""

from functools import cache
from pathlib import Path

import yaml

from l2dual.phonology.hangul import CODAS, Syllable, compose, decompose

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
TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}


@cache
def _exceptions() -> dict[str, str]:
    return yaml.safe_load(DATA.read_text(encoding="utf-8"))


def standard(word: str) -> list[Syllable]:
    """The pronounced syllables of ``word``, as many as are spelled; DataError unless Hangul."""
    for spelled, respelled in _exceptions().items():
        if word.startswith(spelled):
            word = respelled + word[len(spelled) :]
    syllables = [decompose(character) for character in word]
    onset = syllables[0].onset
    said = []
    for here, after in zip(syllables, [*syllables[1:], None]):
        if after is None:
            coda, next_onset = NEUTRAL[here.coda], ""
        else:
            coda, next_onset = _border(here.coda, after.onset, after.nucleus)
        said.append(Syllable(onset, _nucleus(here, onset), coda))
        onset = next_onset
    return said


def standard_text(word: str) -> str:
    """As ``standard``, written in Hangul: 먹어 -> 머거."""
    return "".join(map(compose, standard(word)))


def _nucleus(spelled: Syllable, onset: str) -> str:
    """Article 5: ㅢ after a consonant of its syllable is ㅣ; ㅕ after ㅈ, ㅉ, ㅊ is ㅓ."""
    if spelled.nucleus == "ㅢ" and spelled.onset:
        return "ㅣ"
    if spelled.nucleus == "ㅕ" and onset in ("ㅈ", "ㅉ", "ㅊ"):
        return "ㅓ"
    return spelled.nucleus


def _border(coda: str, onset: str, nucleus: str) -> tuple[str, str]:
    """What becomes of a spelled coda and the onset after it, before ``nucleus``."""
    if coda in ("", "ㅇ"):
        return coda, ("ㄴ" if onset == "ㄹ" and coda else onset)  # article 19
    first, last = CLUSTERS.get(coda, ("", coda))
    if onset == "":
        return _linked(first, last, nucleus)
    if last == "ㅎ":
        return _after_h(first, onset)
    if onset == "ㅎ":
        return _before_h(first, last, NEUTRAL[coda], nucleus)
    sound = NEUTRAL[coda]
    if coda in ("ㄼ", "ㄾ") and onset != "ㅂ" or (coda, onset) == ("ㄺ", "ㄱ"):
        return _sonorant("ㄹ", TENSE.get(onset, onset))  # articles 11, 25
    if coda == "ㄵ":
        return _sonorant("ㄴ", TENSE.get(onset, onset))  # article 24: only verbs have it
    if sound in NASAL:
        if onset in ("ㄴ", "ㅁ", "ㄹ"):
            return NASAL[sound], ("ㅁ" if onset == "ㅁ" else "ㄴ")  # articles 18, 19
        return sound, TENSE.get(onset, onset)  # article 23
    return _sonorant(sound, onset)


def _linked(first: str, last: str, nucleus: str) -> tuple[str, str]:
    if last == "ㅎ":
        return "", first  # article 12.4
    if nucleus in ("ㅣ", "ㅕ") and last in PALATAL:
        return first, PALATAL[last]  # article 17
    return first, (TENSE.get(last, last) if first and last == "ㅅ" else last)  # articles 13, 14


def _after_h(first: str, onset: str) -> tuple[str, str]:
    """Article 12.1-3."""
    if onset in ASPIRATED and onset != "ㅂ":
        return first, ASPIRATED[onset]
    if onset == "ㅅ":
        return first, "ㅆ"
    return _sonorant(first or "ㄴ", onset) if onset == "ㄴ" else (first, onset)


def _before_h(first: str, last: str, sound: str, nucleus: str) -> tuple[str, str]:
    """Article 12.1, notes 1 and 2; article 17, note."""
    if last == "ㅈ" or (last == "ㄷ" and nucleus == "ㅣ"):
        return first, "ㅊ"
    if sound not in ASPIRATED and last not in ASPIRATED:
        return sound, "ㅎ"
    if first == "ㄹ":
        return first, ASPIRATED[last]
    return "", ASPIRATED[sound]


def _sonorant(coda: str, onset: str) -> tuple[str, str]:
    """Articles 19 and 20."""
    if {coda, onset} == {"ㄴ", "ㄹ"}:
        return "ㄹ", "ㄹ"
    return coda, ("ㄴ" if onset == "ㄹ" and coda in ("ㅁ", "ㅇ") else onset)
