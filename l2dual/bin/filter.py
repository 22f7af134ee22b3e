"""Leave out what can't be used (stage 4).

    python -m l2dual.bin.filter --data DIR --split train --train_config FILE --out DIR
"""

import argparse
from collections import Counter
from pathlib import Path

from l2dual.bin import non_negative_float, positive_float
from l2dual.data.datadir import read_info, write_table
from l2dual.data.filter import filter_data
from l2dual.data.frames import RATE, chain_of
from l2dual.errors import DataError, run
from l2dual.files import read_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="as stage 3 wrote it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "valid", "test"), required=True)
    parser.add_argument("--min_seconds", type=non_negative_float, default=0.3)
    parser.add_argument("--max_seconds", type=positive_float, default=20.0)
    frames = parser.add_mutually_exclusive_group(required=True)
    frames.add_argument("--train_config", type=Path, help="its encoder's frames bound the texts")
    frames.add_argument("--frames_per_second", type=positive_float, help="of the encoder")
    parser.add_argument("--leave_out_l1", help="L1 to train without, and to test on alone")
    args = parser.parse_args()
    encoder = args.frames_per_second
    if args.train_config:
        encoder = chain_of(read_yaml(args.train_config), read_info(args.data).get("sampling_rate", RATE))
    limits = args.min_seconds, args.max_seconds, encoder
    train = args.split != "test"
    kept, dropped, repaired = filter_data(args.data, train, *limits, args.leave_out_l1)
    n_kept = len(kept["wav.scp"])
    print(f"{args.split}: kept {n_kept} of {n_kept + len(dropped)} utterances")
    for done, reasons in (
        ("dropped", dropped.values()),
        ("repaired", (finding.reason for finding in repaired)),
    ):
        for reason, count in sorted(Counter(reasons).items()):
            print(f"{args.split}: {done} {count}: {reason}")
    if not kept["wav.scp"]:
        raise DataError(f"{args.data}: no utterance is left: {Counter(dropped.values())}")
    kept.write(args.out)
    write_table(args.out / "dropped", dropped)
    write_table(args.out / "utts", dict.fromkeys(kept["wav.scp"], ""))


if __name__ == "__main__":
    run(main)
