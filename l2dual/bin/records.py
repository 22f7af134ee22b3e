"""Keep what is needed of runs to score them again, and restore it; run in the recipe directory.

    python -m l2dual.bin.records keep exp/RUN... --to results
    python -m l2dual.bin.records restore results/RUN.json... --to exp
"""

import argparse
import sys
from pathlib import Path

from l2dual import records
from l2dual.bin import run
from l2dual.score import read_records, write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["keep", "restore"])
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--to", type=Path, required=True, help="directory to write to")
    parser.add_argument("--decode", default="decode", help="name of the decodings to keep")
    args = parser.parse_args()
    if args.action == "keep":
        for path in args.paths:
            records.write(records.keep(path, args.decode), args.to / f"{path.name}.json")
        return
    found = {args.to / path.stem: records.read(path) for path in args.paths}
    for exp_dir in [path for path in found if path.exists()]:
        print(f"{exp_dir}: is there already, and is kept", file=sys.stderr)
        del found[exp_dir]
    for exp_dir, record in found.items():
        records.restore(record, exp_dir)
    gradients = args.to / "gradients.json"
    there = read_records(gradients) if gradients.is_file() else []
    new = [gradient for record in found.values() for gradient in record["gradients"]]
    write_records(gradients, [*there, *new])


if __name__ == "__main__":
    run(main)
