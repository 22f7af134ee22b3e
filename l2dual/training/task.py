"""The ESPnet task: two texts, two tokenizers, one model."""

import argparse
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.tasks.abs_task import AbsTask
from espnet2.tasks.asr import (
    decoder_choices,
    encoder_choices,
    frontend_choices,
    normalize_choices,
    specaug_choices,
)
from espnet2.torch_utils.initialize import INITIALIZATIONS, initialize
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.preprocessor import MutliTokenizerCommonPreprocessor
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import int_or_none, str_or_none

import l2dual.data.speech  # noqa: F401  ESPnet reads recordings through it
import l2dual.training.schedule  # noqa: F401  ESPnet finds the scheduler that it adds
from l2dual.data.tokens import TOKEN_TYPES, build_tokenizer
from l2dual.errors import UsageError, run
from l2dual.models.dual import IGNORE_ID, L2DualModel
from l2dual.models.pretrained import PretrainedEncoder, PretrainedFrontend, WaveformFrontend
from l2dual.models.slim_conformer import SlimConformerEncoder
from l2dual.sharing import share
from l2dual.systems import OUTPUTS, active_outputs
from l2dual.training.distributed import announce
from l2dual.training.trainer import L2DualTrainer

_frontend_choices = ClassChoices(
    "frontend",
    classes=frontend_choices.classes
    | {"pretrained": PretrainedFrontend, "waveform": WaveformFrontend},
    type_check=AbsFrontend,
    default="default",
)
_encoder_choices = ClassChoices(
    "encoder",
    classes=encoder_choices.classes
    | {"slim_conformer": SlimConformerEncoder, "pretrained": PretrainedEncoder},
    type_check=AbsEncoder,
    default="conformer",
)
_decoder_choices = ClassChoices(
    "decoder", classes=decoder_choices.classes, type_check=AbsDecoder, default="transformer"
)
_model_choices = ClassChoices(
    "model", classes=dict(l2dual=L2DualModel), type_check=AbsESPnetModel, default="l2dual"
)


class L2DualTask(AbsTask):
    """Recognition of the surface, the meaning, or both, by one :class:`L2DualModel`."""

    num_optimizers = 1
    class_choices_list = [
        _frontend_choices,
        specaug_choices,
        normalize_choices,
        _encoder_choices,
        _decoder_choices,
        _model_choices,
    ]
    trainer = L2DualTrainer

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process; one of several reports a user's error itself, as one line."""
        announce(args)
        if args.distributed:
            run(lambda: super(L2DualTask, cls).main_worker(args))
        else:
            super().main_worker(args)

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the task's options to those of every ESPnet task."""
        group = parser.add_argument_group("Task related")
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
    def build_collate_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[
        [Collection[tuple[str, dict[str, np.ndarray]]]], tuple[list[str], dict[str, torch.Tensor]]
    ]:
        """Pad speech with 0 and texts with -1."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=IGNORE_ID)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """Tokenize the text of each active output with its own tokenizer."""
        outputs = active_outputs(args.model_conf["loss_weights"])
        types = [getattr(args, f"{output}_token_type") for output in outputs]
        models = [getattr(args, f"{output}_bpemodel") for output in outputs]
        preprocessor = MutliTokenizerCommonPreprocessor(
            train=train,
            token_type=["char"] * len(outputs),
            token_list=[getattr(args, f"{output}_token_list") for output in outputs],
            bpemodel=models,
            text_name=list(outputs),
            tokenizer_encode_conf=[{} for _ in outputs],
        )
        preprocessor.tokenizer = [build_tokenizer(*both) for both in zip(types, models)]
        return preprocessor

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> L2DualModel:
        """Build the model of a configuration.

        Every module draws its initial parameters from its own generator, seeded by the run's
        seed and the module's name: the encoder and a given decoder start alike in every system.
        """
        if "loss_weights" not in args.model_conf:
            raise UsageError("model_conf has no loss_weights: name a system, conf/systems/*.yaml")
        loss_weights = args.model_conf["loss_weights"]
        outputs = active_outputs(loss_weights)
        token_lists = {output: _portable_token_list(args, output) for output in outputs}

        def build(name: str, factory: Callable[[], torch.nn.Module]) -> torch.nn.Module:
            with _seeded(args.seed, name):
                module = factory()
                if args.init is not None and any(True for _ in module.parameters()):
                    initialize(module, args.init)
            return module

        frontend, input_size = None, args.input_size
        if input_size is None:
            frontend_class = _frontend_choices.get_class(args.frontend)
            frontend = build("frontend", lambda: frontend_class(**args.frontend_conf))
            input_size = frontend.output_size()
        encoder_class = _encoder_choices.get_class(args.encoder)
        encoder = build("encoder", lambda: encoder_class(input_size, **args.encoder_conf))
        width = encoder.output_size()
        sizes = {o: len(token_lists[o]) for o in outputs if loss_weights[o]["ctc"] > 0}
        with _seeded(args.seed, "sharing"):
            encoder = share(encoder, args.sharing, outputs, sizes)
        decoder_class = _decoder_choices.get_class(args.decoder)
        decoders, ctcs = {}, {}
        for output in outputs:
            size = len(token_lists[output])
            if loss_weights[output]["attention"] > 0:
                decoders[output] = build(
                    f"decoder.{output}", lambda: decoder_class(size, width, **args.decoder_conf)
                )
            if loss_weights[output]["ctc"] > 0:
                ctcs[output] = build(f"ctc.{output}", lambda: CTC(size, width, **args.ctc_conf))
        return L2DualModel(
            token_lists=token_lists,
            frontend=frontend,
            specaug=_optional(specaug_choices, args.specaug, args.specaug_conf),
            normalize=_optional(normalize_choices, args.normalize, args.normalize_conf),
            encoder=encoder,
            decoders=decoders,
            ctcs=ctcs,
            **args.model_conf,
        )


def _optional(choices: ClassChoices, name: str | None, conf: dict) -> torch.nn.Module | None:
    return None if name is None else choices.get_class(name)(**conf)


def _portable_token_list(args: argparse.Namespace, output: str) -> list[str]:
    """Token list of ``output``; its file's content replaces its name in the saved config."""
    tokens = getattr(args, f"{output}_token_list")
    if tokens is None:
        raise UsageError(f"no --{output}_token_list: run stage 5, or give a file of tokens")
    if isinstance(tokens, str):
        tokens = Path(tokens).read_text(encoding="utf-8").splitlines()
        setattr(args, f"{output}_token_list", tokens)
    logging.info("%s vocabulary: %d tokens", output, len(tokens))
    return tokens


@contextmanager
def _seeded(seed: int, name: str) -> Iterator[None]:
    """Seed torch by ``seed`` and ``name`` for the block, and restore the generator after it."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest[:7]))
        yield
