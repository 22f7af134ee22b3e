"""Load a trained model from its experiment directory."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from espnet2.text.token_id_converter import TokenIDConverter

from l2dual.errors import DataError
from l2dual.model import L2DualModel
from l2dual.pretrained import Upstream
from l2dual.task import L2DualTask
from l2dual.tokens import UNKNOWN, build_tokenizer, tokens_to_text

CHECKPOINT = "valid.acc.ave.pth"
SINGLE_OUTPUT = {"ctc": 0.2, "attention": 0.8}  # the losses of so_surface and so_meaning


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
    """The architecture and feature normalization of ``exp_dir``, freshly initialized.

    A pretrained part that training changes is drawn anew too; one that is frozen stays, since
    its states are the features of all systems.
    """
    args = _train_args(exp_dir)
    args.seed = seed
    model = L2DualTask.build_model(args)
    for part in model.modules():
        if isinstance(part, Upstream) and any(p.requires_grad for p in part.parameters()):
            part.forget(seed)
    return model.eval()


def vocabulary(exp_dir: str | Path, output: str) -> list[str]:
    """The tokens of one output of a run."""
    return getattr(_train_args(exp_dir), f"{output}_token_list")


def text_to_ids(exp_dir: str | Path, output: str) -> Callable[[str], list[int]]:
    """The tokenizer and vocabulary of one output of a run: text -> token ids, as in training."""
    args = _train_args(exp_dir)
    tokenizer = build_tokenizer(
        getattr(args, f"{output}_token_type"), getattr(args, f"{output}_bpemodel")
    )
    converter = TokenIDConverter(getattr(args, f"{output}_token_list"), UNKNOWN)
    return lambda text: converter.tokens2ids(tokenizer.text2tokens(text))


def tokens_to_text_of(exp_dir: str | Path, output: str) -> Callable[[list[str]], str]:
    """Tokens that a search gives -> the text that they write."""
    args = _train_args(exp_dir)
    kind, model = getattr(args, f"{output}_token_type"), getattr(args, f"{output}_bpemodel")
    return lambda tokens: tokens_to_text(tokens, kind, model)


def fresh_model(encoder_dir: Path, output_dir: Path, output: str, seed: int) -> L2DualModel:
    """A freshly initialized single-output system with the encoder of ``encoder_dir``.

    Args:
        encoder_dir: run whose configuration is taken, but for the decoder and the loss.
        output_dir: run whose decoder, loss and vocabulary of the output are taken.
        output: the output.
        seed: of the initialization.
    """
    args, source = _train_args(encoder_dir), _train_args(output_dir)
    vocabulary = (f"{output}_{name}" for name in ("token_list", "token_type", "bpemodel"))
    for name in ("decoder", "decoder_conf", "ctc_conf", *vocabulary):
        setattr(args, name, getattr(source, name))
    args.model_conf = source.model_conf | {"loss_weights": {output: SINGLE_OUTPUT}}
    args.seed = seed
    return L2DualTask.build_model(args)


def _train_args(exp_dir: str | Path) -> argparse.Namespace:
    config = Path(exp_dir) / "config.yaml"
    if not config.exists():
        raise DataError(f"{config}: no such file: train this system first (stage 8)")
    args = yaml.safe_load(config.read_text(encoding="utf-8"))
    stats = (args.get("normalize_conf") or {}).get("stats_file")
    if stats and not Path(stats).is_file():
        raise DataError(
            f"{stats}: no such file, which {config} names: run stage 7, or work in the recipe's directory"
        )
    return argparse.Namespace(**args)
