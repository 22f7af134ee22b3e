"""What is kept of a run when its models are gone: one small JSON file, from which it is scored again.

The runs of a study take days and machines; their checkpoints are large, their hypotheses are not.
A record has the run's facts, the hypotheses of each budget, and the gradient cosines. Restored, it
is an experiment directory that stage 10 scores; the references are those of the same recipe.
"""

import json
from pathlib import Path

from l2dual.analysis.gradients import gradient_records
from l2dual.datadir import read_table, write_table
from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.runs import write_yaml
from l2dual.score import read_run


def keep(exp_dir: Path, decode: str) -> dict:
    """Make the record of a run.

    Args:
        exp_dir: the run's directory.
        decode: how its decodings' names begin: ``decode`` of the whole, ``decode_half`` of the half
            budget, ``decode_on_TAG`` of other test data.

    Raises:
        DataError: no run.yaml, or nothing is decoded.
    """
    run = read_run(exp_dir / "run.yaml")
    hypotheses: dict[str, dict] = {}
    for split in sorted(exp_dir.glob(f"{decode}*/*")):
        if (split / f"text.{run['outputs'][0]}").is_file():
            texts = {output: read_table(split / f"text.{output}") for output in run["outputs"]}
            hypotheses.setdefault(split.parent.name, {})[split.name] = texts
    if not hypotheses:
        raise DataError(f"{exp_dir}/{decode}: not found: decode this run first (stage 9)")
    return {"run": run, "hypotheses": hypotheses, "gradients": gradient_records([exp_dir])}


def write(record: dict, path: Path) -> None:
    """Write a record, whole or not at all, an utterance a line so that changes are readable."""
    with atomic_write(path) as stream:
        json.dump(record, stream, ensure_ascii=False, indent=0)
        stream.write("\n")


def read(path: Path) -> dict:
    """Read a record; DataError if the file is not one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a record of a run ({error})") from error
    kinds = {"run": dict, "hypotheses": dict, "gradients": list}
    if (
        not isinstance(record, dict)
        or record.keys() != kinds.keys()
        or not all(isinstance(record[key], kind) for key, kind in kinds.items())
    ):
        raise DataError(f"{path}: not a record of a run: it must have {', '.join(kinds)}")
    return record


def restore(record: dict, exp_dir: Path) -> None:
    """Make the experiment directory of a record, as far as stage 10 needs it.

    Raises:
        DataError: the directory is there already; nothing is changed.
    """
    if exp_dir.exists():
        raise DataError(f"{exp_dir}: is there already, and is kept: restore with another --to")
    for decode, splits in record["hypotheses"].items():
        for split, outputs in splits.items():
            for output, table in outputs.items():
                write_table(exp_dir / decode / split / f"text.{output}", table)
    write_yaml(exp_dir / "run.yaml", record["run"])
