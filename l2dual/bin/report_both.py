"""Write the page over several recipes, from their result files; run at the project's root.

    python -m l2dual.bin.report_both egs2/l2_en/exp egs2/l2_ko/exp --out egs2/report.html
"""

import argparse
from pathlib import Path

from l2dual.errors import run
from l2dual.files import atomic_write
from l2dual.report.page import page_over


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exps", type=Path, nargs="+", metavar="EXP", help="has results.json")
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")
    args = parser.parse_args()
    content = page_over(args.exps)
    with atomic_write(args.out) as stream:
        stream.write(content)


if __name__ == "__main__":
    run(main)
