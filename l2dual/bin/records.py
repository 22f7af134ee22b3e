"""Keep the records of a study, to score and report it again without its models and data.

    python -m l2dual.bin.records keep exp/RUN... --data dump/TAG/test --to results/STUDY
    python -m l2dual.bin.records restore results/STUDY... --to exp
    python -m l2dual.bin.records publish egs2

publish writes every RESULTS.md from the kept studies. Run it at the project's root, and the others
in a recipe's directory. `python -m l2dual.bin.results results/STUDY --out FILE` scores a kept study.
"""

import argparse
from pathlib import Path

from l2dual.data.datadir import DataDir
from l2dual.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    keep = actions.add_parser("keep", help="write the records of runs")
    keep.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    keep.add_argument("--data", type=Path, required=True, help="data directory of the references")
    keep.add_argument("--decode", default="decode", help="first part of the decodings' names")
    keep.add_argument("--decode_config", help="decode_config of the decodings, to be recorded")
    restore = actions.add_parser("restore", help="make the run directories of kept studies")
    restore.add_argument("studies", type=Path, nargs="+", metavar="STUDY")
    for action in (keep, restore):
        action.add_argument("--to", type=Path, required=True, help="directory to write to")
    publish = actions.add_parser("publish", help="write every RESULTS.md from the kept studies")
    publish.add_argument("root", type=Path, help="directory of the recipes")
    args = parser.parse_args()
    from l2dual.report.records import keep_study, restore_studies
    from l2dual.report.results_md import write_results_md

    if args.action == "keep":
        keep_study(args.runs, DataDir.load(args.data), args.to, args.decode, args.decode_config)
    elif args.action == "restore":
        restore_studies(args.studies, args.to)
    else:
        for path in write_results_md(args.root):
            print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    run(main)
