"""Stage 7, first half: states of a frozen pretrained front-end, for all systems and seeds.

python -m l2dual.bin.cache_features --frontend_conf "{path: DIR, layers: last}" --data DIR --out DIR
"""

import argparse
import shutil
from pathlib import Path

from l2dual.bin import natural, positive_int
from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError, run
from l2dual.files import parse_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frontend_conf", required=True, help="YAML")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nj", type=positive_int, default=1)
    parser.add_argument("--ngpu", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        conf = parse_yaml(args.frontend_conf)
    except ValueError as error:
        raise UsageError(f"--frontend_conf: {error}: give `{{key: value, ...}}`") from error
    if not isinstance(conf, dict):
        raise UsageError("--frontend_conf: give `{key: value, ...}`")
    if not conf.get("frozen", True):
        raise UsageError("--cache_features true: the front-end is fine-tuned (frozen: false)")
    from l2dual.models.features import cache_features

    data = DataDir.load(args.data)
    if args.out.exists() and not (args.out / "corpus.yaml").is_file():
        raise UsageError(f"{args.out}: exists without corpus.yaml: remove it, or give another --out")
    shutil.rmtree(args.out, ignore_errors=True)
    device = "cuda" if args.ngpu > 0 else "cpu"
    cache_features(data, conf, args.out, args.nj, device)


if __name__ == "__main__":
    run(main)
