"""speechocean762: English read by Mandarin speakers, with experts' phone annotations.

Zhang et al., "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation
Assessment", Interspeech 2021; OpenSLR 101.

Meaning is the prompt. Canonical is the corpus's own phones without stress; surface is canonical
with the annotation put in:

=============================  ===================================================================
annotated ``pronounced-phone``  stands in surface as
=============================  ===================================================================
``D``, ``AH0``                 the phone, without stress
``IH R``                       both phones: two were heard for one
``<DEL>``                      nothing
``<unk>``                      ``<err>``: wrong, and nobody said what it was
``R*``                         the phone that it was nearest to
another symbol                 ``<err>``
=============================  ===================================================================

Where this would give the canonical phone back (``R*`` for R, another stress), it is ``<err>``: a
phone marked as wrong is never written as right. ``insertions``, which the official file lacks, are
put before the phone that they name, or at the word's end.
"""

import json
import random
import re
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

from l2dual.corpora import Utterance
from l2dual.errors import DataError

ERROR = "<err>"
PHONES = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW "
    "V W Y Z ZH".split()
)
AUDIO_SUFFIXES = (".WAV", ".wav", ".opus", ".flac")
VALID_FRACTION = 0.1


def prepare(db: Path, seed: int = 1) -> tuple[list[Utterance], dict]:
    """Read a copy of the corpus in its official layout.

    The official test set is kept whole. A tenth of the official training speakers, drawn with
    ``seed``, becomes `valid`. An utterance whose prompt also stands in `test` is left out of
    `train` and `valid`, and one whose prompt stands in `valid` out of `train`, so that the splits
    share neither speakers nor prompts.

    Args:
        db: the corpus's directory, with ``WAVE``, ``train``, ``test`` and ``resource``.
        seed: of the choice of validation speakers.

    Returns:
        The utterances, sorted by id, and the facts for ``corpus.yaml``.

    Raises:
        DataError: a file is missing, or an annotation does not fit its utterance.
    """
    db = Path(db)
    scores = read_scores(db)
    splits = {"test": read_split(db, "test", scores)}
    splits["train"], splits["valid"] = hold_out_speakers(read_split(db, "train", scores), seed)
    overlap = drop_shared_prompts(splits)
    utterances = sorted(chain(*splits.values()), key=lambda utterance: utterance.id)
    return utterances, describe(splits, overlap, seed)


def read_scores(db: Path) -> dict:
    """Return the annotation of every utterance, from ``resource/scores.json``."""
    if not db.is_dir():
        raise DataError(
            f"{db}: no such directory; give the directory of speechocean762 (OpenSLR 101) by --db"
        )
    path = db / "resource" / "scores.json"
    if not path.is_file():
        raise DataError(f"{path}: missing; --db must be a whole copy of speechocean762")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); get the file again") from None


def read_table(path: Path) -> dict[str, str]:
    """Return the `<key> <value>` lines of a file of the corpus, separated by tab or space."""
    if not path.is_file():
        raise DataError(f"{path}: missing; --db must be a whole copy of speechocean762")
    table = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split(maxsplit=1)
        if len(fields) != 2:
            raise DataError(f"{path}, line {number}: no `<utterance> <value>`; get the file again")
        table[fields[0]] = fields[1].strip()
    return table


def read_split(db: Path, name: str, scores: dict) -> list[Utterance]:
    """Return the utterances of the official split ``name``, `train` or `test`."""
    texts = read_table(db / name / "text")
    speakers = read_table(db / name / "utt2spk")
    recordings = read_table(db / name / "wav.scp")
    utterances = []
    for utterance, text in texts.items():
        for table, file in ((speakers, "utt2spk"), (recordings, "wav.scp")):
            if utterance not in table:
                raise DataError(
                    f"{db / name / file}: utterance {utterance} of text is missing; "
                    "get the corpus again"
                )
        canonical, surface = transcribe(utterance, scores, db / "resource" / "scores.json")
        speaker = speakers[utterance]
        utterances.append(
            Utterance(
                id=f"{speaker}-{utterance}",
                split=name,
                speaker=speaker,
                audio=find_audio(db, utterance, recordings[utterance]),
                surface=" ".join(surface),
                meaning=" ".join(text.lower().split()),
                canonical=" ".join(canonical),
                l1="mandarin",
            )
        )
    return utterances


def find_audio(db: Path, utterance: str, name: str) -> Path:
    """Return the recording that ``wav.scp`` names, whatever its format is in this copy."""
    named = db / name
    for path in (named, *(named.with_suffix(suffix) for suffix in AUDIO_SUFFIXES)):
        if path.is_file():
            return path
    raise DataError(
        f"{named}: the audio of utterance {utterance} is missing, with .opus and .flac too; "
        "get the corpus again"
    )


