"""Decode a recording to the end, and say what it is or why it can't be used."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np
import soundfile

from l2dual.audio import open_audio

TRUNCATED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # libsndfile's log
STREAMED = 0x7FFFF000  # bytes: what a program that writes WAV to a pipe gives as length, or more


class Recording(NamedTuple):
    """What decoding says; ``rate`` is None in an ark of samples alone."""

    rate: int | None
    channels: int
    frames: int
    digest: bytes


def decode(path: str) -> Recording | str:
    """Read a whole recording; return what it is, or why it can't be used."""
    if path.endswith("|"):
        return "a pipe: write what it gives to a file"
    try:
        if ".ark:" in path:
            rate, samples = None, kaldiio.load_mat(path)
            if isinstance(samples, tuple):
                rate, samples = samples
            log, frames, whole = "", len(samples), True
        elif not Path(path).is_file():
            return "no such file" + ("" if Path(path).is_absolute() else f" in {Path.cwd()}")
        else:
            with open_audio(path) as file:
                rate, log, frames = file.samplerate, file.extra_info, file.frames
                samples = file.read(dtype="float32", always_2d=True)
                whole = file.format != "OGG" or _has_last_page(path)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        return f"unreadable or truncated: {' '.join(str(error).split())}"
    lengths = TRUNCATED.search(log)
    cut = lengths and int(lengths[2]) < int(lengths[1]) < STREAMED
    if cut or frames > len(samples) or not whole:
        return f"truncated after {len(samples)} samples"
    if not len(samples):
        return "no samples"
    if not np.isfinite(samples).all():
        return "samples that are no finite numbers"
    if not samples.any():
        return "nothing but zeros"
    digest = hashlib.blake2b(np.ascontiguousarray(samples), digest_size=16).digest()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return Recording(rate, channels, len(samples), digest)


def _has_last_page(path: str) -> bool:
    """Whether an Ogg file's last page is marked as the last of its stream (RFC 3533)."""
    content = Path(path).read_bytes()
    return bool(content[content.rfind(b"OggS") + 5] & 4)
