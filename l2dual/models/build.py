"""Build a model from a configuration, and import only the classes that it names."""

import argparse
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch
from espnet2.asr.ctc import CTC
from espnet2.torch_utils.initialize import initialize

from l2dual.data.weights import check_last_layer
from l2dual.errors import UsageError
from l2dual.models.dual import L2DualModel
from l2dual.sharing import share
from l2dual.systems import active_outputs

OURS = {  # kind: name in a configuration: class
    "frontend": {
        "pretrained": "l2dual.models.pretrained:PretrainedFrontend",
        "waveform": "l2dual.models.pretrained:WaveformFrontend",
    },
    "encoder": {
        "pretrained": "l2dual.models.pretrained:PretrainedEncoder",
        "layered": "l2dual.models.layered:LayeredEncoder",
        "slim_conformer": "l2dual.models.slim_conformer:SlimConformerEncoder",
    },
    "decoder": {"whisper": "l2dual.models.whisper_decoder:WhisperDecoder"},
}
USUAL = {  # of ESPnet's: its own table of all of them takes seconds to import
    "frontend": {"default": "espnet2.asr.frontend.default:DefaultFrontend"},
    "specaug": {"specaug": "espnet2.asr.specaug.specaug:SpecAug"},
    "normalize": {
        "global_mvn": "espnet2.layers.global_mvn:GlobalMVN",
        "utterance_mvn": "espnet2.layers.utterance_mvn:UtteranceMVN",
    },
    "encoder": {
        "conformer": "espnet2.asr.encoder.conformer_encoder:ConformerEncoder",
        "e_branchformer": "espnet2.asr.encoder.e_branchformer_encoder:EBranchformerEncoder",
        "transformer": "espnet2.asr.encoder.transformer_encoder:TransformerEncoder",
    },
    "decoder": {"transformer": "espnet2.asr.decoder.transformer_decoder:TransformerDecoder"},
}
ESPNET = {  # all names of ESPnet's
    "frontend": "default sliding_window s3prl espnet_ssl fused whisper huggingface wav2vec_cnn",
    "specaug": "specaug",
    "normalize": "global_mvn utterance_mvn",
    "encoder": "conformer transformer transformer_multispkr contextual_block_transformer contextual_block_conformer "
    "vgg_rnn rnn wav2vec2 hubert hubert_pretrain torchaudiohubert longformer branchformer whisper e_branchformer "
    "avhubert multiconv_conformer beats",
    "decoder": "transformer lightweight_conv lightweight_conv2d dynamic_conv dynamic_conv2d rnn transducer mlm whisper "
    "hugging_face_transformers s4 linear_decoder",
}
LOOKED_AT = 80  # features of an encoder that is not run


def names_of(kind: str) -> list[str]:
    """The names that a configuration may have for a class of a kind."""
    return list(dict.fromkeys([*ESPNET[kind].split(), *OURS.get(kind, {})]))


def class_of(kind: str, name: str) -> type:
    """The class that a configuration names, as ``encoder: conformer``: ours, or ESPnet's."""
    place = (USUAL.get(kind, {}) | OURS.get(kind, {})).get(name)
    if place is None:
        return getattr(import_module("espnet2.tasks.asr"), f"{kind}_choices").get_class(name)
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def build_model(args: argparse.Namespace) -> L2DualModel:
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
            pretrained = any(hasattr(part, "forget") for part in module.modules())
            if args.init is not None and not pretrained and any(True for _ in module.parameters()):
                initialize(module, args.init)
        return module

    frontend, input_size = None, args.input_size
    if input_size is None:
        frontend_class = class_of("frontend", args.frontend)
        frontend = build("frontend", lambda: frontend_class(**args.frontend_conf))
        input_size = frontend.output_size()
    check_last_layer(vars(args))
    encoder_class = class_of("encoder", args.encoder)
    encoder_conf = dict(args.encoder_conf)
    if args.encoder == "layered":
        encoder_conf["frontend"] = frontend
    encoder = build("encoder", lambda: encoder_class(input_size, **encoder_conf))
    if hasattr(encoder, "keep"):
        encoder.keep(outputs)
    sizes = {output: len(token_lists[output]) for output in outputs if loss_weights[output]["ctc"] > 0}
    with _seeded(args.seed, "sharing"):
        encoder = share(encoder, args.sharing, outputs, sizes)
    decoders, ctcs = {}, {}
    for output in outputs:
        size = len(token_lists[output])
        width = encoder.width_of(output) if hasattr(encoder, "width_of") else encoder.output_size()
        if loss_weights[output]["attention"] > 0:
            decoder_class = class_of("decoder", args.decoder)
            conf = dict(args.decoder_conf)
            if args.decoder == "whisper" and getattr(args, f"{output}_token_type") != "phn":
                conf["tokens"] = token_lists[output]
            decoders[output] = build(
                f"decoder.{output}",
                lambda size=size, width=width, conf=conf, make=decoder_class: make(size, width, **conf),
            )
        if loss_weights[output]["ctc"] > 0:
            ctcs[output] = build(f"ctc.{output}", lambda size=size, width=width: CTC(size, width, **args.ctc_conf))
    return L2DualModel(
        token_lists=token_lists,
        frontend=frontend,
        specaug=_optional("specaug", args.specaug, args.specaug_conf),
        normalize=_optional("normalize", args.normalize, args.normalize_conf),
        encoder=encoder,
        decoders=decoders,
        ctcs=ctcs,
        **args.model_conf,
    )


def check_sharing(system: Path, config: Mapping) -> None:
    """Refuse a way of sharing that the encoder of a training does not allow.

    Args:
        system: the file that says how the outputs share.
        config: the training's.

    Raises:
        UsageError: names the file.
    """
    weights = config["model_conf"]["loss_weights"]
    sizes = {output: 1 for output, own in weights.items() if own["ctc"] > 0}
    conf = {name: value for name, value in config["encoder_conf"].items() if name != "rank"}  # which needs weights
    encoder = class_of("encoder", config["encoder"])(LOOKED_AT, **conf)
    try:
        share(encoder, config["sharing"], active_outputs(weights), sizes)
    except UsageError as error:
        raise UsageError(f"{system}: {error}; or leave {system.stem} out of --systems") from error


def _optional(kind: str, name: str | None, conf: dict) -> torch.nn.Module | None:
    return None if name is None else class_of(kind, name)(**conf)


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
