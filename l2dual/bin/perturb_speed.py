"""Change the speed of speech (stage 2).

    python -m l2dual.bin.perturb_speed --data DIR --factors "0.9 1.0 1.1" --out DIR
"""

import argparse
import math
from pathlib import Path

from l2dual.data.datadir import DataDir
from l2dual.data.speed import perturb_speed
from l2dual.errors import UsageError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--factors", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        factors = [float(factor) for factor in args.factors.split()]
    except ValueError:
        raise UsageError(f"--speed_factors '{args.factors}': give numbers, as in '0.9 1.0 1.1'") from None
    if not factors or not all(0 < factor < math.inf for factor in factors):
        raise UsageError(f"--speed_factors '{args.factors}': give numbers above 0")
    perturb_speed(DataDir.load(args.data), factors).write(args.out)


if __name__ == "__main__":
    run(main)
