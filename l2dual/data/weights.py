"""A pretrained model's files, in Hugging Face's format: what they say of it, and its weights."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2dual.errors import UsageError
from l2dual.files import read_text

if TYPE_CHECKING:
    import torch

FILES = ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors", "model-*-of-*.safetensors"]
SUBWORDS, KNOWN = 51865, ("Ġthe", 264)  # vocabulary of the multilingual Whispers to large-v2, and a token of it
KINDS = ("whisper", "wav2vec2", "hubert", "wavlm")


@dataclass(frozen=True)
class WhisperConfig:
    """What a Whisper's config.json says, as far as it matters here; absent is what has a value.

    Raises:
        UsageError: a number that can't be, or a width that the heads do not divide.
    """

    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_layers: int
    decoder_attention_heads: int
    decoder_ffn_dim: int
    vocab_size: int
    num_mel_bins: int = 80
    max_source_positions: int = 1500
    max_target_positions: int = 448
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    activation_function: str = "gelu"

    model_type = "whisper"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and not (type(value) is int and value > 0):
                raise UsageError(f"{field.name}: {value} is no whole number above 0")
            if field.type is float and not (isinstance(value, int | float) and 0 <= value < 1):
                raise UsageError(f"{field.name}: {value} is no number from 0 to 1")
        if self.d_model % self.encoder_attention_heads or self.d_model % self.decoder_attention_heads:
            raise UsageError(f"d_model: {self.d_model} is not divided by the number of heads")
        if self.activation_function != "gelu":
            raise UsageError(f"activation_function: {self.activation_function} is not Whisper's, gelu")

    @classmethod
    def of(cls, content: dict) -> "WhisperConfig":
        """The configuration that ``content`` says; UsageError if it lacks a number."""
        for field in fields(cls):
            if field.default is MISSING and field.name not in content:
                raise UsageError(f"lacks {field.name}")
        return cls(**{field.name: content[field.name] for field in fields(cls) if field.name in content})

    @property
    def hidden_size(self) -> int:
        """Width of the encoder's states."""
        return self.d_model

    @property
    def most_subwords(self) -> int:
        """Subwords that a text can have, behind a prompt of four: start, language, task, no timestamps."""
        return self.max_target_positions - 4

    @property
    def num_hidden_layers(self) -> int:
        """Blocks of the encoder."""
        return self.encoder_layers


def model_folder(path: str, download: bool = False) -> Path:
    """The directory of a pretrained model.

    Args:
        path: the directory, or with ``download`` a name on the Hugging Face hub.

    Raises:
        UsageError: there is none.
    """
    if download and not Path(path).is_dir():
        from huggingface_hub import snapshot_download  # takes seconds

        try:
            return Path(snapshot_download(path, allow_patterns=FILES))
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{path}: no such directory, and not to be had of the hub ({reason})") from error
    if not (Path(path) / "config.json").is_file():
        raise UsageError(
            f"{path}: no config.json: give the directory of a model in Hugging Face's format, or its name on the hub "
            "with `download: true` (Whisper base: run l2dual get_whisper)"
        )
    return Path(path)


def pretrained_config(path: str, download: bool = False) -> Any:
    """The configuration of a pretrained encoder: :class:`WhisperConfig`, or that of transformers.

    Args:
        path: see :func:`model_folder`.

    Raises:
        UsageError: there is none, it does not say what it must, or is of another kind of model.
    """
    file = model_folder(path, download) / "config.json"
    content = read_json(file)
    kind = content.get("model_type")
    if kind not in KINDS:
        raise UsageError(f"{path}: a {kind} model; l2dual knows {', '.join(KINDS)}")
    try:
        if kind == WhisperConfig.model_type:
            return WhisperConfig.of(content)
        from transformers import AutoConfig  # takes seconds

        return AutoConfig.from_pretrained(file.parent)
    except (OSError, ValueError, UsageError) as error:
        raise UsageError(f"{file}: {str(error).splitlines()[0]}: get the model again") from error


