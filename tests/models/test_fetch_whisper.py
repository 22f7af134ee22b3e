"""Reading Whisper base from CTranslate2's format; the download itself is not tested."""

import base64
import io
import struct

import numpy as np
import pytest
from transformers import WhisperConfig, WhisperModel

from l2dual.errors import UsageError
from l2dual.models import fetch_whisper


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def binary(arrays: dict[str, np.ndarray], version: int = 6) -> io.BytesIO:
    """``arrays`` as a CTranslate2 model of 16-bit floats."""
    parts = [struct.pack("<I", version), string("WhisperSpec"), struct.pack("<II", 3, len(arrays))]
    for name, array in arrays.items():
        data = array.astype(np.float16).tobytes()
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [string(name), shape, struct.pack("<BI", 4, len(data)), data]
    return io.BytesIO(b"".join(parts))


def test_variables_are_read():
    arrays = {"a/weight": np.arange(6.0).reshape(2, 3), "b": np.array([0.5])}
    found = fetch_whisper.read_ctranslate2(binary(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_another_version_is_refused():
    with pytest.raises(UsageError, match="format 5, not 6"):
        fetch_whisper.read_ctranslate2(binary({}, version=5))


@pytest.mark.slow
def test_every_weight_of_the_model_is_named_and_has_its_shape():
    model = WhisperModel(WhisperConfig(**fetch_whisper.WHISPER_BASE))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    arrays = {name: np.zeros(shape) for name, shape in ctranslate2_shapes()}
    fused = "encoder/layer_2/self_attention/linear_0/weight"
    arrays[fused] = np.repeat([1.0, 2.0, 3.0], 512)[:, None] * np.ones((1, 512))
    found = fetch_whisper.translate(arrays)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == expected
    for value, part in ((1, "q"), (2, "k"), (3, "v")):  # as they lie side by side in the file
        assert (found[f"encoder.layers.2.self_attn.{part}_proj.weight"] == value).all()


def ctranslate2_shapes():
    """Names and shapes in Whisper base as CTranslate2 writes it."""

    def norm(name):
        yield f"{name}/gamma", (512,)
        yield f"{name}/beta", (512,)

    def linear(name, *shape):
        yield f"{name}/weight", shape
        yield f"{name}/bias", shape[:1]

    for part, positions in (("encoder", 1500), ("decoder", 448)):
        yield from norm(f"{part}/layer_norm")
        yield f"{part}/position_encodings/encodings", (positions, 512)
        for i in range(6):
            layer = f"{part}/layer_{i}"
            fused = {"self_attention": (1536, 512)}
            if part == "decoder":
                fused["attention"] = (512, 1024, 512)
            for name, sizes in fused.items():
                yield from norm(f"{layer}/{name}/layer_norm")
                for number, size in enumerate(sizes):
                    yield from linear(f"{layer}/{name}/linear_{number}", size, 512)
            yield from norm(f"{layer}/ffn/layer_norm")
            yield from linear(f"{layer}/ffn/linear_0", 2048, 512)
            yield from linear(f"{layer}/ffn/linear_1", 512, 2048)
    yield from linear("encoder/conv1", 512, 80, 3)
    yield from linear("encoder/conv2", 512, 512, 3)
    yield "decoder/embeddings/weight", (51865, 512)


def test_tokens_are_those_of_the_file_of_byte_pairs(tmp_path):
    """Merges in their order of rank; bytes and not letters are what is paired."""
    pairs = [" t", "th", "he", " the", "é"]  # "the" is none, so " the" is " t" and "he"
    tokens = [bytes([byte]) for byte in range(256)] + [pair.encode() for pair in pairs]
    path = tmp_path / "tokens"
    path.write_text("".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens)))
    tokenizer = fetch_whisper.byte_pairs(fetch_whisper.read_tiktoken(path))
    assert tokenizer.encode(" the thé").ids == [259, 256, ord("h"), 260]
    assert tokenizer.decode([259, 256, ord("h"), 260]) == " the thé"


def test_a_file_with_another_hash_is_not_used(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match="sha256 of file is .*: not used"):
        fetch_whisper.checked(path, fetch_whisper.SHA256)
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert fetch_whisper.checked(path, digest) == path
