"""Stage 8, first half: write what a run trains, exp/RUN/{train.yaml,run.yaml,run.sh}.

python -m l2dual.bin.configure --train_config conf/train/mini.yaml --system conf/systems/do.yaml \
    --seed 1 --data dump/DATA --stats exp/stats --surface_tokens DIR --meaning_tokens DIR \
    --out exp/RUN
"""

import argparse
import os
from pathlib import Path

from l2dual.bin import natural, positive_int
from l2dual.data.datadir import SCP_TYPE, read_info, surface_of
from l2dual.data.frames import RATE, at_rate
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.systems import OUTPUTS, active_outputs
from l2dual.training.runs import commit, merge, write_run_script, write_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--system", type=Path, required=True)
    parser.add_argument("--seed", type=natural, required=True)
    parser.add_argument("--data", type=Path, required=True, help="has train, valid and test")
    parser.add_argument("--stats", type=Path, required=True)
    for output in OUTPUTS:
        parser.add_argument(f"--{output}_tokens", type=Path, help=f"if the system has {output}")
        parser.add_argument(f"--{output}_token_type", default="char")
    parser.add_argument("--num_threads", type=positive_int, default=1, help="of the training")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    exp = args.out.with_name(args.out.name.removesuffix(".tmp"))
    config = merge(read_yaml(args.train_config), read_yaml(args.system))
    outputs = _outputs(config, args.system)
    info = read_info(args.data / "train")
    config = at_rate(config, info.get("sampling_rate", RATE))
    if "normalize" not in config:
        config |= _normalization(args.stats)
    write_yaml(args.out / "train.yaml", config | _data_options(args, exp, outputs))
    write_yaml(args.out / "run.yaml", _facts(args, outputs, info))
    write_run_script(args.out, exp, Path.cwd(), args.num_threads)


def _outputs(config: dict, system: Path) -> tuple[str, ...]:
    try:
        return active_outputs(config["model_conf"]["loss_weights"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{system}: needs model_conf: loss_weights: {{surface: ...}}") from error
    except UsageError as error:
        raise UsageError(f"{system}: {error}") from error


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
            raise UsageError(f"{args.system}: the system has {output}: give --{output}_tokens")
        options[f"{output}_token_list"] = str(tokens / "tokens.txt")
        options[f"{output}_token_type"] = getattr(args, f"{output}_token_type")
        if (tokens / "bpe.model").exists():
            options[f"{output}_bpemodel"] = str(tokens / "bpe.model")
    return options


def _facts(args: argparse.Namespace, outputs: tuple[str, ...], info: dict) -> dict:
    return {
        "system": args.system.stem,
        "seed": args.seed,
        "outputs": list(outputs),
        "corpus": info["corpus"],
        "language": info["language"],
        "convention": info["convention"],
        "surface": surface_of(info),
        "preset": info.get("preset"),
        "data": info.get("features_of", str(args.data)),
        "train_config": str(args.train_config),
        "token_types": {output: getattr(args, f"{output}_token_type") for output in outputs},
        "commit": commit(),
        "command": os.environ.get("L2DUAL_COMMAND", "not given"),
    }


if __name__ == "__main__":
    run(main)
