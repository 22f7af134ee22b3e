"""Records of a study: enough to score and report it again without its data and models.

A study is a directory: ``references.json.xz``, the texts of the test set, speakers and facts of
the corpus, once, and for each run ``RUN.json.xz``, its run.yaml and the hypotheses of each budget.
Checkpoints and recordings are large, these are not.

Nothing in a record is trusted: it names no file outside the directory that it is restored to.
"""

import json
import lzma
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from l2dual.data.datadir import DataDir, is_wanted, read_table, write_table
from l2dual.errors import DataError, UsageError
from l2dual.files import atomic_write
from l2dual.scoring.score import (
    RUN_KEYS,
    Scored,
    check_comparable,
    read_run,
    run_of,
    score,
    training_facts,
)
from l2dual.systems import OUTPUTS, from_run
from l2dual.text.units import UNITS
from l2dual.training.runs import write_yaml

SUFFIX = ".json.xz"
REFERENCES = "references"
TEXTS = ("text.surface", "text.canonical", "text.meaning")
LIMIT = 1 << 28  # bytes of a record, unpacked
NAME = re.compile(r"[\w+-][\w+.-]{0,199}")  # of a file or directory that a record names
FACTS = ("parameters", "train_seconds", "epochs", "decode_config")  # of a run, that its run.yaml has not
RUN_KINDS = dict.fromkeys(RUN_KEYS, str) | {"seed": int, "outputs": list, "order": int, "baselines": dict}
KINDS = {"run": dict, "facts": dict, "hypotheses": dict, "gradients": list}


@dataclass(frozen=True)
class Kept:
    """A study that was kept: its references, and the record of each run by the run's name."""

    data: DataDir
    runs: dict[str, dict]

    def having(self, decode: str) -> "Kept":
        """Its runs that have decodings of that name."""
        return replace(self, runs={n: one for n, one in self.runs.items() if decode in one["hypotheses"]})

    def scored(self, decode: str | None = None) -> list[Scored]:
        """Score the hypotheses of every run.

        Args:
            decode: name of the decodings; by default the shortest that a run has, of the whole
                training budget.
        """
        found = []
        for name, record in self.runs.items():
            chosen = decode or min(record["hypotheses"], key=len)
            texts = record["hypotheses"].get(chosen, {}).get(self.data.path.name)
            if texts is None:
                raise DataError(f"{name}: the record has no {chosen}/{self.data.path.name}")
            check_comparable(record["run"], name, self.data)
            run = run_of(record["run"], name, f"{name}/{chosen}/{self.data.path.name}", **record["facts"])
            found.append(replace(score(self.data, texts, run), alignments={}))  # they are large
        return found


def keep(exp_dir: Path, decode: str, decode_config: str | None = None) -> dict:
    """Make the record of a run.

    Args:
        exp_dir: the run's directory.
        decode: how its decodings' names begin: ``decode`` of the whole, ``decode_half`` of the half
            budget; of other test data, ``decode_on_TAG``, only those that name them are taken.
        decode_config: what they were made with.

    Raises:
        DataError: no run.yaml, or nothing is decoded.
    """
    from l2dual.analysis.gradients import cosines  # imports torch, which nothing else here needs

    run = read_run(exp_dir / "run.yaml")
    hypotheses: dict[str, dict] = {}
    for split in sorted(exp_dir.glob(f"{decode}*/*")):
        elsewhere = "_on_" in split.parent.name and "_on_" not in decode
        if (split / f"text.{run['outputs'][0]}").is_file() and not elsewhere:
            texts = {output: read_table(split / f"text.{output}") for output in run["outputs"]}
            hypotheses.setdefault(split.parent.name, {})[split.name] = texts
    if not hypotheses:
        raise DataError(f"{exp_dir}/{decode}: not found: decode this run first (stage 9)")
    facts = dict(zip(FACTS, (*training_facts(exp_dir), decode_config), strict=True))
    gradients = [asdict(one) for one in cosines([exp_dir])]
    return {"run": run, "facts": facts, "hypotheses": hypotheses, "gradients": gradients}


def keep_study(
    exp_dirs: list[Path], data: DataDir, to: Path, decode: str, decode_config: str | None
) -> None:
    """Write the records of runs, and of their references where these are not there.

    Raises:
        DataError: other references are there, or as `keep`.
        UsageError: two runs have one name.
    """
    references, file = keep_references(data), to / f"{REFERENCES}{SUFFIX}"
    if file.exists() and read_references(file).tables != references["tables"]:
        raise DataError(f"{file}: has other references than {data.path}: choose another --to")
    if len({path.name for path in exp_dirs}) < len(exp_dirs):
        raise UsageError("records keep: two runs have one name: keep them in different directories")
    found = {path.name: keep(path, decode, decode_config) for path in exp_dirs}
    write_record(references, file)
    for name, record in found.items():
        write_record(record, to / f"{name}{SUFFIX}")


def restore_studies(studies: list[Path], to: Path) -> None:
    """Make the experiment directories of studies in ``to``; DataError as `load` and `restore`."""
    found: dict[Path, dict] = {}
    for study in studies:
        for name, record in load_study(study).runs.items():
            if to / name in found:
                raise DataError(f"{study}: {name} is in another study too: restore each with its own --to")
            found[to / name] = record
    restore(found)


