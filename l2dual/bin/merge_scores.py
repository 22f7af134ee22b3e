"""Join score files into one results file (stage 10).

    python -m l2dual.bin.merge_scores exp/*/decode/score/score.json --out exp/results.json
"""

import argparse
from pathlib import Path

from l2dual.bin import run
from l2dual.score import merge, write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORE.json")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    write_records(args.out, merge(args.scores))


if __name__ == "__main__":
    run(main)
