"""Load a trained model from its experiment directory, or from an archive of stage 12, unpacked."""

import argparse
import re
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

import l2dual
from l2dual.data.frames import at_rate
from l2dual.data.tokens import TextToIds, tokens_to_text
from l2dual.data.weights import Weights
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml, user_cache
from l2dual.models.build import build_model
from l2dual.models.dual import L2DualModel
from l2dual.models.pretrained import Upstream
from l2dual.models.whisper_decoder import WhisperDecoder
from l2dual.systems import OUTPUTS, active_outputs

FORMAT = 1  # of an archive; another one is of another version
SEARCH = "decode.yaml"  # of an archive: the options of its search
GET = "get it by l2dual get_whisper"
TOKEN_LISTS = {f"{output}_token_list" for output in OUTPUTS}  # long, and nobody changes one
CHECKPOINT = "valid.acc.ave.pth"  # by the usual best_model_criterion


def best_model(exp_dir: str | Path) -> Path:
    """The averaged model of a run, named after its ``best_model_criterion``; an archive's model file.

    Of several criteria it is the accuracy on valid, else the first on valid, else the first.
    """
    if archive := _archive(exp_dir):
        return archive.model_file
    config = Path(exp_dir) / "config.yaml"
    criteria = read_yaml(config).get("best_model_criterion") if config.is_file() else None
    names = [f"{phase}.{name}.ave.pth" for phase, name, *_ in criteria or [("valid", "acc")]]
    on_valid = [name for name in names if name.startswith("valid.")]
    return Path(exp_dir) / (CHECKPOINT if CHECKPOINT in names else [*on_valid, *names][0])


def load_model(exp_dir: str | Path, checkpoint: str | None = None) -> L2DualModel:
    """Trained model in evaluation mode, on the CPU.

    Args:
        exp_dir: a run; or where an archive of one was unpacked, which needs no recipe beside it.
        checkpoint: a file of the run; by default `best_model`.

    Raises:
        DataError: config.yaml or the checkpoint is missing, broken, or does not fit, or this version
            does not know what the model is made of.
    """
    model_file = Path(exp_dir) / checkpoint if checkpoint else best_model(exp_dir)
    if not model_file.exists():
        raise DataError(f"{model_file}: no such checkpoint: train this system first (stage 8)")
    model = _built(exp_dir)
    try:
        state = torch.load(model_file, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        reason = str(error).splitlines()[0].partition(". In PyTorch")[0]  # which names an unsafe way out
        raise DataError(
            f"{model_file}: not a checkpoint of {Path(exp_dir) / 'config.yaml'} ({reason}): "
            "remove the directory and train again (stage 8)"
        ) from error
    return model.eval()


def _built(exp_dir: str | Path) -> L2DualModel:
    args = _train_args(exp_dir)
    try:
        return build_model(args)
    except UsageError as error:
        raise DataError(f"{exp_dir}: {error}; or take the version of l2dual that made it") from error
    except DataError:
        raise
    except Exception as error:  # whatever ESPnet raises at a name or an option that it does not know
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise DataError(
            f"{exp_dir}: l2dual {l2dual.__version__} can't build this architecture ({reason}): "
            "use the version that trained it"
        ) from error


def random_model(exp_dir: str | Path, seed: int) -> L2DualModel:
    """The architecture and feature normalization of ``exp_dir``, freshly initialized.

    A pretrained part that is trained is initialized again too; a frozen one is kept, since
    its states are the features of all systems.
    """
    args = _train_args(exp_dir)
    args.seed = seed
    model = build_model(args)
    pretrained = [part for part in model.modules() if isinstance(part, Upstream | WhisperDecoder)]
    for number, part in enumerate(pretrained):
        if any(p.requires_grad for p in part.parameters()):
            part.forget(seed + number)
    return model.eval()


def config_of(exp_dir: str | Path) -> dict:
    """The configuration of a run, with the files that it names found."""
    return vars(_train_args(exp_dir))


def run_facts(exp_dir: str | Path) -> dict:
    """What run.yaml says of a run, as the system, the outputs, the language and the convention."""
    archive = _archive(exp_dir)
    return read_yaml((archive.config.parent if archive else Path(exp_dir)) / "run.yaml")


def search_options(exp_dir: str | Path) -> dict:
    """The options of the search that an archive brings; of a run, which brings none, an empty mapping."""
    archive = _archive(exp_dir)
    file = archive and archive.root / SEARCH
    return read_yaml(file) if file and file.is_file() else {}


def vocabulary(exp_dir: str | Path, output: str) -> list[str]:
    """The tokens of one output of a run."""
    return getattr(_train_args(exp_dir), f"{output}_token_list")


def has_decoders(exp_dir: str | Path) -> bool:
    """Whether every output of a run has an attention decoder; a run by CTC alone has none."""
    weights = _train_args(exp_dir).model_conf["loss_weights"]
    return all(weights[output]["attention"] > 0 for output in active_outputs(weights))


def text_to_ids(exp_dir: str | Path, output: str) -> Callable[[str], list[int]]:
    """The tokenizer and vocabulary of one output of a run: text -> token ids, as in training."""
    args = _train_args(exp_dir)
    return TextToIds(*(getattr(args, f"{output}_{name}") for name in TextToIds.FROM))


def tokens_to_text_of(exp_dir: str | Path, output: str) -> Callable[[list[str]], str]:
    """Tokens that a search gives -> the text that they write."""
    kind = getattr(_train_args(exp_dir), f"{output}_token_type")
    return lambda tokens: tokens_to_text(tokens, kind)


def check_rate(exp_dir: str | Path, rate: int) -> None:
    """UsageError if a run was trained on speech at another rate than ``rate`` Hz."""
    config = vars(_train_args(exp_dir))
    if at_rate(config, rate) != config:
        raise UsageError(f"{exp_dir}: was not trained on speech at {rate} Hz: prepare the data with its --fs")


def fresh_model(encoder_dir: Path, output_dir: Path, output: str, seed: int) -> L2DualModel:
    """A freshly initialized single-output system with the encoder of ``encoder_dir``.

    Args:
        encoder_dir: run that gives the configuration, except the decoder and the loss.
        output_dir: run that gives the decoder, losses and vocabulary of the output; its losses are
            weighed to 1, as those of a single-output system are.
        output: the output.
        seed: of the initialization.
    """
    args, source = _train_args(encoder_dir), _train_args(output_dir)
    vocabulary = (f"{output}_{name}" for name in ("token_list", "token_type", "bpemodel"))
    for name in ("decoder", "decoder_conf", "ctc_conf", *vocabulary):
        setattr(args, name, getattr(source, name))
    weights = source.model_conf["loss_weights"][output]
    alone = {loss: weight / sum(weights.values()) for loss, weight in weights.items()}
    args.model_conf = source.model_conf | {"loss_weights": {output: alone}}
    args.sharing = {}
    args.seed = seed
    return build_model(args)


class _Archive(NamedTuple):
    """An unpacked archive: its directory, and the files that its meta.yaml names."""

    root: Path
    model_file: Path
    config: Path
    pretrained: dict  # the fingerprint of an encoder that it names and does not hold


def is_model(path: Path) -> bool:
    """Whether a directory is a run or an unpacked archive of one."""
    return (path / "config.yaml").is_file() or _archive(path) is not None


def _archive(path: str | Path) -> _Archive | None:
    """The archive that was unpacked at ``path``, if there is one.

    Raises:
        DataError: it is of a later version.
    """
    root = Path(path).resolve()
    if not (root / "meta.yaml").is_file():
        return None
    try:
        meta = read_yaml(root / "meta.yaml")
        model_file = _below(root, str(meta["files"]["model_file"]))
        config = _below(root, str(meta["yaml_files"]["train_config"]))
    except (UsageError, DataError, KeyError, TypeError):
        return None  # not ESPnet's
    if not model_file or not config:
        return None
    if meta.get("format") != FORMAT:
        raise DataError(
            f"{path}: packed by l2dual {meta.get('l2dual')} in another form than that of {l2dual.__version__}: "
            "pack the run again (stage 12), or use that version"
        )
    named = meta.get("pretrained")  # older archives have none
    return _Archive(root, model_file, config, named if isinstance(named, dict) else {})


def _below(root: Path, name: str) -> Path | None:
    """What lies in ``root`` at the longest end of a path, wherever that path began."""
    parts = [part for part in Path(name).parts if part not in ("/", "..")]
    ends = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end.exists()), None)


