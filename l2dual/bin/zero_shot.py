"""Transcribe a test set by Whisper as it comes: a baseline (docs/rating.md).

    python -m l2dual.bin.zero_shot --path ../../.tools/whisper-base --data dump/TAG/test --utts 200 --out DIR

Utterances are drawn once by a seed, and transcribed in the order in which they were drawn; a call that
was stopped goes on where it was. DIR has text.meaning.
"""

import argparse
from pathlib import Path

import numpy as np

from l2dual.bin import natural
from l2dual.data.datadir import DataDir, read_table, write_table
from l2dual.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, help="Whisper's weights")
    parser.add_argument("--data", type=Path, required=True, help="with audio, not cached states")
    parser.add_argument("--utts", type=natural, help="number drawn; default: all")
    parser.add_argument("--seed", type=natural, default=0, help="of the draw")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    import torch

    from l2dual.data.speech import reader
    from l2dual.models.zero_shot import ZeroShot

    data = DataDir.load(args.data)
    file = args.out / "text.meaning"
    args.out.mkdir(parents=True, exist_ok=True)
    found = read_table(file) if file.is_file() else {}
    drawn = np.random.default_rng(args.seed).permutation(sorted(data["wav.scp"]))[: args.utts].tolist()
    read, whisper = reader(data), ZeroShot(args.path, language=data.info["language"])
    for utt in drawn:
        if utt not in found:
            found[utt] = whisper(torch.from_numpy(read(utt)))
            write_table(file, found)
    print(f"{args.out}: {len(found)} utterances, drawn with seed {args.seed}")


if __name__ == "__main__":
    run(main)
