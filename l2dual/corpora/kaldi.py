"""A corpus of your own as a Kaldi data directory, or one with train, valid (dev) and test below.

``wav.scp``, ``utt2spk``, ``text.meaning`` (or ``text``); and, where there is one,
``segments``, ``text.surface``, ``text.canonical``, ``utt2split``, and ``l1``, ``level``, ``age``
and ``gender`` by utterance (``utt2l1``) or by speaker (``spk2l1``). docs/corpora/kaldi.md says
more. A data directory that l2dual wrote is read too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import own
from l2dual.corpora.common.kaldi_table import read_keyed
from l2dual.data.datadir import UNKNOWN
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.files import read_yaml

LANGUAGES = ("en", "ko")
CONVENTIONS = ("heard", "pronounced")
SURFACE = "either"
OPTIONS = ("canonical", "allow_pipes")

OPTIONAL = {
    "spk2": ("l1", *own.FACTS),
    "utt2": ("l1", *own.FACTS, "split"),  # wins over spk2
}
REMEDY = "correct the data directory"


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read the directory.

    Args:
        db: a data directory, or one with data directories named by their splits. Audio paths are
            relative to the data directory or, as in Kaldi, to the recipe's directory.
        request: without a ``text.canonical``, language and convention give it; without splits,
            the seed draws them.

    Raises:
        DataError: a table is missing, or utterances are not valid; names them all.
    """
    db = Path(db)
    below = {name: db / name for name in own.SPLITS if (db / name / "wav.scp").is_file()}
    if (db / "wav.scp").is_file():
        below = {"": db}
    if not below:
        raise DataError(f"{db}: no wav.scp here, nor in train, valid and test below it; correct --db")
    directories = [Tables.load(path, split, request) for split, path in below.items()]
    entries = [entry for directory in directories for entry in directory.entries()]
    utterances, faults = own.make_all(entries, request)
    utterances, info = own.finish(utterances, faults, request, db)
    without_text = sum(directory.without_text() for directory in directories)
    return utterances, info | {"left_out": {"audio without text": without_text}}


@dataclass(frozen=True)
class Tables:
    """The tables of one data directory by file; ``parts`` by utterance, from ``parts_file``."""

    path: Path
    split: str
    texts: dict[str, str]  # file of each text
    tables: dict[str, dict[str, str]]
    parts_file: str
    parts: dict[str, tuple[str, str, str]]

    @classmethod
    def load(cls, path: Path, split: str, request: Request) -> "Tables":
        texts = {name: f"text.{name}" for name in own.TEXTS if (path / f"text.{name}").is_file()}
        info = path / "corpus.yaml"  # where it says so, text is the surface, for Kaldi's readers
        surface_alone = info.is_file() and read_yaml(info).get("meaning") == "none"
        if "meaning" not in texts and not surface_alone and (path / "text").is_file():
            texts["meaning"] = "text"
        if texts:
            own.check_truth(texts, request, path, "text.canonical")
        facts = [f"{kind}{name}" for kind, names in OPTIONAL.items() for name in names]
        files = [*(texts.values() or ["text.meaning"]), "utt2spk", "wav.scp"]
        files += [file for file in facts if (path / file).is_file()]
        tables = {file: read_keyed(path / file, REMEDY) for file in files}
        return cls(path, split, texts, tables, *read_parts(path, tables["wav.scp"]))

    @property
    def text_file(self) -> str:
        """The file whose utterances are read."""
        return self.texts.get("meaning", "text.surface")

    def without_text(self) -> int:
        return len(self.parts.keys() - self.tables[self.text_file].keys())

    def entries(self) -> Iterator[own.Entry]:
        for utterance in self.tables[self.text_file]:
            row, fault = {}, ""
            try:
                row = self.row(utterance)
            except DataError as error:
                fault = str(error)
            where = f"{self.path}, utterance {utterance}"
            yield own.Entry(where, row, (self.path, Path()), fault)

    def row(self, utterance: str) -> dict[str, str]:
        """What the tables have on an utterance; DataError if one of them lacks it."""
        speaker = self.find("utt2spk", utterance)
        row = {"id": utterance, "speaker": speaker, "split": self.split}
        row |= {name: self.find(file, utterance) for name, file in self.texts.items()}
        for kind, names in OPTIONAL.items():
            for name in names:
                if f"{kind}{name}" in self.tables:
                    key = speaker if kind == "spk2" else utterance
                    row[name] = self.find(f"{kind}{name}", key)
        recording, row["start"], row["end"] = self.find(self.parts_file, utterance, self.parts)
        row["audio"] = self.find("wav.scp", recording)
        return row

    def find(self, file: str, key: str, table: dict | None = None):
        table = self.tables[file] if table is None else table
        if key not in table:
            raise DataError(f"{file}: {key} is missing, but {self.text_file} needs it; {REMEDY}")
        return table[key]


def read_parts(path: Path, recordings: dict) -> tuple[str, dict[str, tuple[str, str, str]]]:
    """The file that says so, and the recording, start and end of each utterance ("": the whole)."""
    if (path / "utt2segment").is_file():  # as l2dual writes it: of the utterance's own recording
        parts = read_keyed(path / "utt2segment", REMEDY)
        parts = {utt: f"{utt} {'0 -1' if part == UNKNOWN else part}" for utt, part in parts.items()}
    elif (path / "segments").is_file():
        parts = read_keyed(path / "segments", REMEDY)
    else:
        return "wav.scp", {recording: (recording, "", "") for recording in recordings}
    found = {}
    for utterance, part in parts.items():
        recording, *times = part.split()
        if len(times) != 2:
            raise DataError(
                f"{path / 'segments'}: {utterance}: no `<recording> <start> <end>`; {REMEDY}"
            )
        found[utterance] = (recording, *(("", "") if times == ["0", "-1"] else times))
    return "segments", found
