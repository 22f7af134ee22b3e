"""speechocean762: English read by Mandarin speakers, with experts' phone annotations.

Zhang et al., "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation
Assessment", Interspeech 2021; OpenSLR 101.

Meaning is the prompt. Canonical is the corpus's own phones without stress; surface is canonical
with the annotation put in: ``pronounced-phone`` (see `l2dual.text.phones.perceived`), nothing
for ``<DEL>``, and ``<err>`` for ``<unk>``. ``insertions``, which the official file lacks, are put
before the phone that they name, or at the word's end.

Facts of an utterance: ``age``, ``gender`` (m, f), ``group`` (child, adult), ``scores`` and, where
the copy has ``resource/scores-detail.json``, ``raters``: JSON on one line with the sentence's
scores, ``words``, ``word_stress`` and ``word_total``, the accuracy, stress and total of each word,
and ``phones``: the accuracy of each phone, word by word. In ``raters`` each score is five, one per
rater, and ``phones`` are the raters' own marks: ``{AO0}`` an accented phone, ``(AO0)`` a wrong or
missing one, ``[L]`` an inserted one.
"""

import json
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common.disk import as_on_disk
from l2dual.corpora.common.kaldi_table import read_keyed
from l2dual.corpora.common.splits import drop_shared_prompts, hold_out, overlap
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text.phones import perceived, plain

LANGUAGES = ("en",)
CONVENTIONS = ("pronounced",)
SURFACE = "annotated"

AUDIO_SUFFIXES = (".WAV", ".wav", ".opus", ".flac")
SCORES = ("accuracy", "completeness", "fluency", "prosodic", "total")
WORD_SCORES = {"words": "accuracy", "word_stress": "stress", "word_total": "total"}
ADULT = 18  # years. The corpus says that half of its speakers are children, not up to what age;
# in the copy at hand, with 187 of its 250 speakers, nobody is 16, 17 or 18
REMEDY = "--db must be a whole copy of speechocean762"


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read a copy of the corpus in its official layout.

    The official test set is kept whole. A tenth of the official training speakers, drawn with
    the request's seed, becomes `valid`. Utterances with a prompt of `test` are left out of `train`
    and `valid`, those with a prompt of `valid` out of `train`: the splits share neither speakers
    nor prompts.

    Args:
        db: the corpus's directory, with ``WAVE``, ``train``, ``test`` and ``resource``.
        request: its seed chooses the validation speakers.

    Returns:
        The utterances, sorted by id, and the facts for ``corpus.yaml``.

    Raises:
        DataError: a file is missing, or an annotation does not fit its utterance.
    """
    db = Path(db)
    if not db.is_dir():
        raise DataError(
            f"{db}: no such directory; give the directory of speechocean762 (OpenSLR 101) by --db"
        )
    scores = read_json(db / "resource" / "scores.json")
    detail = db / "resource" / "scores-detail.json"
    raters = read_json(detail) if detail.is_file() else None
    utterances = [*read_split(db, "train", scores), *read_split(db, "test", scores)]
    if raters is not None:
        utterances = [add_raters(utterance, raters, detail) for utterance in utterances]
    utterances, dropped = drop_shared_prompts(hold_out(utterances, request.seed))
    utterances.sort(key=lambda utterance: utterance.id)
    return utterances, describe(utterances, dropped)


def read_json(path: Path) -> dict:
    """Return what a file of the corpus has on every utterance."""
    if not path.is_file():
        raise DataError(f"{path}: missing; {REMEDY}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); get the file again") from None


def read_split(db: Path, name: str, scores: dict) -> list[Utterance]:
    """Return the utterances of the official split ``name``, `train` or `test`."""
    file = {
        table: db / name / table
        for table in ("text", "utt2spk", "wav.scp", "spk2age", "spk2gender")
    }
    tables = {table: read_keyed(path, REMEDY) for table, path in file.items()}
    path = db / "resource" / "scores.json"
    utterances = []
    for utterance, text in tables["text"].items():
        speaker = find(tables["utt2spk"], utterance, file["utt2spk"])
        canonical, surface = transcribe(utterance, scores, path)
        facts = {
            "age": find(tables["spk2age"], speaker, file["spk2age"]),
            "gender": find(tables["spk2gender"], speaker, file["spk2gender"]),
            "scores": score(scores[utterance], "phones-accuracy", utterance, path),
        }
        facts["group"] = age_group(facts["age"], speaker, file["spk2age"])
        recording = find(tables["wav.scp"], utterance, file["wav.scp"])
        utterances.append(
            Utterance(
                id=f"{speaker}-{utterance}",
                split=name,
                speaker=speaker,
                audio=find_audio(db, utterance, recording),
                surface=" ".join(surface),
                meaning=" ".join(text.lower().split()),
                canonical=" ".join(canonical),
                l1="mandarin",
                facts=facts,
            )
        )
    return utterances


def find(table: dict, key: str, path: Path):
    """The entry of an utterance or a speaker."""
    if key not in table:
        raise DataError(f"{path}: {key} is missing; get the corpus again")
    return table[key]


def age_group(age: str, speaker: str, path: Path) -> str:
    """`child` or `adult`."""
    if not age.isdigit():
        raise DataError(f"{path}: speaker {speaker}: the age '{age}' is not a number; correct it")
    return "adult" if int(age) >= ADULT else "child"


def score(entry: dict, phones: str, utterance: str, path: Path) -> str:
    """The scores of an utterance as JSON on one line; a word has its phones' by ``phones``."""
    try:
        scores = {name: entry[name] for name in SCORES}
        for fact, name in WORD_SCORES.items():
            scores[fact] = [word[name] for word in entry["words"]]
        scores["phones"] = [word[phones] for word in entry["words"]]
    except KeyError as error:
        raise DataError(
            f"{path}: utterance {utterance}: {error} is missing; get the file again"
        ) from None
    return json.dumps(scores, separators=(",", ":"))


