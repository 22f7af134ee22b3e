"""Pansori TEDxKR: talks by native speakers of Korean, with their subtitles.

Choi & Lee, "Pansori: ASR Corpus Generation from Open Online Video Contents", IEEE Seoul Section
Student Paper Contest 2018.

Meaning is the subtitle. What was pronounced was not transcribed, so there is no surface.
"""

import re
from collections import Counter
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import splits
from l2dual.corpora.common.disk import as_on_disk, files, whole
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.text.cleaning import plain, spoken

LANGUAGES = ("ko",)
CONVENTIONS = ("pronounced", "heard")
SURFACE = "none"

TEST_SHARE = 0.25  # a tenth of so few speakers would be two
HANGUL = re.compile(r"[가-힣 ]+")
FACTS = {"gender": "Gender", "location": "Place", "year": "Year"}  # in a talk's README.md


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read a copy of the corpus, whole or in part, in its published layout.

    Left out are recordings without text, and texts that hold more than Hangul syllables (digits,
    Latin letters): what was said there is not written.

    Args:
        db: the corpus's directory, with ``data/SPEAKER/TALK``.
        request: ``seed`` draws the splits.

    Returns:
        The utterances, and the facts for ``corpus.yaml``.

    Raises:
        DataError: no talk, a text without its recording, or a line that is not of its talk.
    """
    transcripts = files(Path(db), "data/*/*/*.trans.txt")
    if not transcripts:
        raise DataError(
            f"{db}: no data/SPEAKER/TALK/*.trans.txt; give the directory of Pansori TEDxKR by --db"
        )
    left_out: Counter[str] = Counter()
    utterances = [u for path in transcripts for u in read_talk(path, left_out)]
    utterances, how = splits.assign(utterances, request.seed, test=TEST_SHARE)
    info = {
        "licence": "CC BY-NC-ND 4.0: no commercial use, no changed copies",
        "source": "Choi & Lee 2018, https://github.com/yc9701/pansori-tedxkr-corpus",
        "talks": len(transcripts),
        "left_out": dict(left_out),
        "splits": how,
        "overlap": splits.overlap(utterances),
    }
    return utterances, info


def read_talk(transcript: Path, left_out: Counter[str]) -> list[Utterance]:
    """Return the utterances of one talk; count in ``left_out`` those that it leaves out."""
    folder = transcript.parent
    speaker, talk = whole(folder.parent.name), whole(folder.name)
    facts = read_facts(folder / "README.md")
    utterances, listed = [], set()
    for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), 1):
        utterance, _, text = whole(line).partition(" ")
        if not utterance.startswith(f"{speaker}-{talk}-"):
            raise DataError(
                f"{transcript}, line {number}: '{utterance}' is not an utterance of {speaker}, "
                f"talk {talk}; get the file again"
            )
        listed.add(utterance)
        audio = as_on_disk(folder / f"{utterance}.flac")
        if not audio.is_file():
            raise DataError(
                f"{audio}: missing, but its text is line {number} of {transcript.name}; "
                "get the corpus again"
            )
        meaning = plain(text)
        if not meaning:
            left_out["no text"] += 1
        elif not HANGUL.fullmatch(meaning):
            left_out["digits or Latin letters in the text"] += 1
        else:
            utterances.append(
                Utterance(
                    id=utterance,
                    split="",
                    speaker=speaker,
                    audio=audio,
                    surface=None,
                    meaning=meaning,
                    canonical=None,
                    l1="korean",
                    facts=facts,
                    written=spoken(text),
                )
            )
    left_out["no text"] += sum(whole(path.stem) not in listed for path in files(folder, "*.flac"))
    return utterances


def read_facts(readme: Path) -> dict[str, str]:
    """Return what a talk's README.md says of it, in lines as ``- Gender: F``."""
    if not readme.is_file():
        return {}
    lines = dict(re.findall(r"^- (\w+): *(\S.*)$", readme.read_text(encoding="utf-8"), re.M))
    return {name: lines[key] for name, key in FACTS.items() if key in lines}
