"""Put intervals and tests on the scores of all runs of a comparison (stage 10).

    python -m l2dual.bin.statistics exp/*/decode/score --data dump/DATA/test \\
        --out exp/statistics.json
"""

import argparse
from pathlib import Path

from l2dual.bin import run
from l2dual.datadir import DataDir
from l2dual.inference import infer, load
from l2dual.runs import made_by_command
from l2dual.score import write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORE_DIR")
    parser.add_argument("--data", type=Path, required=True, help="data directory of the references")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    records = infer(load(args.scores), DataDir.load(args.data))
    records[0] |= made_by_command("statistics")
    write_records(args.out, records)


if __name__ == "__main__":
    run(main)
