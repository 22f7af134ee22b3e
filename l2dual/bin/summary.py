"""Print error rates and the reports' paths: the last thing run_all.sh does.

    python -m l2dual.bin.summary egs2/l2_en/exp/results.json egs2/l2_ko/exp/results.json
"""

import argparse
from pathlib import Path

from l2dual.errors import run
from l2dual.report.summary import summary


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS.json")
    print(summary(parser.parse_args().results))


if __name__ == "__main__":
    run(main)
