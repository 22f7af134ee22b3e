"""Keep what is needed of runs to score them again, and restore it; run in the recipe directory.

    python -m l2dual.bin.records keep exp/RUN... --to results
    python -m l2dual.bin.records restore results/RUN.json... --to exp
"""

import argparse
from pathlib import Path

from l2dual import records
from l2dual.bin import run
from l2dual.score import write_records


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
    gradients = []
    for path in args.paths:
        record = records.read(path)
        records.restore(record, args.to / path.stem)
        gradients += record["gradients"]
    write_records(args.to / "gradients.json", gradients)


if __name__ == "__main__":
    run(main)
