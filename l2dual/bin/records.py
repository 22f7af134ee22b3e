"""Keep the records of a study, to score and report it again; run in the recipe directory.

    python -m l2dual.bin.records keep exp/RUN... --data dump/TAG/test --to results/STUDY
    python -m l2dual.bin.records restore results/STUDY... --to exp

`python -m l2dual.bin.results results/STUDY --out FILE` scores a kept study.
"""

import argparse
from pathlib import Path

from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, UsageError, run
from l2dual.report import records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["keep", "restore"])
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN_OR_STUDY")
    parser.add_argument("--to", type=Path, required=True, help="directory to write to")
    parser.add_argument("--data", type=Path, help="to keep: data directory of the references")
    parser.add_argument("--decode", default="decode", help="to keep: how the decodings' names begin")
    parser.add_argument("--decode_config", help="to keep: their decode_config")
    args = parser.parse_args()
    if args.action == "restore":
        restore(args.paths, args.to)
    elif args.data is None:
        raise UsageError("records keep: give --data, the data directory of the references")
    else:
        keep(args.paths, DataDir.load(args.data), args.to, args.decode, args.decode_config)


def keep(
    exp_dirs: list[Path], data: DataDir, to: Path, decode: str, decode_config: str | None
) -> None:
    """Write the records of runs, and of their references where these are not there."""
    references, file = records.keep_references(data), to / f"{records.REFERENCES}{records.SUFFIX}"
    if file.exists() and records.read_references(file).tables != references["tables"]:
        raise DataError(f"{file}: has other references than {data.path}: choose another --to")
    if len({path.name for path in exp_dirs}) < len(exp_dirs):
        raise UsageError("records keep: two runs have one name: keep them in two directories")
    found = {path.name: records.keep(path, decode, decode_config) for path in exp_dirs}
    records.write(references, file)
    for name, record in found.items():
        records.write(record, to / f"{name}{records.SUFFIX}")


def restore(studies: list[Path], to: Path) -> None:
    """Make the experiment directories of studies."""
    found: dict[Path, dict] = {}
    for study in studies:
        for name, record in records.load(study).runs.items():
            if to / name in found:
                raise DataError(f"{study}: {name} is in another study too: restore each with its own --to")
            found[to / name] = record
    records.restore(found)


if __name__ == "__main__":
    run(main)