def _train_args(exp_dir: str | Path) -> argparse.Namespace:
    archive = _archive(exp_dir)
    config = archive.config if archive else Path(exp_dir) / "config.yaml"
    if not config.exists():
        raise DataError(f"{config}: no such file: train this system first (stage 8)")
    read = _read(config, config.stat().st_mtime_ns)
    args = {name: value if name in TOKEN_LISTS else deepcopy(value) for name, value in read.items()}
    for place, name, file in named_files(args):
        found = _below(archive.root, file) or fetched(file) if archive else of_recipe(file, Path(exp_dir))
        if found is None:
            stage = 7 if name == "stats_file" else 5
            remedy = f"run stage {stage}, or work in the recipe's directory"
            if archive:
                remedy = GET if name == "path" else "pack it again"
            raise DataError(f"{file}: no such file, which {config} names: {remedy}")
        if archive and file in archive.pretrained and archive.pretrained[file] != _fingerprint(found):
            raise DataError(f"{found}: not the weights that {config} was trained on: move it away, and {GET}")
        place[name] = str(found)
    return argparse.Namespace(**{"sharing": {}} | args)


@lru_cache(maxsize=4)
def _read(config: Path, changed: int) -> dict:
    """A run's configuration, which may have 28,000 tokens: they take half a second."""
    return read_yaml(config)


@lru_cache
def _fingerprint(folder: Path) -> str:
    return Weights(folder, "encoder").fingerprint()


def fetched(name: str) -> Path | None:
    """A pretrained encoder that `l2dual get_whisper` has fetched, or that lies in the user's cache; None if it
    is not there."""
    if not re.fullmatch(r"\w[\w.-]*", name):  # an archive says it, which anyone may have made
        return None
    places = (Path(l2dual.__file__).parents[1] / ".tools" / name, user_cache() / name)
    return next((place for place in places if place.is_dir()), None)


def of_recipe(file: str, exp_dir: Path) -> Path | None:
    """A file that a run names as its recipe does, from wherever it is asked for; None if it is not there."""
    places = (Path(file), *(folder / file for folder in exp_dir.resolve().parents))
    return next((place for place in places if place.exists()), None)


def named_files(config: dict) -> list[tuple[dict, str, str]]:
    """The files that a run's configuration needs: the mapping and key that name each, and its name.

    They are the statistics of the features, the models of bpe tokens, and the directories of pretrained
    encoders.
    """
    places = [(config.get("normalize_conf") or {}, "stats_file")]
    places += [(config, f"{output}_bpemodel") for output in OUTPUTS]
    for part, name in (("frontend", "pretrained"), ("encoder", "pretrained"), ("decoder", "whisper")):
        conf = config.get(f"{part}_conf") or {}
        if config.get(part) == name and not conf.get("download"):
            places.append((conf, "path"))
    return [(place, name, str(place[name])) for place, name in places if place.get(name)]
