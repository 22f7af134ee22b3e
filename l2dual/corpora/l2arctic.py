"""L2-ARCTIC v5: English of 24 speakers with six first languages, read and spontaneous.

Zhao et al., "L2-ARCTIC: A Non-Native English Speech Corpus", Interspeech 2018. Layout and tags are
those of the README of v5.0 (12 March 2020).

Meaning is the transcript in lower case without punctuation. Canonical and surface come from the
``phones`` tier of the manual annotation, ARPAbet without stress, by its tags:

===================  ============================================  =========  ==================
tag                  the annotator heard                           canonical  surface
===================  ============================================  =========  ==================
``TH``, ``AH0``      what was due                                  ``TH``     ``TH``
``TH,S,s``           another phone                                 ``TH``     ``S``
``AH,AO*,s``         a phone near AO that English has not          ``AH``     ``AO``
``TH,err,s``         a phone that is hard to name                  ``TH``     ``<err>``
``T,sil,d``          nothing                                       ``T``      nothing
``sil,AH,a``         a phone too many                              nothing    ``AH``
``sil``, ``sp``      silence                                       nothing    nothing
===================  ============================================  =========  ==================

Which of them it is shows in the first two fields, so that a slip in the third does no harm;
`l2dual.text.phones` corrects other slips of the pen and says where a marked phone is ``<err>``.

The spontaneous part (``suitcase_corpus``: each speaker retells a picture story in one recording) is
cut at silences of half a second or more between the words of the annotation.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import inf
from pathlib import Path

from praatio import textgrid
from praatio.utilities.constants import Interval
from praatio.utilities.errors import PraatioException

from l2dual.corpora import Request
from l2dual.corpora.common.disk import files
from l2dual.corpora.common.splits import overlap
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.text import cleaning
from l2dual.text.phones import PHONES, perceived, plain

LANGUAGES = ("en",)
CONVENTIONS = ("pronounced",)
SURFACE = "annotated"

# README of v5.0: gender and first language of each speaker.
SPEAKERS = {
    name: (gender, l1)
    for l1, speakers in {
        "arabic": "ABA:m SKA:f YBAA:m ZHAA:f",
        "mandarin": "BWC:m LXC:f NCC:f TXHC:m",
        "hindi": "ASI:m RRBI:m SVBI:f TNI:f",
        "korean": "HJK:f HKK:m YDCK:f YKWK:m",
        "spanish": "EBVS:m ERMS:m MBMPS:f NJS:f",
        "vietnamese": "HQTV:m PNV:f THV:f TLV:m",
    }.items()
    for name, gender in (speaker.split(":") for speaker in speakers.split())
}
# The corpus has no split of its own; this one is usual in mispronunciation detection. One speaker
# of each first language is in `test`, one in `valid`.
TEST = frozenset("NJS TLV TNI TXHC YKWK ZHAA".split())
VALID = frozenset("MBMPS THV SVBI NCC YDCK YBAA".split())
SPONTANEOUS = "suitcase_corpus"
SILENCES = frozenset({"", "sil", "sp", "pau"})
UNKNOWN = "<unk>"  # a word that the forced aligner did not know
PAUSE = 0.5  # seconds between words that part two utterances
MARGIN = 0.1  # seconds of silence that an utterance keeps at either end
REMEDY = "get L2-ARCTIC v5 and unzip its speakers and suitcase_corpus side by side"


class Unannotated(Exception):
    """Why an annotation gives no canonical and surface phones."""


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read the annotated utterances of a copy of the corpus.

    Args:
        db: the directory that has the speakers' directories, and ``suitcase_corpus`` if wanted.
        request: not used: splits are fixed, language and convention are the corpus's.

    Returns:
        The utterances, sorted by id, and the facts for ``corpus.yaml``. Utterances without manual
        annotation, or with one that cannot be used, are left out and counted.

    Raises:
        DataError: no speaker's directory, or an annotation without its audio or transcript.
    """
    db = Path(db)
    speakers = [name for name in sorted(SPEAKERS) if (db / name).is_dir()]
    if not speakers:
        raise DataError(f"{db}: no directory of a speaker, such as {db / 'ABA'}; {REMEDY}")
    not_annotated, unusable = [], []
    utterances = []
    for speaker in speakers:
        utterances += read_scripted(folder(db, speaker), speaker, not_annotated, unusable)
    utterances += read_spontaneous(folder(db, SPONTANEOUS), unusable)
    utterances.sort(key=lambda utterance: utterance.id)
    return utterances, {
        "licence": "CC BY-NC 4.0: not for commercial use",
        "source": "Zhao et al., Interspeech 2018, L2-ARCTIC v5",
        "splits": {"method": "usual speakers of test and valid; all read the same prompts"},
        "overlap": overlap(utterances),
        "styles": {
            style: sum(utterance.facts["style"] == style for utterance in utterances)
            for style in ("read", "spontaneous")
        },
        "left_out": {"not annotated": len(not_annotated), "unusable annotation": len(unusable)},
        "unusable_annotations": unusable,
    }


def folder(db: Path, name: str) -> Path:
    """Where the archive ``name`` was unzipped: some tools put it into a folder of its own name."""
    return db / name / name if (db / name / name).is_dir() else db / name


