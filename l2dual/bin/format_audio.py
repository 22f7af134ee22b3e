"""Bring audio to one format (stage 3): python -m l2dual.bin.format_audio --data DIR --out DIR --format flac --nj 2"""

import argparse
from pathlib import Path

from l2dual.bin import boolean, positive_int
from l2dual.data.audio import FORMATS, format_audio
from l2dual.data.datadir import DataDir
from l2dual.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--format", choices=FORMATS, default="flac")
    parser.add_argument("--fs", type=positive_int, default=16000, help="sampling rate in Hz")
    parser.add_argument("--nj", type=positive_int, default=1)
    parser.add_argument("--allow_pipes", type=boolean, default=False,
                        help="run the commands in wav.scp (CMD |) and read the WAV that they write")  # fmt: skip
    args = parser.parse_args()
    data = DataDir.load(args.data)
    format_audio(data, args.out, args.format, args.fs, args.nj, args.allow_pipes)


if __name__ == "__main__":
    run(main)
