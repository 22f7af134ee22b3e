"""Kaldi-style data directories: tables of `<utterance> <value>` that list the same utterances."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.files import atomic_write, is_id, read_text, read_yaml
from l2dual.systems import OUTPUTS

TEXTS = ("text.surface", "text.meaning", "text.canonical")
SURFACE_TEXTS = ("text.surface", "text.canonical")  # both or neither
TABLES = ("wav.scp", *TEXTS, "utt2spk", "utt2l1")
UNKNOWN = "unknown"
MIN_UTTS = 20  # that an interval needs, and clusters:
MIN_CLUSTERS = 6  # with five, even a difference of one sign in all could not reach p < .05: 2 / 2^5
LINE = re.compile("[^\n\r\ud800-\udfff]*")  # one line of a table
SCP_TYPE = "recording"  # how ESPnet reads wav.scp: through l2dual.data.speech
ASSUMPTIONS = {"heard": "the text as written", "pronounced": "standard pronunciation of the text"}


def read_table(path: str | Path) -> dict[str, str]:
    """Read `<utterance> <value>` lines, as ESPnet does; a value may be empty or hold spaces.

    Raises:
        DataError: no regular file, not UTF-8, a blank line, or a duplicate utterance.
    """
    path = Path(path)
    text = read_text(path)
    table = {}
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        key, *value = line.split(maxsplit=1) or [""]
        if not key:
            raise DataError(f"{path}, line {number}: the line is blank: remove it")
        if key in table:
            raise DataError(f"{path}, line {number}: utterance {key} is a duplicate: remove one")
        table[key] = "".join(value).strip()
    return table


def write_table(path: str | Path, table: Mapping[str, object]) -> None:
    """Write a table sorted by utterance.

    Raises:
        DataError: a value that would not be one line of UTF-8.
    """
    with atomic_write(path) as stream:
        for key in sorted(table):
            line = f"{key} {table[key]}".rstrip()
            if not LINE.fullmatch(line):
                raise DataError(f"{path}: {line!r} is not one line of text: correct the corpus")
            stream.write(line + "\n")


@dataclass(frozen=True)
class DataDir:
    """The tables of one split, by name, and the facts of its corpus."""

    path: Path
    tables: Mapping[str, Mapping[str, str]]
    info: dict

    @classmethod
    def load(cls, path: str | Path) -> "DataDir":
        """Read and check a data directory.

        Raises:
            DataError: a table is missing, or lists other utterances than wav.scp.
        """
        path = Path(path)
        info = read_info(path)
        names = [name for name in TABLES if is_wanted(name, info)]
        names += sorted(found.name for found in path.glob("utt2*") if found.name not in TABLES)
        tables = {name: read_table(path / name) for name in names}
        ids = set(tables["wav.scp"])
        for name, table in tables.items():
            for utt in sorted(ids ^ set(table))[:1]:
                lacks, has = (name, "wav.scp") if utt in ids else ("wav.scp", name)
                raise DataError(
                    f"{path / lacks}: utterance {utt} is missing, but {has} has it: "
                    "add it, or remove it from the other tables"
                )
        return cls(path, tables, info)

    def __getitem__(self, name: str) -> Mapping[str, str]:
        return self.tables[name]

    @property
    def clusters(self) -> Mapping[str, str]:
        """The cluster of each utterance, for intervals: its speaker or shared voice.

        A synthesizer has fewer voices than a simulated corpus has speakers. Speakers with one voice
        are not independent.
        """
        return self.tables.get("utt2voice", self["utt2spk"])

    @property
    def people(self) -> dict[str, str]:
        """The speaker of each utterance; copies at other speeds have that of what they copy."""
        copies = [f"sp{factor}-" for factor in self.info.get("speed_factors", ())]  # they begin the speakers' names
        return {
            utt: next((spk.removeprefix(one) for one in copies if spk.startswith(one)), spk)
            for utt, spk in self["utt2spk"].items()
        }

    def subset(self, utts: Iterable[str]) -> "DataDir":
        """The same directory with only ``utts``."""
        keep = set(utts)
        tables = {
            name: {utt: value for utt, value in table.items() if utt in keep}
            for name, table in self.tables.items()
        }
        return DataDir(self.path, tables, self.info)

    def sample(self, count: int | None) -> "DataDir":
        """``count`` utterances, drawn by a seed; all of them if there are no more, or for None."""
        return self.subset(np.random.default_rng(0).permutation(sorted(self["wav.scp"]))[:count].tolist())

    def write(self, path: str | Path) -> None:
        """Write all tables and corpus.yaml to ``path``; for Kaldi's readers, text and segments."""
        path = Path(path)
        for name, table in self.tables.items():
            write_table(path / name, table)
        for name in ("text.surface", "text.meaning"):  # the meaning, where there is one
            if name in self.tables:
                write_table(path / "text", self.tables[name])
        if "utt2segment" in self.tables:
            parts = self.tables["utt2segment"]
            whole = {utt: "0 -1" if part == UNKNOWN else part for utt, part in parts.items()}
            write_table(path / "segments", {utt: f"{utt} {whole[utt]}" for utt in whole})
        write_info(path, self.info)


