"""Recordings that the tests make: signals, and files as phones, browsers and corpora have them."""

import av
import numpy as np

from l2dual.data.audio import convert
from l2dual.data.recording import read

RATE = 16000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def noise(seconds=1.0, rate=RATE):
    return 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))


def samples_of(place, part=None) -> np.ndarray:
    """What stage 3 makes of a recording, or of a part of it."""
    return convert(read(str(place)), RATE, 1.0, part)


def pcm(path, samples: np.ndarray, tail: bytes = b""):
    """A file as KsponSpeech has them: 16 bits, little-endian, no header."""
    path.write_bytes((samples * 32768).astype("<i2").tobytes() + tail)


def unknown_length(path):
    """Make a FLAC file one from a streaming encoder, which has 0 as its number of samples."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def compress(path, container, codec, rate=48000):
    """Write two seconds of a tone as a phone or a browser does."""
    with av.open(str(path), "w", format=container) as file:
        track = file.add_stream(codec, rate=rate)
        track.layout = "mono"
        samples = tone(2.0, rate).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*track.encode(frame), *track.encode(None)]:
            file.mux(packet)


def film(path):
    """A video without sound."""
    with av.open(str(path), "w", format="mp4") as file:
        track = file.add_stream("mpeg4", rate=10)
        track.width = track.height = 64
        track.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for packet in [*track.encode(picture), *track.encode(None)]:
            file.mux(packet)
