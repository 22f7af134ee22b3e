"""Load a trained model from its experiment directory."""

import argparse
from pathlib import Path

import torch
import yaml

from l2dual.errors import DataError
from l2dual.model import L2DualModel
from l2dual.task import L2DualTask

CHECKPOINT = "valid.acc.ave.pth"


def load_model(exp_dir: str | Path, checkpoint: str = CHECKPOINT) -> L2DualModel:
    """Trained model in evaluation mode, on the CPU.

    Raises:
        DataError: config.yaml or the checkpoint is missing, broken, or does not fit.
    """
    model_file = Path(exp_dir) / checkpoint
    if not model_file.exists():
        raise DataError(f"{model_file}: no such checkpoint: train this system first (stage 8)")
    model = L2DualTask.build_model(_train_args(exp_dir))
    try:
        state = torch.load(model_file, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{model_file}: not a checkpoint of {Path(exp_dir) / 'config.yaml'} ({reason}): "
            "remove the directory and train again (stage 8)"
        ) from error
    return model.eval()


def random_model(exp_dir: str | Path, seed: int) -> L2DualModel:
    """The architecture and feature normalization of ``exp_dir``, freshly initialized."""
    args = _train_args(exp_dir)
    args.seed = seed
    return L2DualTask.build_model(args).eval()


def _train_args(exp_dir: str | Path) -> argparse.Namespace:
    config = Path(exp_dir) / "config.yaml"
    if not config.exists():
        raise DataError(f"{config}: no such file: train this system first (stage 8)")
    return argparse.Namespace(**yaml.safe_load(config.read_text(encoding="utf-8")))
