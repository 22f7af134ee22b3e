"""Transcribe a test set by Whisper as it comes: a baseline (docs/rating.md).

    python -m l2dual.bin.zero_shot --path ../../.tools/whisper-base --data dump/TAG/test --utts 200 --out DIR

Utterances are drawn once by a seed, and transcribed in the order in which they were drawn; a call that
was stopped goes on where it was. DIR has text.meaning, and about.yaml: how it was made.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np

from l2dual.bin import natural
from l2dual.data.datadir import DataDir, read_table, write_table
from l2dual.data.frames import RATE
from l2dual.data.weights import Weights
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.training.runs import write_yaml

METHOD = "transformers' generate, beam 5, retries; more than 30 s cut at silence"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, help="Whisper's weights")
    parser.add_argument("--data", type=Path, required=True, help="with audio, not cached states")
    parser.add_argument("--utts", type=natural, help="number drawn; default: all")
    parser.add_argument("--seed", type=natural, default=0, help="of the draw")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = DataDir.load(args.data)
    rate = data.info.get("sampling_rate", RATE)
    if rate != RATE:
        raise UsageError(
            f"{args.data}: is at {rate} Hz, and Whisper takes {RATE} Hz: prepare the data with --fs {RATE}"
        )
    file = args.out / "text.meaning"
    weights = Weights(Path(args.path), "encoder").fingerprint()
    found = begin(args.out, {"method": METHOD, "weights": weights, "data": digest(data), "seed": args.seed})
    import torch

    from l2dual.data.speech import reader
    from l2dual.inference.listening import pieces
    from l2dual.models.zero_shot import SECONDS, ZeroShot

    drawn = np.random.default_rng(args.seed).permutation(sorted(data["wav.scp"]))[: args.utts].tolist()
    read, whisper = reader(data), ZeroShot(args.path, language=data.info["language"])
    for utt in drawn:
        if utt not in found:
            samples = read(utt)
            if samples.ndim > 1:
                raise UsageError(f"{args.data}: has cached states: give the dump/TAG/test that they were made from")
            cuts = pieces(samples, RATE, SECONDS)
            found[utt] = " ".join(filter(None, (whisper(torch.from_numpy(samples[a:b])) for a, b in cuts)))
            write_table(file, found)
            print(f"progress: transcribed {len(found)} of {len(drawn)} utterances", flush=True)
    print(f"{args.out}: {len(found)} utterances, drawn with seed {args.seed}")


def begin(out: Path, about: dict) -> dict[str, str]:
    """The texts in ``out`` that were made as ``about`` says; others are set aside, as text.meaning.old."""
    file, facts = out / "text.meaning", out / "about.yaml"
    if file.is_file() and (not facts.is_file() or read_yaml(facts) != about):
        print(f"{file}: made otherwise, or of other speech: now {file.name}.old", file=sys.stderr)
        file.replace(file.with_name(f"{file.name}.old"))
    out.mkdir(parents=True, exist_ok=True)
    write_yaml(facts, about)
    return read_table(file) if file.is_file() else {}


def digest(data: DataDir) -> str:
    """What tells a test set from others: its utterances and their lengths."""
    lengths = data.tables.get("utt2dur", {})
    return hashlib.sha256(repr([(utt, lengths.get(utt)) for utt in sorted(data["wav.scp"])]).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run(main)
