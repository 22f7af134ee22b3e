"""Stage 4, first half: python -m l2dual.bin.encoder --train_config FILE --fs 16000

Prints how the encoder shortens speech, for --encoder of l2dual.bin.filter.
"""

import argparse
from pathlib import Path

from l2dual.bin import positive_int
from l2dual.data.frames import chain_of
from l2dual.errors import run
from l2dual.files import read_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--fs", type=positive_int, default=16000, help="Hz of the data")
    args = parser.parse_args()
    print(*chain_of(read_yaml(args.train_config), args.fs))


if __name__ == "__main__":
    run(main)
