"""Train a rater on a corpus's raters, and let it rate the test set (stage 8).

    python -m l2dual.bin.rate --exp exp/STUDY/RUN --data dump/TAG --folds exp/STUDY/folds/fold?.seed1 \\
        --out exp/STUDY/RUN/rater

DATA has train, valid and test with utt2scores, and the run a CTC on a surface in phones. Networks are
trained on train, chances of errors fitted on valid; OUT has the rater and scored.json, which
`l2dual.bin.agreement` reads: docs/rating.md.
"""

import argparse
from pathlib import Path

from l2dual.bin import share
from l2dual.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True, help="directory of a trained run, or an unpacked model")
    parser.add_argument("--data", type=Path, required=True, help="with train, valid and test; their states if cached")
    parser.add_argument("--speakers", type=share, default=1.0, help="share of the training speakers, for a curve")
    parser.add_argument("--folds", type=Path, nargs="*", default=[], help="trainings by l2dual.bin.fold")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.inference.rater_making import make_rater

    make_rater(args.exp, args.data, args.speakers, args.folds, args.out)


if __name__ == "__main__":
    run(main)
