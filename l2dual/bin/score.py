"""Score one decoding (stage 10): error rates as JSON; align.<output>.txt, utterances.tsv beside it.

    python -m l2dual.bin.score --data dump/DATA/test --decode exp/RUN/decode/test \\
        --run exp/RUN/run.yaml --decode_config conf/decode.yaml \\
        --out exp/RUN/decode/score/score.json
"""

import argparse
from pathlib import Path

from l2dual.bin import run
from l2dual.datadir import DataDir
from l2dual.runs import commit
from l2dual.score import score, write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data directory of the references")
    parser.add_argument("--decode", type=Path, required=True, help="directory with text.<output>")
    parser.add_argument("--run", type=Path, required=True, help="the run's run.yaml")
    parser.add_argument("--decode_config", help="what the decoding was made with, to be recorded")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    data = DataDir.load(args.data)
    records = score(data, args.decode, args.run, args.decode_config, args.out.parent)
    by = {"scored_commit": commit()}
    write_records(args.out, [record | by for record in records])


if __name__ == "__main__":
    run(main)