def read_info(path: str | Path) -> dict:
    """Facts of the corpus: corpus, language, convention, surface_unit, meaning_unit, ..."""
    file = Path(path) / "corpus.yaml"
    if not file.is_file():
        raise DataError(f"{file}: no such file: run stage 1")
    return read_yaml(file)


def surface_of(info: Mapping) -> str:
    """Where the surface comes from: `annotated`, `assumed` or `none`."""
    return info.get("surface", "annotated")


def has_surface(info: Mapping) -> bool:
    """Whether the corpus says what was pronounced (or the user assumed it)."""
    return surface_of(info) != "none"


def has_meaning(info: Mapping) -> bool:
    """Whether the corpus says what was intended."""
    return info.get("meaning") != "none"


def is_wanted(table: str, info: Mapping) -> bool:
    """Whether a data directory with these facts has the table."""
    if table == "text.meaning":
        return has_meaning(info)
    return has_surface(info) or table not in SURFACE_TEXTS


def outputs_of(info: Mapping) -> tuple[str, ...]:
    """The outputs that the corpus has texts for."""
    has = {"surface": has_surface(info), "meaning": has_meaning(info)}
    return tuple(output for output in OUTPUTS if has[output])


def convention_of(info: Mapping) -> str:
    """The convention of the surface, as tables name it, with a note if it is assumed."""
    if not has_surface(info):
        return "no surface"
    assumed = f" (assumed: {ASSUMPTIONS[info['convention']]})"
    return info["convention"] + (assumed if surface_of(info) == "assumed" else "")


def write_info(path: str | Path, info: Mapping) -> None:
    """Write corpus.yaml."""
    with atomic_write(Path(path) / "corpus.yaml") as stream:
        yaml.safe_dump(dict(info), stream, allow_unicode=True, sort_keys=False)


def write_datadir(path: str | Path, utterances: Iterable[Utterance], info: Mapping) -> None:
    """Write the utterances of one split as a data directory.

    Raises:
        DataError: two utterances share an id, an id or a speaker has a character that it may not
            have, an id does not begin with its speaker, or there is no utterance.
    """
    tables: dict[str, dict[str, str]] = defaultdict(dict)
    for utterance in utterances:
        for name in (utterance.speaker, utterance.id):
            if not is_id(name):
                raise DataError(
                    f"{path}: utterance {utterance.id!r}: {name!r} is no name for an utterance or a "
                    "speaker: use letters, digits and . _ - + = @, no . at the start, 255 bytes at most"
                )
        if utterance.id in tables["wav.scp"]:
            raise DataError(f"{path}: two utterances have the id {utterance.id}: make ids unique")
        if not utterance.id.startswith(f"{utterance.speaker}-"):
            raise DataError(
                f"{path}: utterance {utterance.id} does not begin with its speaker "
                f"{utterance.speaker} and '-': Kaldi's sorting needs it"
            )
        for name, value in _row(utterance).items():
            tables[name][utterance.id] = value
    if not tables["wav.scp"]:
        raise DataError(f"{path}: the corpus gave no utterance for this split: check --db")
    for name in tables:
        if name.startswith("utt2"):
            tables[name] = {utt: tables[name].get(utt, UNKNOWN) for utt in tables["wav.scp"]}
    DataDir(Path(path), dict(tables), dict(info)).write(path)


def _row(utterance: Utterance) -> dict[str, str]:
    """What each table has on an utterance."""
    row = {
        "wav.scp": str(utterance.audio),
        "utt2spk": utterance.speaker,
        "utt2l1": utterance.l1,
    }
    for name in ("surface", "meaning", "canonical"):
        if (text := getattr(utterance, name)) is not None:
            row[f"text.{name}"] = text
    if utterance.segment is not None:
        row["utt2segment"] = "{:.3f} {:.3f}".format(*utterance.segment)
    return row | {f"utt2{name}": value for name, value in utterance.facts.items()}