def add_raters(utterance: Utterance, raters: dict, path: Path) -> Utterance:
    """Add what each of the five raters gave."""
    name = utterance.id.removeprefix(f"{utterance.speaker}-")
    detail = score(find(raters, name, path), "phones", name, path)
    return replace(utterance, facts={**utterance.facts, "raters": detail})


def find_audio(db: Path, utterance: str, name: str) -> Path:
    """Return the recording that ``wav.scp`` names, whatever its format is in this copy."""
    named = db / name
    for path in (named, *(named.with_suffix(suffix) for suffix in AUDIO_SUFFIXES)):
        audio = as_on_disk(path)
        if audio.is_file():
            return audio
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
                "correct the entry or get the file again"
            ) from None
        canonical += word_canonical
        surface += word_surface
    return canonical, surface


def transcribe_word(word: dict) -> tuple[list[str], list[str]]:
    """Return the canonical and the surface phones of one word of ``scores.json``."""
    phones = word["phones"]
    if isinstance(phones, str):  # as in the corpus's README; its file has lists
        phones = phones.split()
    canonical = [plain(phone) for phone in phones]
    said = [[phone] for phone in canonical]
    for mark in word["mispronunciations"]:
        index, marked = mark["index"], plain(mark["canonical-phone"])
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
    """The phones that an annotation puts in: none for ``<DEL>``; else see `perceived`."""
    return [] if annotation.upper() == "<DEL>" else perceived(annotation, canonical)


def describe(utterances: list[Utterance], dropped: dict[str, int]) -> dict:
    """Return the facts for ``corpus.yaml``."""
    return {
        "licence": "CC BY 4.0 (OpenSLR 101); free for commercial and non-commercial use",
        "source": "Zhang et al., Interspeech 2021, OpenSLR 101",
        "mispronounced_utterances": {
            split: sum(u.surface != u.canonical for u in utterances if u.split == split)
            for split in SPLITS
        },
        "dropped_for_shared_prompts": dropped,
        "overlap": overlap(utterances),
    }
