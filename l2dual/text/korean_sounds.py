"""How spelled Korean syllables sound together: Standard Pronunciation (표준 발음법), articles 5 to 30.

The articles that depend on a pair of letters are here. What depends on words (which syllable
belongs to an ending, where a compound has its border) is marked by korean_words.py in a Border.
"""

from dataclasses import dataclass

from l2dual.text.hangul import CODAS, Syllable

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
TENSE = dict(zip("ㄱㄷㅂㅅㅈ", "ㄲㄸㅃㅆㅉ", strict=True))
ASPIRATED = dict(zip("ㄱㄷㅂㅈ", "ㅋㅌㅍㅊ", strict=True))
PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}
TREAD = ("ㅂ", "ㅏ", "ㄼ")  # 밟-, whose coda is ㅂ before a consonant (article 10)

WITHIN, ENDING, WORD, SPACE, PAUSE = "", "+", "#", " ", "|"


@dataclass(frozen=True)
class Border:
    """The border between a syllable and the next one.

    ``kind``: both belong to one morpheme (WITHIN), an ending, particle or suffix begins (ENDING),
    another word of a compound (WORD), or another word (SPACE).
    """

    kind: str = WITHIN
    verb: bool = False  # the syllable before belongs to the stem of a verb or adjective
    tense: bool = False  # what follows begins tense (articles 24-28)
    inserted: bool = False  # ㄴ is inserted (article 29)

    @property
    def apart(self) -> bool:
        return self.kind in (WORD, SPACE) or self.inserted


def sounds(spelled: list[Syllable], borders: list[Border]) -> list[Syllable]:
    """The sounds of one phrase, said without a pause; a Border stands after each syllable but the
    last. As many syllables as are spelled."""
    if not spelled:
        return []
    codas, onsets = [], [spelled[0].onset]
    for left, right, border in zip(spelled, spelled[1:], borders, strict=False):
        coda, onset = _meet(left, right, border)
        codas.append(coda)
        onsets.append(onset)
    codas.append(NEUTRAL[spelled[-1].coda])
    nuclei = (_nucleus(syllable, onset) for syllable, onset in zip(spelled, onsets, strict=True))
    return [Syllable(*letters) for letters in zip(onsets, nuclei, codas, strict=True)]


def _nucleus(spelled: Syllable, onset: str) -> str:
    """Article 5: 져 [저], 희 [히]."""
    if spelled.nucleus == "ㅕ" and onset in ("ㅈ", "ㅉ", "ㅊ"):
        return "ㅓ"
    return "ㅣ" if spelled.nucleus == "ㅢ" and spelled.onset else spelled.nucleus


def _meet(left: Syllable, right: Syllable, border: Border) -> tuple[str, str]:
    """The coda and the onset that are said where two syllables meet."""
    if border.kind == PAUSE:
        return NEUTRAL[left.coda], right.onset
    onset = "ㄴ" if border.inserted else right.onset
    if onset == "":
        return _before_vowel(left.coda, right.nucleus, border)
    if onset == "ㅎ":
        return _before_h(left.coda, right.nucleus, border)
    if left.coda in ("ㅎ", "ㄶ", "ㅀ") and onset in "ㄱㄷㅈㅅㄴ":
        return _after_h(left.coda, onset)
    coda = "ㅂ" if left == TREAD else NEUTRAL[left.coda]
    if left.coda == "ㄺ" and border.verb and border.kind == ENDING and onset == "ㄱ":
        return "ㄹ", "ㄲ"  # article 11: 맑게 [말께]
    return _consonants(coda, TENSE.get(onset, onset) if border.tense else onset, border)


def _before_vowel(coda: str, nucleus: str, border: Border) -> tuple[str, str]:
    """Liaison (articles 12.4, 13-15) and palatalization (17)."""
    if coda in ("", "ㅇ"):
        return coda, ""
    if border.apart:
        return "", NEUTRAL[coda]
    coda = {"ㅎ": "", "ㄶ": "ㄴ", "ㅀ": "ㄹ"}.get(coda, coda)
    stays, moves = CLUSTERS.get(coda, coda)[:-1], CLUSTERS.get(coda, coda)[-1:]
    if nucleus == "ㅣ" or nucleus == "ㅕ" and border.verb:
        moves = PALATAL.get(moves, moves)
    return stays, "ㅆ" if stays and moves == "ㅅ" else moves


def _before_h(coda: str, nucleus: str, border: Border) -> tuple[str, str]:
    """Article 12.1, second part, and 17: 먹히다 [머키다], 닫혀 [다처]."""
    if NEUTRAL[coda] not in NASAL and coda not in ("ㄵ", "ㄼ"):
        return NEUTRAL[coda], "ㅎ"
    stays, moves = CLUSTERS.get(coda, coda)[:-1], CLUSTERS.get(coda, coda)[-1:]
    if moves not in ASPIRATED or border.kind != WITHIN and not border.verb:
        stays, moves = "", NEUTRAL[coda]
        if moves == "ㄹ":  # 여덟 한 [여덜 한]
            return moves, "ㅎ"
    if coda == "ㄷ" and (nucleus == "ㅣ" or nucleus == "ㅕ" and border.verb):
        return "", "ㅊ"
    return stays, ASPIRATED[moves]


def _after_h(coda: str, onset: str) -> tuple[str, str]:
    """Article 12.1 to 12.3: 놓고 [노코], 닿소 [다쏘], 놓는 [논는], 뚫네 [뚤레]."""
    rest = CLUSTERS.get(coda, coda)[:-1]
    if onset == "ㄴ":
        return ("ㄹ", "ㄹ") if rest == "ㄹ" else ("ㄴ", "ㄴ")
    return rest, "ㅆ" if onset == "ㅅ" else ASPIRATED[onset]


def _consonants(coda: str, onset: str, border: Border) -> tuple[str, str]:
    """Articles 18-20 and 23; a word's own ㄹ after a space stays."""
    if onset == "ㄹ" and border.kind != SPACE:
        if coda == "ㄴ":
            return "ㄹ", "ㄹ"
        onset = onset if coda in ("", "ㄹ") else "ㄴ"
    if coda == "ㄹ" and onset == "ㄴ":
        return "ㄹ", "ㄹ"
    if onset in ("ㄴ", "ㅁ"):
        return NASAL.get(coda, coda), onset
    return coda, TENSE.get(onset, onset) if coda in NASAL else onset
