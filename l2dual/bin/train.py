"""Stages 7 and 8: python -m l2dual.bin.train --config exp/RUN/train.yaml --resume true

Takes every option of an ESPnet task: --help lists them.
"""

import torch

from l2dual.bin import run
from l2dual.task import L2DualTask


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    L2DualTask.main()


if __name__ == "__main__":
    run(main)
