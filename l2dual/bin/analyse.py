"""Stage 11: how alike the encoders are, block by block.

    python -m l2dual.bin.analyse --data data/x/test --exp exp/RUN1 exp/RUN2 --out exp/cka.json
"""

import argparse
import shlex
import sys
from pathlib import Path

from l2dual.analysis.entanglement import Options, analyse
from l2dual.bin import run
from l2dual.load import CHECKPOINT
from l2dual.runs import commit
from l2dual.score import write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="one split, after stage 3")
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="trained runs")
    parser.add_argument("--checkpoint", default=CHECKPOINT)
    parser.add_argument("--batch", type=int, default=8, help="utterances in a batch")
    parser.add_argument("--max_frames", type=int, help="sampled frames at most (all)")
    parser.add_argument("--ngpu", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    device = "cuda" if args.ngpu > 0 else "cpu"
    options = Options(args.checkpoint, args.batch, args.max_frames, device)
    command = shlex.join(["python", "-m", "l2dual.bin.analyse", *sys.argv[1:]])
    made_by = {"commit": commit(), "command": command}
    records = [record | made_by for record in analyse(args.data, args.exp, options)]
    write_records(args.out, records)
    print(table(records))


def table(records: list[dict]) -> str:
    """One line per pair of encoders and block: CKA, null, floor and ceiling."""
    if not records:
        return "no two systems to compare: train so_surface and so_meaning, or one and do"
    lines = [f"{'encoders (system.seed)':32} block    cka   null  floor ceiling"]
    reasons = []
    for row in records:
        pair = " ~ ".join(f"{row[f'system_{side}']}.{row[f'seed_{side}']}" for side in "xy")
        names = ("cka", "null", "floor", "ceiling")
        cells = ["-" if row[name] is None else f"{row[name]:.2f}" for name in names]
        lines.append(f"{pair:32} {row['layer_x']:5}" + "".join(f"{cell:>7}" for cell in cells))
        reasons.append(row["reason"])
    return "\n".join([*lines, *(f"-: {reason}" for reason in dict.fromkeys(reasons) if reason)])


if __name__ == "__main__":
    run(main)
