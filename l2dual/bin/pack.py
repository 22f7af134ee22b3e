"""Pack a run for elsewhere (stage 12): python -m l2dual.bin.pack --exp exp/RUN --out exp/RUN/model.zip

The archive is in ESPnet's format, and opens on another machine: docs/transcribe.md.
"""

import argparse
from pathlib import Path

from l2dual.errors import run
from l2dual.files import read_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--decode_config", type=Path, help="how it searches if it is not told otherwise")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.inference.packing import pack

    pack(args.exp, args.out, read_yaml(args.decode_config) if args.decode_config else None)


if __name__ == "__main__":
    run(main)
