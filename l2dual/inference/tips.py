"""Advice to a learner on a sound: the sentences of sentences/{en,ko}.yaml.

The file of the language that is learned has, in each language that the learner may read,

- ``phones``: of each sound its letters (but for English vowels), IPA (of English), a word that has it,
  and how to make it;
- ``pairs``: better advice where ``due[i]`` was said as ``said[i]``;
- ``left_out``, ``put_in``: advice beside the sound's own;

each with its source, a key of ``sources``. Sounds are ARPAbet phones, or Hangul letters with a hyphen
before a coda. phrases.yaml has the sentences around them.
"""

from functools import cache
from pathlib import Path
from typing import Any

from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.text.phones import ERROR

SENTENCES = Path(__file__).parent / "sentences"
LANGUAGES = ("en", "ko")


class Tips:
    """Sentences on the sounds of ``language``, written in ``written``.

    Raises:
        UsageError: there are none in one of the two.
    """

    def __init__(self, language: str, written: str = "en") -> None:
        for code in (language, written):
            if code not in LANGUAGES:
                raise UsageError(f"no feedback in or on '{code}': choose from {', '.join(LANGUAGES)}")
        self.phrases: dict[str, Any] = _read("phrases")[written]
        self._written = written
        self._entries = _read(language)
        self._pairs = {
            pair: row
            for row in self._entries["pairs"]
            for pair in zip(row["due"].split(), row["said"].split(), strict=True)
        }

    def symbol(self, sound: str) -> str:
        """A sound in one sign: IPA for English, the letter for Korean; an unnamed one is ?."""
        return "?" if sound == ERROR else self._entries["phones"][sound].get("ipa", sound.strip("-"))

    def name(self, sound: str) -> str:
        """A sound by its letters and a word that has it, or by the word alone."""
        entry = self._entries["phones"][sound]
        return self.phrases["name" if "letters" in entry else "vowel"].format(**entry)

    def sentence(self, due: str, said: str) -> str:
        """What to tell a learner who said ``said`` for ``due``; either may be empty, not both."""
        if not due:
            return self._fill("put_in", "", "" if said == ERROR else said, self._text("put_in"))
        own = self._entries["phones"][due][self._written]
        if said == ERROR:
            return self._fill("unnamed", due, "", own)
        if not said:
            return self._fill("left_out", due, "", f"{own} {self._text('left_out')}")
        advice = self._pairs[due, said][self._written] if (due, said) in self._pairs else own
        return self._fill("replaced", due, said, advice)

    def _text(self, key: str) -> str:
        return self._entries[key][self._written]

    def _fill(self, phrase: str, due: str, said: str, advice: str) -> str:
        names = {"due": due and self.name(due), "said": said and self.name(said) or "?"}
        return self.phrases[phrase].format(**names, advice=advice)


@cache
def _read(name: str) -> dict[str, Any]:
    return read_yaml(SENTENCES / f"{name}.yaml")
