"""Stage 8, for raters: write a training that does not hear one part of the training speakers.

    python -m l2dual.bin.fold --exp exp/STUDY/RUN --data dump/TAG --part 1 --parts 2 --out exp/STUDY/folds/fold1.seed1

It is that of RUN, but for the surface alone, by CTC, with as much of the epochs to warm up. OUT/heldout names
the utterances that it does not hear: what its CTC says of them is what a rater learns from (docs/rating.md).
"""

import argparse
import os
from pathlib import Path

from l2dual.bin import positive_int
from l2dual.data.datadir import DataDir, write_table
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml, write_text
from l2dual.training.runs import write_run_script, write_yaml

MEANING = ("meaning_token_list", "meaning_token_type", "meaning_bpemodel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True, help="directory of a run that is configured")
    parser.add_argument("--data", type=Path, required=True, help="has train, as the run does")
    parser.add_argument(
        "--part", type=positive_int, required=True, help="the speakers' part that is not heard, from 1 on"
    )
    parser.add_argument("--parts", type=positive_int, required=True)
    parser.add_argument("--num_threads", type=positive_int, default=1, help="of the training")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.inference.folds import HELDOUT, part_of

    config, facts = read_yaml(args.exp / "train.yaml"), read_yaml(args.exp / "run.yaml")
    if not config["model_conf"]["loss_weights"].get("surface", {}).get("ctc"):
        raise UsageError(f"{args.exp}: no CTC on the surface, which a rater needs: choose another system")
    train = DataDir.load(args.data / "train")
    heldout = part_of(train, args.part, args.parts)
    exp = args.out.with_name(args.out.name.removesuffix(".tmp"))

    def without(path: str) -> str:
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition(" ")[0] not in heldout)
        write_text(args.out / "data" / Path(path).name, kept)
        return str(exp / "data" / Path(path).name)

    config = {key: value for key, value in config.items() if key not in MEANING}
    for split in ("train", "valid"):
        names = f"{split}_data_path_and_name_and_type"
        config[names] = [one for one in config[names] if one[1] != "meaning"]
    names = "train_data_path_and_name_and_type"
    config[names] = [[without(path), *kind] for path, *kind in config[names]]
    config["train_shape_file"] = [without(path) for path in config["train_shape_file"]]
    config["model_conf"] |= {"loss_weights": {"surface": {"ctc": 1.0, "attention": 0.0}}}
    if "warmup_steps" in config.get("scheduler_conf", {}):
        steps = config["scheduler_conf"]["warmup_steps"] * (1 - len(heldout) / len(train["utt2spk"]))
        config["scheduler_conf"]["warmup_steps"] = max(1, round(steps))
    config |= {"output_dir": str(exp), "sharing": {}, "init_param": []}
    config["best_model_criterion"] = [["valid", "acc", "max"]]
    write_yaml(args.out / "train.yaml", config)
    write_yaml(args.out / "run.yaml", facts | {"outputs": ["surface"], "baselines": {}, "sharing": {}})
    write_table(args.out / HELDOUT, dict.fromkeys(heldout, ""))
    write_run_script(args.out, exp, Path(os.getcwd()), args.num_threads)


if __name__ == "__main__":
    run(main)