def check_last_layer(config: Mapping) -> None:
    """Refuse a training whose decoder, Whisper's, would read another layer than the last of its encoder.

    Raises:
        UsageError: names the layers.
    """
    front, conf = config.get("frontend_conf") or {}, config.get("encoder_conf") or {}
    heads, weights = conf.get("heads") or {}, config["model_conf"]["loss_weights"]
    reads = any(own["attention"] > 0 and output not in heads for output, own in weights.items())
    kinds = tuple(config.get(part) for part in ("frontend", "encoder", "decoder"))
    if kinds != ("pretrained", "layered", "whisper") or conf.get("rank") is not None or not reads:
        return
    layers = front.get("layers", "last")
    named = layers[-1] if isinstance(layers, list) and layers else layers
    last = pretrained_config(front.get("path", ""), front.get("download", False)).num_hidden_layers
    if named not in ("last", "all", last):
        raise UsageError(
            f"frontend_conf: layers: {layers}: Whisper's decoder reads the last one named, and must read the last "
            f"of the model, which has layers 0 to {last}: name {last} last, or give encoder_conf a rank"
        )


def read_json(file: Path) -> dict:
    """A JSON file that holds an object; UsageError if it does not."""
    try:
        content = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON ({error}): get the model again") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file}: holds no object: get the model again")
    return content


def read_tokenizer(folder: Path) -> dict:
    """The tokenizer.json beside the weights of a multilingual Whisper.

    Raises:
        UsageError: there is none, it is broken, or it or the weights are of another model.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UsageError(f"{file}: no such file: run l2dual get_whisper, or give the directory of the weights")
    config, content = pretrained_config(str(folder)), read_json(file)
    model = content.get("model")
    ids = model.get("vocab") if isinstance(model, dict) and "merges" in model else None
    fits = isinstance(ids, dict) and ids.get(KNOWN[0]) == KNOWN[1]
    if config.model_type != "whisper" or config.vocab_size != SUBWORDS or not fits:
        raise UsageError(
            f"{folder}: weights or tokenizer.json are not those of a multilingual Whisper, tiny to large-v2, "
            f"which has {SUBWORDS} tokens: give such a model"
        )
    return content


class Weights:
    """The weights of a part of a model, in 32 bits.

    Those that are so in the files are mapped into memory, not read: what is used is read then. Changing one
    changes no file.

    Args:
        folder: with model.safetensors, or model-*-of-*.safetensors.
        part: as `encoder`.

    Raises:
        UsageError: no such file, or a broken one.
    """

    def __init__(self, folder: Path, part: str):
        from safetensors import SafetensorError, safe_open

        whole = folder / "model.safetensors"
        files = [whole] if whole.is_file() else sorted(folder.glob("model-*-of-*.safetensors"))
        if not files:
            raise UsageError(f"{whole}: no such file: get the model in this format")
        self.folder, self.part = folder, part
        self._files: dict[str, Any] = {}
        for file in files:
            try:
                opened = safe_open(file, "pt")
            except (SafetensorError, OSError) as error:
                raise UsageError(f"{file}: {str(error).splitlines()[0]}: get the model again") from error
            self._files |= dict.fromkeys(opened.keys(), opened)

    def get(self, name: str, shape: Sequence[int]) -> "torch.Tensor":
        """One of the weights.

        Raises:
            UsageError: it is not there, of another shape, or of less than 16 bits.
        """
        import torch

        name = f"{self.part}.{name}"
        found = f"model.{name}" if f"model.{name}" in self._files else name  # of a model with more on top
        if found not in self._files:
            raise UsageError(f"{self.folder}: its weights lack {name}: get the model again")
        tensor = self._files[found].get_tensor(found)
        real, due = tuple(tensor.shape), tuple(shape)
        if real != due:
            raise UsageError(f"{self.folder}: {name} is {real}, and by config.json {due}: get the model again")
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise UsageError(f"{self.folder}: {name} is of {tensor.dtype}: get weights of 16 or 32 bits")
        return tensor.float()

    def fingerprint(self) -> str:
        """What tells the whole model, of 16 or 32 bits, from others of its shape: its blocks' first rows."""
        digest = hashlib.sha256()
        for name in sorted(self._files, key=lambda name: name.removeprefix("model.")):
            if ".layers." in name and name.endswith(".weight"):
                digest.update(self._files[name].get_slice(name)[:1].half().numpy().tobytes())
        return digest.hexdigest()[:16]
