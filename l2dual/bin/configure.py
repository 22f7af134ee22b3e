"""Stage 8, first half: write what a run trains, exp/RUN/{train.yaml,run.yaml,run.sh}.

python -m l2dual.bin.configure --train_config conf/train/mini.yaml --system conf/systems/do.yaml \
    --seed 1 --data dump/DATA --stats exp/stats --surface_tokens DIR --meaning_tokens DIR \
    --out exp/RUN
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from l2dual.bin import natural, positive_int
from l2dual.data.datadir import SCP_TYPE, DataDir, read_info, surface_of
from l2dual.data.frames import RATE, at_rate
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.recipe.definition import check_train_args
from l2dual.systems import CTC_SHARES, OUTPUTS, System, read_options, read_system
from l2dual.text.lexicon import Annotated, Lexicon
from l2dual.training.runs import commit, merge, write_run_script, write_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--train_args", default="", help="what changed it: ESPnet's options, which are checked")
    parser.add_argument("--system", type=Path, required=True)
    parser.add_argument("--seed", type=natural, required=True)
    parser.add_argument("--data", type=Path, required=True, help="has train, valid and test")
    parser.add_argument("--stats", type=Path, required=True)
    for output in OUTPUTS:
        parser.add_argument(f"--{output}_tokens", type=Path, help=f"if the system has {output}")
        parser.add_argument(f"--{output}_token_type", default="char")
    parser.add_argument("--losses", choices=CTC_SHARES, help="CTC's share of the loss")
    parser.add_argument("--num_threads", type=positive_int, default=1, help="of the training")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.train_args:
        check_train_args(args.train_args)
    exp = args.out.with_name(args.out.name.removesuffix(".tmp"))
    system = read_system(args.system)
    config = merge(read_yaml(args.train_config), read_options(args.system, args.losses))
    info = read_info(args.data / "train")
    config = at_rate(config, info.get("sampling_rate", RATE))
    if config.get("decoder") == "whisper":
        config["decoder_conf"]["language"] = info["language"]
    if "normalize" not in config:
        config |= _normalization(args.stats)
    write_yaml(args.out / "train.yaml", config | _data_options(args, exp, system.outputs))
    write_yaml(args.out / "run.yaml", _facts(args, system, info) | _encoder(config))
    write_run_script(args.out, exp, Path.cwd(), args.num_threads)
    if info["language"] == "en" and args.surface_token_type == "phn":
        lexicon_of(DataDir.load(args.data / "train")).save(args.out)


def lexicon_of(train: DataDir) -> Lexicon:
    """How the training data pronounce the words of their meanings; empty if they have no meaning or no surface."""
    tables = [train.tables.get(f"text.{kind}", {}) for kind in Annotated._fields]
    return Lexicon.learn(Annotated(*(table[utt] for table in tables)) for utt in set.intersection(*map(set, tables)))


def _normalization(stats: Path) -> dict:
    """Normalization by the mean and variance of the training data."""
    stats_file = str(stats / "train" / "feats_stats.npz")
    return {"normalize": "global_mvn", "normalize_conf": {"stats_file": stats_file}}


def _data_options(args: argparse.Namespace, exp: Path, outputs: tuple[str, ...]) -> dict:
    options: dict = {"output_dir": str(exp), "seed": args.seed}
    for split in ("train", "valid"):
        data = args.data / split
        options[f"{split}_shape_file"] = [str(args.stats / split / "speech_shape")]
        options[f"{split}_data_path_and_name_and_type"] = [
            [str(data / "wav.scp"), "speech", SCP_TYPE],
            *([str(data / f"text.{output}"), output, "text"] for output in outputs),
        ]
    for output in outputs:
        tokens = getattr(args, f"{output}_tokens")
        if tokens is None:
            raise UsageError(
                f"{args.system}: the system has {output}, which these data have not: choose other --systems"
            )
        options[f"{output}_token_list"] = str(tokens / "tokens.txt")
        options[f"{output}_token_type"] = getattr(args, f"{output}_token_type")
        if (tokens / "bpe.model").exists():
            options[f"{output}_bpemodel"] = str(tokens / "bpe.model")
    return options


def _facts(args: argparse.Namespace, system: System, info: dict) -> dict:
    return {
        "system": system.name,
        "label": system.label,
        "order": system.order,
        "baselines": {output: list(names) for output, names in system.baselines.items()},
        "seed": args.seed,
        "outputs": list(system.outputs),
        "corpus": info["corpus"],
        "language": info["language"],
        "convention": info["convention"],
        "surface": surface_of(info),
        "preset": info.get("preset"),
        "data": info.get("features_of", str(args.data)),
        "train_config": str(args.train_config),
        "token_types": {output: getattr(args, f"{output}_token_type") for output in system.outputs},
        "commit": commit(),
        "command": os.environ.get("L2DUAL_COMMAND", "not given"),
    }


def _encoder(config: Mapping) -> dict:
    return {"sharing": config.get("sharing") or {}, "blocks": config["encoder_conf"].get("num_blocks")}


if __name__ == "__main__":
    run(main)
