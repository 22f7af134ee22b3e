"""Stage 12: python -m l2dual.bin.pack --exp exp/RUN --out exp/RUN/RUN.zip

The archive is ESPnet's: espnet2.bin.pack and espnet_model_zoo unpack it.
"""

import argparse
from pathlib import Path

from espnet2.main_funcs.pack_funcs import pack

from l2dual.errors import run
from l2dual.files import read_yaml
from l2dual.training.load import best_model, load_model, named_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    load_model(args.exp)  # an archive must hold a model that loads
    config = args.exp / "config.yaml"
    named = named_files(read_yaml(config))
    archive = args.out.with_name(f"{args.out.name}.zip")  # ESPnet takes the format from the name
    pack(
        files={"model_file": str(best_model(args.exp))},
        yaml_files={"train_config": str(config)},
        option=[*dict.fromkeys(file for _, _, file in named), str(args.exp / "run.yaml")],
        outpath=str(archive),
    )
    archive.replace(args.out)


if __name__ == "__main__":
    run(main)
