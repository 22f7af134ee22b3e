"""Stage 2: python -m l2dual.bin.perturb_speed --data DIR --factors "0.9 1.0 1.1" --out DIR"""

import argparse
import math
from pathlib import Path

from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError, run


def perturb_speed(data: DataDir, factors: list[float]) -> DataDir:
    """Copies of ``data`` at each speed; a copy at another speed counts as another speaker."""
    tables: dict[str, dict[str, str]] = {name: {} for name in (*data.tables, "utt2speed")}
    for factor in factors:
        prefix = "" if factor == 1.0 else f"sp{factor}-"
        for name, table in data.tables.items():
            change = prefix if name == "utt2spk" else ""
            tables[name] |= {prefix + utt: change + value for utt, value in table.items()}
        tables["utt2speed"] |= {prefix + utt: str(factor) for utt in data["wav.scp"]}
    return DataDir(data.path, tables, data.info | {"speed_factors": factors})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--factors", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        factors = [float(factor) for factor in args.factors.split()]
    except ValueError:
        raise UsageError(f"--speed_factors '{args.factors}': give numbers, as in '0.9 1.0 1.1'")
    if not factors or not all(0 < factor < math.inf for factor in factors):
        raise UsageError(f"--speed_factors '{args.factors}': give numbers above 0")
    perturb_speed(DataDir.load(args.data), factors).write(args.out)


if __name__ == "__main__":
    run(main)
