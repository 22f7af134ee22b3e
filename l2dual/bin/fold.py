"""Stage 8, for raters: write a training that does not hear one part of the training speakers.

    python -m l2dual.bin.fold --exp exp/STUDY/RUN --data dump/TAG --part 1 --parts 2 --out exp/STUDY/folds/fold1.seed1

It is that of RUN, but for the surface alone, by CTC; the warm-up is shorter, as the data are. OUT/heldout names
the utterances that it does not hear. A rater learns from what its CTC says of them (docs/rating.md).
"""

import argparse
from pathlib import Path

from l2dual.bin import positive_int
from l2dual.data.datadir import DataDir, write_table
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml, write_text
from l2dual.training.runs import write_run_script, write_yaml

DATA = "train_data_path_and_name_and_type"
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
    config = of_surface(config, 1 - len(heldout) / len(train["utt2spk"]))
    for file in map(Path, files_of(config)):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = (line for line in lines if line.partition(" ")[0] not in heldout)
        write_text(args.out / "data" / file.name, "".join(kept))
    config["train_shape_file"] = [str(exp / "data" / Path(file).name) for file in config["train_shape_file"]]
    config[DATA] = [[str(exp / "data" / Path(file).name), *kind] for file, *kind in config[DATA]]
    write_yaml(args.out / "train.yaml", config | {"output_dir": str(exp)})
    write_yaml(args.out / "run.yaml", facts | {"outputs": ["surface"], "baselines": {}, "sharing": {}})
    write_table(args.out / HELDOUT, dict.fromkeys(heldout, ""))
    write_run_script(args.out, exp, Path.cwd(), args.num_threads)


def of_surface(config: dict, share: float) -> dict:
    """A run's configuration for its surface alone, by CTC, on a share of its data."""
    config = {key: value for key, value in config.items() if key not in MEANING}
    for names in (DATA, DATA.replace("train", "valid")):
        config[names] = [one for one in config[names] if one[1] != "meaning"]
    config["model_conf"] |= {"loss_weights": {"surface": {"ctc": 1.0, "attention": 0.0}}}
    if "warmup_steps" in config.get("scheduler_conf", {}):
        config["scheduler_conf"]["warmup_steps"] = max(1, round(share * config["scheduler_conf"]["warmup_steps"]))
    return config | {"sharing": {}, "init_param": [], "best_model_criterion": [["valid", "acc", "max"]]}


def files_of(config: dict) -> list[str]:
    """The files with a line for each utterance of the training data."""
    return [*config["train_shape_file"], *(file for file, *_ in config[DATA])]


if __name__ == "__main__":
    run(main)
