"""Stage 1: python -m l2dual.bin.prepare --corpus simulated --language en --preset FILE --out DIR

Writes the data directories DIR/train, DIR/valid and DIR/test.
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path

from l2dual.bin import run
from l2dual.corpora import SPLITS, Utterance
from l2dual.datadir import write_datadir
from l2dual.runs import read_yaml


def simulated(args: argparse.Namespace) -> tuple[Iterable[Utterance], dict]:
    from l2dual.corpora import simulated as corpus

    final = args.out.with_name(args.out.name.removesuffix(".tmp"))
    utterances, info = corpus.prepare(
        language=args.language,
        preset=read_yaml(args.preset),
        preset_file=str(args.preset),
        convention=args.convention,
        out_dir=args.out,
        audio_dir=final / "audio",
        nj=args.nj,
        seed=args.seed,
    )
    return utterances, info | {"preset": args.preset.stem.removeprefix("simulated_")}


def speechocean762(args: argparse.Namespace) -> tuple[Iterable[Utterance], dict]:
    from l2dual.corpora import speechocean762 as corpus

    return corpus.prepare(args.db)


CORPORA = {"simulated": simulated, "speechocean762": speechocean762}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", choices=CORPORA, required=True)
    parser.add_argument("--language", choices=("en", "ko"), required=True)
    parser.add_argument("--convention", choices=("heard", "pronounced"), required=True)
    parser.add_argument("--db", type=Path, help="directory of a real corpus")
    parser.add_argument("--preset", type=Path, help="YAML file of the simulated corpus")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated corpus")
    parser.add_argument("--nj", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    utterances, info = CORPORA[args.corpus](args)
    utterances = list(utterances)
    for split in SPLITS:
        chosen = [utterance for utterance in utterances if utterance.split == split]
        write_datadir(args.out / split, chosen, info)
        print(f"{split}: {len(chosen)} utterances, {len({u.speaker for u in chosen})} speakers")


if __name__ == "__main__":
    run(main)