def read_scripted(
    path: Path, speaker: str, not_annotated: list[str], unusable: list[str]
) -> Iterator[Utterance]:
    """The annotated utterances of one speaker's prompts; notes down which it leaves out."""
    grids = {grid.stem: grid for grid in files(path / "annotation", "*.TextGrid")}
    recordings = {wav.stem: wav for wav in files(path / "wav", "*.wav")}
    not_annotated += sorted(recordings.keys() - grids.keys())
    for name, grid in sorted(grids.items()):
        transcript = path / "transcript" / f"{name}.txt"
        for file in (path / "wav" / f"{name}.wav", transcript):
            if not file.is_file():
                raise DataError(f"{file}: missing, but {grid} annotates it; {REMEDY}")
        try:
            _, phones, _ = read_grid(grid)
            canonical, surface = transcribe(phones)
        except Unannotated as fault:
            unusable.append(f"{speaker}/{grid.name}: {fault}")
            continue
        text = transcript.read_text(encoding="utf-8-sig", errors="replace")
        yield make(f"{speaker}-{name}", speaker, recordings[name], text, canonical, surface)


def read_spontaneous(path: Path, unusable: list[str]) -> Iterator[Utterance]:
    """The utterances that the annotated spontaneous recordings are cut into."""
    recordings = {wav.stem.upper(): wav for wav in files(path / "wav", "*.wav")}
    for grid in files(path / "annotation", "*.TextGrid"):
        speaker = grid.stem.upper()
        if speaker not in SPEAKERS or speaker not in recordings:
            raise DataError(f"{grid}: no audio of a known speaker has this name; {REMEDY}")
        try:
            words, phones, end = read_grid(grid)
        except Unannotated as fault:
            unusable.append(f"{SPONTANEOUS}/{grid.name}: {fault}")
            continue
        for number, (part, sounds) in enumerate(cut(words, phones), 1):
            name = f"{speaker}-suitcase-{number:03d}"
            segment = (max(0.0, part[0].start - MARGIN), min(end, part[-1].end + MARGIN))
            try:
                text = " ".join(known(word) for word in part)
                canonical, surface = transcribe(sounds)
            except Unannotated as fault:
                unusable.append(f"{name}: {fault}")
                continue
            yield make(name, speaker, recordings[speaker], text, canonical, surface, segment)


def make(
    name: str,
    speaker: str,
    audio: Path,
    text: str,
    canonical: list[str],
    surface: list[str],
    segment: tuple[float, float] | None = None,
) -> Utterance:
    """An utterance with all that is known of its speaker."""
    gender, l1 = SPEAKERS[speaker]
    return Utterance(
        id=name,
        split="test" if speaker in TEST else "valid" if speaker in VALID else "train",
        speaker=speaker,
        audio=audio,
        surface=" ".join(surface),
        meaning=cleaning.plain(text),
        canonical=" ".join(canonical),
        l1=l1,
        segment=segment,
        facts={"gender": gender, "style": "spontaneous" if segment else "read"},
    )


def read_grid(path: Path) -> tuple[list[Interval], list[Interval], float]:
    """The words, the phones and the end of a recording: intervals with label, in seconds."""
    try:
        grid = textgrid.openTextgrid(
            str(path),
            includeEmptyIntervals=False,
            reportingMode="silence",
            duplicateNamesMode="rename",
        )
    except (PraatioException, ValueError, IndexError) as error:
        raise Unannotated(" ".join(f"not a TextGrid ({error})".split())) from None
    tiers = {tier.name.strip().lower(): list(tier.entries) for tier in grid.tiers}
    for name in ("words", "phones"):
        if not any(interval.label.lower() not in SILENCES for interval in tiers.get(name, [])):
            raise Unannotated(f"nothing but silence in a tier '{name}'")
    return tiers["words"], tiers["phones"], grid.maxTimestamp


def cut(
    words: list[Interval], phones: list[Interval]
) -> Iterator[tuple[list[Interval], list[Interval]]]:
    """The words and the phones of each stretch between two pauses."""
    words = [word for word in words if word.label.lower() not in SILENCES]
    borders = [
        (one.end + other.start) / 2
        for one, other in pairwise(words)
        if other.start - one.end >= PAUSE
    ]
    for left, right in pairwise([-inf, *borders, inf]):
        yield tuple(
            [some for some in tier if left <= (some.start + some.end) / 2 < right]
            for tier in (words, phones)
        )


def known(word: Interval) -> str:
    """The label of a word that the forced aligner knew."""
    if word.label.lower() == UNKNOWN:
        raise Unannotated(f"the word at {word.start:.2f} s is {UNKNOWN}")
    return word.label


def transcribe(phones: list[Interval]) -> tuple[list[str], list[str]]:
    """The canonical and the surface phones, by the tags of the tier ``phones``."""
    canonical, surface = [], []
    for interval in phones:
        first, *tag = (unless_silence(field) for field in interval.label.split(","))
        due = plain(first)
        if due and due not in PHONES:
            raise Unannotated(f"'{interval.label}' at {interval.start:.2f} s: no canonical phone")
        canonical += [due] if due else []
        if not tag:
            surface += [due] if due else []
        elif tag[0]:
            surface += perceived(tag[0], due)
    if not canonical:
        raise Unannotated("no phone")
    return canonical, surface


def unless_silence(field: str) -> str:
    """One field of a tag, "" for silence."""
    return "" if plain(field).lower() in SILENCES else field.strip()