def transcribe(utterance: str, scores: dict, path: Path) -> tuple[list[str], list[str]]:
    """Return the canonical and the surface phones of an utterance."""
    if utterance not in scores:
        raise DataError(
            f"{path}: utterance {utterance} of text is missing; get the scores of the same release"
        )
    canonical, surface = [], []
    for word in scores[utterance]["words"]:
        try:
            word_canonical, word_surface = transcribe_word(word)
        except (DataError, KeyError) as error:
            fault = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataError(
                f"{path}: utterance {utterance}, word {word.get('text')}: {fault}; "
                "mend the entry or get the file again"
            ) from None
        canonical += word_canonical
        surface += word_surface
    return canonical, surface


def transcribe_word(word: dict) -> tuple[list[str], list[str]]:
    """Return the canonical and the surface phones of one word of ``scores.json``."""
    phones = word["phones"]
    if isinstance(phones, str):  # as the corpus's README has it; its file has lists
        phones = phones.split()
    canonical = [strip_stress(phone) for phone in phones]
    said = [[phone] for phone in canonical]
    for mark in word["mispronunciations"]:
        index, marked = mark["index"], strip_stress(mark["canonical-phone"])
        if not 0 <= index < len(canonical):
            raise DataError(f"mispronunciation at {index}, but it has {len(canonical)} phones")
        if marked != canonical[index]:
            raise DataError(f"phone {index} is {canonical[index]}, its annotation says {marked}")
        said[index] = pronounced(mark["pronounced-phone"], canonical[index])
    before = [[] for _ in range(len(canonical) + 1)]
    for mark in word.get("insertions", []):
        if mark["index"] < 0:
            raise DataError(f"insertion at {mark['index']}")
        # Past the end means at the end: raters who heard two insertions counted the first.
        before[min(mark["index"], len(canonical))] += pronounced(mark["inserted-phone"])
    surface = [phone for pair in zip_longest(before, said, fillvalue=[]) for phone in chain(*pair)]
    return canonical, surface


def pronounced(annotation: str, canonical: str | None = None) -> list[str]:
    """Return the phones that an annotation puts in, by the table above."""
    if annotation.upper() == "<DEL>":
        return []
    phones = [strip_stress(symbol.rstrip("*")) for symbol in annotation.split()]
    if phones == [canonical] or not phones or not PHONES.issuperset(phones):
        return [ERROR]
    return phones


def strip_stress(phone: str) -> str:
    return re.sub(r"\d$", "", phone.upper())


def hold_out_speakers(
    utterances: list[Utterance], seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Divide utterances, by speakers, into `train` and `valid`."""
    speakers = sorted({utterance.speaker for utterance in utterances})
    if len(speakers) < 2:
        raise DataError(
            f"train/utt2spk: {len(speakers)} speaker(s), but train and valid need one each; "
            "get the whole corpus"
        )
    held_out = random.Random(seed).sample(speakers, max(1, round(VALID_FRACTION * len(speakers))))
    train = [u for u in utterances if u.speaker not in held_out]
    valid = [replace(u, split="valid") for u in utterances if u.speaker in held_out]
    return train, valid


def drop_shared_prompts(splits: dict[str, list[Utterance]]) -> dict[str, int]:
    """Drop from `valid` the prompts of `test`, from `train` those of both; count the dropped."""
    taken = {u.meaning for u in splits["test"]}
    dropped = {}
    for name in ("valid", "train"):
        kept = [u for u in splits[name] if u.meaning not in taken]
        dropped[name] = len(splits[name]) - len(kept)
        splits[name] = kept
        taken |= {u.meaning for u in kept}
    return dropped


def describe(splits: dict[str, list[Utterance]], dropped: dict[str, int], seed: int) -> dict:
    """Return the facts for ``corpus.yaml``."""
    return {
        "corpus": "speechocean762",
        "language": "en",
        "convention": "pronounced",
        "surface_unit": "phone",
        "meaning_unit": "char",
        "licence": "CC BY 4.0 (OpenSLR 101); free for commercial and non-commercial use",
        "source": "Zhang et al., Interspeech 2021, OpenSLR 101",
        "seed": seed,
        "utterances": {name: len(some) for name, some in splits.items()},
        "speakers": {name: len({u.speaker for u in some}) for name, some in splits.items()},
        "mispronounced_utterances": {
            name: sum(u.surface != u.canonical for u in some) for name, some in splits.items()
        },
        "dropped_for_shared_prompts": dropped,
    }