def keep_references(data: DataDir) -> dict:
    """Make the record of a test set: its texts and utt2 tables, without recordings."""
    texts = [name for name in TEXTS if is_wanted(name, data.info)]
    names = [*texts, *(name for name in data.tables if name.startswith("utt2"))]
    tables = {name: data[name] for name in names}
    return {"path": str(data.path), "info": data.info, "tables": tables}


def write_record(record: Mapping, path: Path) -> None:
    """Write a record, whole or not at all; equal records give equal files."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    with atomic_write(path, "wb") as stream:
        stream.write(lzma.compress(text.encode()))


def read_record(path: Path, kinds: Mapping[str, type] = KINDS) -> dict:
    """Read a record of a run, or of other ``kinds``; DataError if the file is not one."""
    try:
        with lzma.open(path) as stream:
            text = stream.read(LIMIT + 1)
        record = json.loads(text) if len(text) <= LIMIT else None
    except (OSError, ValueError, EOFError, lzma.LZMAError, RecursionError) as error:
        raise DataError(f"{path}: not a record of a run ({error})") from error
    if (
        not isinstance(record, dict)
        or record.keys() != kinds.keys()
        or not all(isinstance(record[key], kind) for key, kind in kinds.items())
    ):
        raise DataError(f"{path}: not a record: it must have {', '.join(kinds)}, in {LIMIT >> 20} MB")
    return record


def read_references(path: Path) -> DataDir:
    """Read a study's references: a data directory without recordings."""
    record = read_record(path, {"path": str, "info": dict, "tables": dict})
    info, tables = record["info"], record["tables"]
    for key in ("corpus", "language", "convention", "surface_unit", "meaning_unit"):
        if not isinstance(info.get(key), str) or (key.endswith("unit") and info[key] not in UNITS):
            raise DataError(f"{path}: {key} is {info.get(key)!r}: keep the study again")
    needed = {"utt2spk", "utt2l1", *(name for name in TEXTS if is_wanted(name, info))}
    for name in sorted(needed - tables.keys()):
        raise DataError(f"{path}: {name} is missing: keep the study again")
    for name, table in tables.items():
        _check_texts(path, name, table)
        if table.keys() != tables["utt2spk"].keys():
            raise DataError(f"{path}: {name} has other utterances than utt2spk")
    return DataDir(Path(record["path"]), tables, info)


def load_study(directory: Path) -> Kept:
    """Read a study; DataError if it is not one, holds no run, or a name or text is not safe."""
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    names = {path.name.removesuffix(SUFFIX): path for path in paths}
    if REFERENCES not in names or len(names) < 2:
        raise DataError(f"{directory}: not a kept study: it needs {REFERENCES}{SUFFIX} and a run")
    data = read_references(names.pop(REFERENCES))
    return Kept(data, {name: read_checked(path) for name, path in names.items()})


def read_checked(path: Path) -> dict:
    """Read the record of a run that is whole, and safe to write; DataError if it is not."""
    record = read_record(path)
    run, hypotheses = record["run"], record["hypotheses"]
    for key, kind in RUN_KINDS.items():
        if not isinstance(run.get(key), kind):
            raise DataError(f"{path}: its run has {run.get(key)!r} as '{key}': keep the run again")
    if not record["facts"].keys() <= set(FACTS):
        raise DataError(f"{path}: its facts are not {', '.join(FACTS)}: keep the run again")
    if not hypotheses:
        raise DataError(f"{path}: has no hypotheses: decode the run (stage 9) and keep it again")
    for decode, splits in hypotheses.items():
        for split, outputs in _mapping(path, splits).items():
            for name in (decode, split):
                if not NAME.fullmatch(name):
                    raise DataError(f"{path}: {name!r} is not the name of a directory: do not use it")
            if sorted(_mapping(path, outputs)) != sorted(map(str, run["outputs"])) or set(outputs) - set(OUTPUTS):
                raise DataError(
                    f"{path}: {decode}/{split} has the outputs {', '.join(outputs)}, which are not "
                    f"{' and '.join(OUTPUTS)} as the run has them: keep the run again"
                )
            for output, table in outputs.items():
                _check_texts(path, output, table)
    try:
        from_run(run)
    except DataError as error:
        raise DataError(f"{path}: its run's {error}: keep the run again") from error
    return record


def _mapping(path: Path, content: object) -> dict:
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a record of a run: hypotheses are decodings, splits, outputs")
    return content


def _check_texts(path: Path, name: str, table: object) -> None:
    """DataError where a table's line would not be one line: its utterance and its value."""
    for utt, text in _mapping(path, table).items():
        if not isinstance(text, str) or utt.split() != [utt] or len(text.splitlines()) > 1:
            raise DataError(f"{path}: {name}, utterance {utt!r}: not one line of text")


def restore(records: Mapping[Path, dict]) -> None:
    """Make the experiment directory of each record, as far as stage 10 needs it.

    Raises:
        DataError: a directory is there already; nothing is changed.
    """
    for exp_dir in records:
        if exp_dir.exists() or exp_dir.is_symlink():
            raise DataError(f"{exp_dir}: exists already: restore with another --to")
    for exp_dir, record in records.items():
        for decode, splits in record["hypotheses"].items():
            for split, outputs in splits.items():
                for output, table in outputs.items():
                    write_table(exp_dir / decode / split / f"text.{output}", table)
        write_yaml(exp_dir / "run.yaml", record["run"])
