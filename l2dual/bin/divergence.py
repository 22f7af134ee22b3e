"""Divergence statistics of data directories (stage 6).

    python -m l2dual.bin.divergence --data data/x/train --data data/x/test --out divergence.json
"""

import argparse
from pathlib import Path

from l2dual.data.datadir import DataDir
from l2dual.data.divergence import summarize, table
from l2dual.errors import run
from l2dual.scoring.score import write_records
from l2dual.training.runs import made_by_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    records = [record for data in args.data for record in summarize(DataDir.load(data))]
    records[0] |= made_by_command("divergence")
    write_records(args.out, records)
    print(table(records))


if __name__ == "__main__":
    run(main)
