"""KsponSpeech: spontaneous Korean by native speakers, written twice.

Bang et al., "KsponSpeech: Korean Spontaneous Speech Corpus for Automatic Speech Recognition",
Applied Sciences 10(19), 2020; AI-Hub set 123.

Where spelling and pronunciation differ, the transcripts have ``(spelling)/(pronunciation)``.
Meaning takes the spelling, surface the pronunciation. Speakers are native, so canonical is surface.

=========================  =====================================================================
in a transcript            becomes
=========================  =====================================================================
``(70%)/(칠십 퍼센트)``    ``70%`` in meaning, ``칠십 퍼센트`` in surface
``b/ l/ o/ n/ u/``         nothing: breath, laughter, overlap, noise, something not understood
``어/``                    ``어``, a filler
``전+ 전처럼``             ``전 전처럼``, a repeated word
``그거*``                  ``그거``, not heard well
``(1/3)/(삼 분의 일)``     ``1/3`` in meaning: within a number ``/`` is no mark
=========================  =====================================================================
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common.disk import as_on_disk
from l2dual.corpora.common.splits import overlap
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.text.cleaning import plain

LANGUAGES = ("ko",)
CONVENTIONS = ("heard",)
SURFACE = "annotated"

SETS = {"train": "train", "dev": "valid", "eval_clean": "test", "eval_other": "test"}
DUAL = re.compile(r"\(([^()]*)\)\s*/\s*\(([^()]*)\)")
NOISE = re.compile(r"(?<![a-zA-Z])[blonu]/")
AUDIO_SUFFIXES = (".pcm", ".wav", ".flac")


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read a copy of the corpus, with its official split.

    Transcripts are read from ``KsponSpeech_scripts``, not from the ``.txt`` beside each recording.
    The corpus does not say who speaks: each utterance counts as a speaker.

    Args:
        db: the corpus's directory, with ``KsponSpeech_scripts`` and the recordings.
        request: not used: language, convention and split are the corpus's own.

    Returns:
        The utterances, and the facts for ``corpus.yaml``.

    Raises:
        DataError: a script or a recording is missing, or a line is not ``path :: text``.
    """
    left_out: Counter[str] = Counter()
    utterances = [u for name in SETS for u in read_set(Path(db), name, left_out)]
    info = {
        "licence": "AI-Hub terms of use: on application, not to be passed on",
        "source": "Bang et al. 2020, AI-Hub 123",
        "speaker_ids": "none in the corpus: each utterance counts as a speaker",
        "left_out": dict(left_out),
        "splits": {"method": "official"},
        "shared_prompts": {pair: facts["prompts"] for pair, facts in overlap(utterances).items()},
    }
    return utterances, info


def read_set(db: Path, name: str, left_out: Counter[str]) -> Iterator[Utterance]:
    """Yield the utterances of one script; count in ``left_out`` those that it leaves out."""
    script = db / "KsponSpeech_scripts" / f"{name}.trn"
    for number, line in enumerate(read_lines(script), 1):
        path, separator, text = line.partition("::")
        if not separator:
            raise DataError(f"{script}, line {number}: no `path :: text`; get the file again")
        audio = find_audio(db, path.strip(), f"{script}, line {number}")
        texts = read_dual(text)
        if texts is None:
            left_out["malformed (spelling)/(pronunciation)"] += 1
        elif not all(texts):
            left_out["no words"] += 1
        else:
            meaning, surface = texts
            yield Utterance(
                id=f"{audio.stem}-{name}",
                split=SETS[name],
                speaker=audio.stem,
                audio=audio,
                surface=surface,
                meaning=meaning,
                canonical=surface,
                l1="korean",
                facts={"set": name},
            )


def read_lines(script: Path) -> list[str]:
    """Return the lines of a script, in UTF-8 or, as the corpus's ``.txt`` files are, in CP949."""
    if not script.is_file():
        raise DataError(
            f"{script}: missing; --db must have KsponSpeech_scripts with {', '.join(SETS)} (.trn)"
        )
    content = script.read_bytes()
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
    raise DataError(f"{script}: neither UTF-8 nor CP949; get the file again")


def find_audio(db: Path, name: str, where: str) -> Path:
    """Return the recording that a script names, with its set's first folder or without."""
    for path in (db / name, db / name.partition("/")[2]):
        for suffix in AUDIO_SUFFIXES:
            audio = as_on_disk(path.with_suffix(suffix))
            if audio.is_file():
                return audio
    raise DataError(f"{where}: {db / name} is missing, as .wav and .flac too; get the corpus again")


def read_dual(text: str) -> tuple[str, str] | None:
    """Return meaning and surface of a transcript; None if its parentheses are not paired."""
    sides = [DUAL.sub(rf"\{side}", text) for side in (1, 2)]
    if any("(" in side or ")" in side for side in sides):
        return None
    meaning, surface = (plain(NOISE.sub(" ", side).replace("*", "")) for side in sides)
    return meaning, surface
