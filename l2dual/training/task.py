"""The ESPnet task: two texts, two tokenizers, one model."""

import argparse
from collections.abc import Callable
from pathlib import Path

from espnet2.asr.ctc import CTC
from espnet2.torch_utils.initialize import INITIALIZATIONS
from espnet2.train import dataset
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.class_choices import ClassChoices
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import int_or_none, str2bool, str_or_none

from l2dual.data.datadir import SCP_TYPE
from l2dual.data.speech import SpeechReader
from l2dual.data.tokens import TextToIds
from l2dual.errors import UsageError, run
from l2dual.models.build import build_model, class_of, names_of
from l2dual.models.dual import L2DualModel
from l2dual.systems import OUTPUTS, active_outputs
from l2dual.text import TOKEN_TYPES
from l2dual.training.batch import Preprocessor, collate
from l2dual.training.checks import HALF_NEEDS, check_settings
from l2dual.training.distributed import announce
from l2dual.training.espnet import AbsTask
from l2dual.training.trainer import HALF, L2DualTrainer


class Named(ClassChoices):
    """The classes of a kind, ESPnet's and ours, each imported when a configuration names it."""

    def __init__(self, kind: str, default: str | None, optional: bool = False):
        super().__init__(kind, classes={}, default=default, optional=optional)
        self.classes = dict.fromkeys(names_of(kind))

    def get_class(self, name: str | None) -> type | None:
        """The class of a name; None for None."""
        return None if name is None else class_of(self.name, name)


# ESPnet's own readers of wav.scp run commands and unpickle; this one does neither
dataset.DATA_TYPES[SCP_TYPE] = {"func": SpeechReader, "kwargs": [], "help": SpeechReader.__doc__}


class L2DualTask(AbsTask):
    """Recognition of the surface, the meaning, or both, by one :class:`L2DualModel`."""

    num_optimizers = 1
    class_choices_list = [
        Named("frontend", "default"),
        Named("specaug", None),
        Named("normalize", "utterance_mvn", optional=True),
        Named("encoder", "conformer"),
        Named("decoder", "transformer"),
        ClassChoices("model", classes=dict(l2dual=L2DualModel), type_check=AbsESPnetModel, default="l2dual"),
    ]
    trainer = L2DualTrainer

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process; one of several reports a user's error itself, as one line."""
        check_settings(vars(args))
        if args.half:
            take_half(args)
        announce(args)
        if args.distributed:
            run(lambda: super(L2DualTask, cls).main_worker(args))
        else:
            super().main_worker(args)

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the task's options to those of every ESPnet task."""
        group = parser.add_argument_group("Task related")
        group.add_argument("--half", type=str2bool, default=False, help="Finish half the budget")
        group.add_argument("--init", type=str_or_none, choices=[*INITIALIZATIONS, None])
        group.add_argument("--input_size", type=int_or_none, help="Features given, not waveforms")
        group.add_argument("--ctc_conf", action=NestedDictAction, default=get_default_kwargs(CTC))
        group.add_argument("--sharing", action=NestedDictAction, default={})
        for output in OUTPUTS:
            group.add_argument(f"--{output}_token_list", type=str_or_none)
            group.add_argument(f"--{output}_token_type", choices=TOKEN_TYPES, default="char")
            group.add_argument(f"--{output}_bpemodel", type=str_or_none)
        for class_choices in cls.class_choices_list:
            class_choices.add_arguments(group)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Speech only: which texts are needed depends on the loss weights."""
        return ("speech",)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """The texts of the outputs."""
        return OUTPUTS

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """See :func:`l2dual.training.batch.collate`."""
        return collate

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Preprocessor:
        """Tokenize the text of each active output with its own tokenizer."""
        return Preprocessor(
            {
                output: TextToIds(*(getattr(args, f"{output}_{name}") for name in TextToIds.FROM))
                for output in active_outputs(args.model_conf["loss_weights"])
            }
        )

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> L2DualModel:
        """See :func:`l2dual.models.build.build_model`."""
        return build_model(args)


def take_half(args: argparse.Namespace) -> None:
    """Let a training be that of half the epochs, begun by the whole one; UsageError if it is not."""
    half = Path(args.output_dir) / HALF
    if not (half / "checkpoint.pth").is_file():
        raise UsageError(
            f"{half}: was not begun: train the whole budget first, by {HALF_NEEDS}, "
            "and without patience that ends it before"
        )
    args.output_dir, args.max_epoch = str(half), args.max_epoch // 2
