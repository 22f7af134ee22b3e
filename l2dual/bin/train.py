"""Train, or collect statistics (stages 7 and 8): python -m l2dual.bin.train --config exp/RUN/train.yaml --resume true

Takes every option of an ESPnet task: --help lists them.
"""

import os

import torch
from torch.multiprocessing import ProcessExitedException

from l2dual.errors import WorkerError, run
from l2dual.training.distributed import LOG_VARIABLE
from l2dual.training.task import L2DualTask


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    try:
        L2DualTask.main()
    except ProcessExitedException as error:  # of a worker that ESPnet started, one for each GPU
        log = os.environ.get(LOG_VARIABLE, "the output above")
        raise WorkerError(f"worker {error.error_index} is lost: {error}: see {log}") from error


if __name__ == "__main__":
    run(main)
