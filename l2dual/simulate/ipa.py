"""What is said, in the International Phonetic Alphabet: for engines that take phonemes."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

from l2dual.errors import UsageError
from l2dual.simulate import phonology
from l2dual.text.hangul import Syllable, decompose

DATA = Path(__file__).parent / "data"
STRESS = {0: "", 1: "ˈ", 2: "ˌ"}
SYLLABIC = "ɑæʌəɔaɛɝeɪioʊu"  # how the vowels of en.ipa.yaml begin
VOICED_CODAS = ("", "ㄴ", "ㄹ", "ㅁ", "ㅇ")


def ipa(language: str, speech: object) -> str:
    """``speech`` (of the language's phonology) as said, errors included; spaces between words.

    English: General American, stress marks right before the vowel. Korean: the syllables as
    pronounced, lax stops voiced between voiced sounds of a word, no stress. UsageError for an
    unknown language.
    """
    if language == "en":
        return " ".join(filter(None, map(_english, speech.words)))
    if language == "ko":
        words = phonology("ko").pronounced(speech).split()
        return " ".join("".join(_korean([decompose(letter) for letter in word])) for word in words)
    raise UsageError(f"no IPA for language '{language}'; choose from en, ko")


@cache
def _table(language: str) -> dict:
    return yaml.safe_load((DATA / f"{language}.ipa.yaml").read_text(encoding="utf-8"))


def _english(word) -> str:
    parts = []
    for phones, stress in zip(word.said, word.stress, strict=True):
        for i, phone in enumerate(phones):
            letters = _table("en")[phone]
            mark = STRESS[stress] if i == 0 and letters[0] in SYLLABIC else ""
            parts.append(mark + ("ɚ" if phone == "ER" and not mark else letters))
    return "".join(parts)


def _korean(word: list[Syllable]) -> Iterator[str]:
    table = _table("ko")
    for before, (onset, nucleus, coda) in pairwise([None, *word]):
        sound = table["onsets"][onset]
        if before and before.coda in VOICED_CODAS:
            sound = table["voiced"].get(sound, sound)
        if before and before.coda == onset == "ㄹ":
            sound = "l"
        yield sound + table["nuclei"][nucleus] + table["codas"][coda]
