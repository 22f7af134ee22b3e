"""Score one decoding (stage 10): align.OUTPUT.txt, utterances.tsv and run.json.

    python -m l2dual.bin.score --data dump/DATA/test --decode exp/RUN/decode/test \\
        --run exp/RUN/run.yaml --decode_config conf/decode.yaml --out exp/RUN/decode/score
"""

import argparse
from pathlib import Path

from l2dual.data.datadir import DataDir, read_table
from l2dual.errors import run
from l2dual.scoring.score import check_comparable, decoded_run, read_run, score, write_scored


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data directory of the references")
    parser.add_argument("--decode", type=Path, required=True, help="directory with text.<output>")
    parser.add_argument("--run", type=Path, required=True, help="the run's run.yaml")
    parser.add_argument("--decode_config", help="decode_config of the decoding, to be recorded")
    parser.add_argument("--out", type=Path, required=True, help="directory to write to")
    args = parser.parse_args()
    data = DataDir.load(args.data)
    check_comparable(read_run(args.run), args.run, data)
    facts = decoded_run(args.run, args.decode, args.decode_config)
    texts = {output: read_table(args.decode / f"text.{output}") for output in facts.outputs}
    write_scored(score(data, texts, facts), data, args.out)


if __name__ == "__main__":
    run(main)
