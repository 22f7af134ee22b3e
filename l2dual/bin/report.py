"""Stage 12: the page of a study, or of one in each language, from what the stages wrote.

    python -m l2dual.bin.report --exp exp --data dump/DATA/test --out exp/report.html
    python -m l2dual.bin.report --exp egs2/l2_en/exp egs2/l2_ko/exp --out egs2/report.html

For several studies, only their results are needed, and their summary is printed.
"""

import argparse
from pathlib import Path

from l2dual.errors import UsageError, run
from l2dual.files import atomic_write


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="directories with results.json")
    parser.add_argument("--data", type=Path, help="the split that was scored (for one study only)")
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")
    args = parser.parse_args()
    from l2dual.report.page import page, page_over
    from l2dual.report.summary import summary

    if (len(args.exp) == 1) == (args.data is None):
        raise UsageError("report: one --exp needs --data, several --exp exclude it")
    content = page(args.exp[0], args.data) if args.data else page_over(args.exp)
    with atomic_write(args.out) as stream:
        stream.write(content)
    if not args.data:
        print(summary([exp / "results.json" for exp in args.exp]))
        print(f"report over all: {args.out.resolve()}")


if __name__ == "__main__":
    run(main)
