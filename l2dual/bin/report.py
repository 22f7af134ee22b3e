"""Write the page of a recipe (stage 12); run in the recipe directory.

    python -m l2dual.bin.report --exp exp --data dump/DATA/test --out exp/report.html
"""

import argparse
from pathlib import Path

from l2dual.errors import run
from l2dual.files import atomic_write
from l2dual.report.page import page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, required=True, help="has results.json and cka.json")
    parser.add_argument("--data", type=Path, required=True, help="the split that was scored")
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")
    args = parser.parse_args()
    content = page(args.exp, args.data)
    with atomic_write(args.out) as stream:
        stream.write(content)


if __name__ == "__main__":
    run(main)
