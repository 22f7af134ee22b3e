"""Write every RESULTS.md from the kept studies; run at the project's root.

    python -m l2dual.bin.results_md egs2
"""

import argparse
from pathlib import Path

from l2dual.errors import run
from l2dual.report.results_md import write_results_md


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="directory of the recipes")
    for path in write_results_md(parser.parse_args().root):
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    run(main)
