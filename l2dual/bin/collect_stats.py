"""Statistics of the features (stage 7): python -m l2dual.bin.collect_stats --train_config FILE --data DIR --out DIR

Lengths, mean and variance of the front-end's features, by ESPnet; they depend on no text.
"""

import argparse
from pathlib import Path

from l2dual.data.datadir import SCP_TYPE, read_info
from l2dual.data.frames import RATE, at_rate
from l2dual.errors import run
from l2dual.files import read_yaml
from l2dual.text import BLANK, SOS_EOS, UNKNOWN
from l2dual.training.runs import merge, write_yaml

SMALLEST_MODEL = {
    "model_conf": {"loss_weights": {"surface": {"ctc": 1.0, "attention": 0.0}}},  # no decoder
    "surface_token_list": [BLANK, UNKNOWN, SOS_EOS],
    "normalize": None,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.training.task import L2DualTask

    rate = read_info(args.data / "train").get("sampling_rate", RATE)
    config = at_rate(merge(read_yaml(args.train_config), SMALLEST_MODEL), rate) | {
        "collect_stats": True,
        "batch_type": "unsorted",
        "batch_size": 16,
        "output_dir": str(args.out),
    }
    for split in ("train", "valid"):
        data = args.data / split
        scp = [str(data / "wav.scp"), "speech", SCP_TYPE]
        config[f"{split}_data_path_and_name_and_type"] = [scp]
        config[f"{split}_shape_file"] = [str(data / "utts")]
    write_yaml(args.out / "stats.yaml", config)
    L2DualTask.main(cmd=["--config", str(args.out / "stats.yaml")])


if __name__ == "__main__":
    run(main)
