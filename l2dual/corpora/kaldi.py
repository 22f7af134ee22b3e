"""A corpus of your own as a Kaldi data directory, or one with train, valid (dev) and test below.

``wav.scp``, ``utt2spk``, ``text.meaning`` (or ``text``); and, where there is one,
``segments``, ``text.surface``, ``text.canonical``, ``utt2split``, and ``l1``, ``level``, ``age``
and ``gender`` by utterance (``utt2l1``) or by speaker (``spk2l1``). docs/corpora/kaldi.md says
more. A data directory that l2dual wrote is read too.
"""

from pathlib import Path

from l2dual.corpora import Request, Utterance
from l2dual.corpora.kaldi_table import read_table
from l2dual.corpora.own import FACTS, SPLITS, finish, make
from l2dual.errors import DataError

OPTIONAL = {
    "text.": ("surface", "canonical"),
    "spk2": ("l1", *FACTS),
    "utt2": ("l1", *FACTS, "split"),  # wins over spk2
}
REMEDY = "mend the data directory"


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read the directory.

    Args:
        db: a data directory, or one with data directories named by their splits. Audio paths are
            relative to the data directory or, as Kaldi has it, to where the recipe runs.
        request: language and convention decide what is due where no ``text.canonical`` is given;
            the seed draws the splits where none are given.

    Raises:
        DataError: a table is missing, does not fit the others, or names audio that is no file.
    """
    db = Path(db)
    below = {name: db / name for name in SPLITS if (db / name / "wav.scp").is_file()}
    if (db / "wav.scp").is_file():
        below = {"": db}
    if not below:
        raise DataError(f"{db}: no wav.scp here, nor in train, valid and test below it; mend --db")
    utterances, without_text = [], 0
    for split, path in below.items():
        some, spare = read_directory(path, split, request)
        utterances += some
        without_text += spare
    utterances, info = finish(utterances, request, db)
    return utterances, info | {"left_out": {"audio without text": without_text}}


def read_directory(path: Path, split: str, request: Request) -> tuple[list[Utterance], int]:
    """The utterances of one data directory, and how many others it has audio of."""
    text_file = "text.meaning" if (path / "text.meaning").is_file() else "text"
    tables = {file: read_table(path / file, REMEDY) for file in (text_file, "utt2spk", "wav.scp")}
    parts_file, parts = read_parts(path, tables["wav.scp"])
    optional = {
        (kind, name): read_table(path / f"{kind}{name}", REMEDY)
        for kind, names in OPTIONAL.items()
        for name in names
        if (path / f"{kind}{name}").is_file()
    }

    def entry(table: dict, key: str, file: str):
        if key not in table:
            raise DataError(f"{path / file}: {key} is missing, but {text_file} needs it; {REMEDY}")
        return table[key]

    utterances = []
    for utterance, meaning in tables[text_file].items():
        row = {"id": utterance, "meaning": meaning, "split": split}
        row["speaker"] = speaker = entry(tables["utt2spk"], utterance, "utt2spk")
        for (kind, name), table in optional.items():
            key = speaker if kind == "spk2" else utterance
            row[name] = entry(table, key, f"{kind}{name}")
        recording, row["start"], row["end"] = entry(parts, utterance, parts_file)
        audio = find_audio(path, recording, entry(tables["wav.scp"], recording, "wav.scp"))
        utterances.append(make(row, request, audio, f"{path}, utterance {utterance}"))
    return utterances, len(parts.keys() - tables[text_file].keys())


def read_parts(path: Path, recordings: dict) -> tuple[str, dict[str, tuple[str, str, str]]]:
    """The file that says so, and the recording, start and end of each utterance ("": the whole)."""
    if (path / "segments").is_file():
        parts = read_table(path / "segments", REMEDY)
    elif (path / "utt2segment").is_file():  # as l2dual writes it: of the utterance's own recording
        parts = read_table(path / "utt2segment", REMEDY)
        parts = {utterance: f"{utterance} {part}" for utterance, part in parts.items()}
    else:
        return "wav.scp", {recording: (recording, "", "") for recording in recordings}
    for utterance, part in parts.items():
        if len(part.split()) != 3:
            raise DataError(
                f"{path / 'segments'}: {utterance}: no `<recording> <start> <end>`; {REMEDY}"
            )
    return "segments", {utterance: tuple(part.split()) for utterance, part in parts.items()}


def find_audio(path: Path, recording: str, name: str) -> Path:
    """The audio file that ``wav.scp`` names."""
    if name.endswith("|"):
        raise DataError(
            f"{path / 'wav.scp'}: {recording}: a command (|) is not run; "
            "write what it gives to an audio file and name that"
        )
    beside = path / name
    return beside if beside.is_file() else Path(name)
