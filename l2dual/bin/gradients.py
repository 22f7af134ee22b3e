"""Collect the gradient cosines that dual-output runs logged (stage 11).

    python -m l2dual.bin.gradients --exp exp/RUN... --out exp/gradients.json
"""

import argparse
from pathlib import Path

from l2dual.analysis.gradients import gradient_records
from l2dual.bin import run
from l2dual.score import write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, nargs="+", required=True, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    write_records(args.out, gradient_records(args.exp))


if __name__ == "__main__":
    run(main)
