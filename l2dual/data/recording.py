"""The one reader of recordings: it opens files, and says why one can't be used.

A value of wav.scp names a file, or a place in a Kaldi archive (`FILE:OFFSET`). A command (`CMD |`)
runs only where pipes are allowed, and nothing is unpickled.
"""

import hashlib
import io
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import numpy as np
import soundfile

from l2dual.data.datadir import UNKNOWN
from l2dual.errors import one_line

# A .pcm file has no header; this is what those of KsponSpeech are.
PCM = {"format": "RAW", "subtype": "PCM_16", "endian": "LITTLE", "samplerate": 16000, "channels": 1}
# What phones and browsers record: how such a file begins, and FFmpeg's name for it. A format is
# named so that FFmpeg guesses none (a playlist would have it open other files and addresses).
CONTAINERS = [
    (re.compile(rb".{4}(ftyp|moov|mdat|wide|free|skip)", re.DOTALL), "mov"),  # m4a, mp4, 3gp
    (re.compile(rb"\x1a\x45\xdf\xa3"), "matroska"),  # webm, mka
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "aac"),
    (re.compile(rb"#!AMR"), "amr"),
    (re.compile(rb"\x30\x26\xb2\x75"), "asf"),  # wma
]
ARRAYS = {b"\0BFV ": ("<f4", 1), b"\0BDV ": ("<f8", 1), b"\0BFM ": ("<f4", 2), b"\0BDM ": ("<f8", 2)}
MATRIX = ("ARK", "matrix")  # kind of cached features

TRUNCATED = re.compile(  # libsndfile's log of WAV, AIFF, W64, AU and RF64
    r"^\s*(?:data|SSND|riff|Data Size|Riff size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)
STREAMED = 0x7FFFF000  # bytes: what a program that writes WAV to a pipe gives as length, or more
UNKNOWN_LENGTH = 2**63 - 1  # frames: what soundfile says of a FLAC file from a pipe
SAMPLES_PER_BYTE = 8192  # no codec holds more: FLAC writes 65,535 equal samples in about 14 bytes
SHORTFALL = 0.5  # seconds that a compressed track may lack: encoders count their padding
CLIPPED = 0.01  # of a recording's energy, above full scale: more is another scale, not a peak
REMEDY = "replace or remove it"
WRONG_PATH = "correct wav.scp or --db"
WRONG_PART = "correct utt2segment"
OVERSHOOT = 0.1  # seconds that a part may end after its recording: times are rounded
ERRORS = (soundfile.LibsndfileError, av.FFmpegError, OSError, ValueError, MemoryError)

Part = tuple[float, float]  # start and end in seconds


class Unusable(Exception):
    """Why a recording can't be used, and what to do. The caller adds the utterance."""

    def __init__(self, why: str, remedy: str = REMEDY) -> None:
        super().__init__(why, remedy)
        self.why, self.remedy = why, remedy

    def __str__(self) -> str:
        return self.why if self.remedy == REMEDY else f"{self.why}: {self.remedy}"


class Sound(NamedTuple):
    """Samples (T, C), float32; ``rate`` is None in an ark of samples alone.

    ``kind`` is libsndfile's format and subtype. An ark's matrix of features is (F, D).
    """

    samples: np.ndarray
    rate: int | None
    kind: tuple[str, str]


class Recording(NamedTuple):
    """What the validator says of a sound; of each part, its seconds or why it can't be used."""

    rate: int | None
    channels: int
    frames: int
    digest: bytes
    parts: dict[str, float | str]


def decode(
    place: str, parts: Iterable[str] = (), usual_rate: int = 16000, allow_pipes: bool = False
) -> Recording | str:
    """Read a whole recording; return what it is, or why it can't be used.

    Args:
        parts: values of utt2segment.
        usual_rate: Hz where the recording does not say.
    """
    try:
        samples, rate, _ = read(place, allow_pipes)
    except Unusable as error:
        return str(error)
    digest = hashlib.blake2b(np.ascontiguousarray(samples), digest_size=16).digest()
    lengths: dict[str, float | str] = {}
    for part in parts:
        try:
            cut = part_of(samples, rate or usual_rate, read_part(part))
            lengths[part] = len(cut) / (rate or usual_rate)
        except Unusable as error:
            lengths[part] = error.why
    return Recording(rate, samples.shape[1], len(samples), digest, lengths)


def read(place: str, allow_pipes: bool = False) -> Sound:
    """Read a whole recording and check it.

    Raises:
        Unusable: it is not there, can't be decoded, is truncated, or has no sound.
    """
    pipe = is_pipe(place)
    if pipe and allow_pipes:
        decoded = partial(_decode, _run(place))
    else:
        file, offset = locate(place)
        decoded = partial(_decode, file) if offset is None else partial(_read_ark, file, offset)
    try:
        sound = decoded()
    except ERRORS as error:
        said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        why = " ".join(said.split())  # without the path, which whoever reports it names
        raise Unusable(f"unreadable audio, perhaps truncated: {why}") from error
    check(sound)
    return sound._replace(kind=("PIPE", "")) if pipe else sound


def read_part(text: str) -> Part | None:
    """Start and end in seconds, as utt2segment has them; None for the whole recording."""
    if text == UNKNOWN:
        return None
    try:
        start, end = map(float, text.split())
    except ValueError:
        raise Unusable(f"'{text}' is not `start end` in seconds", WRONG_PART) from None
    return start, end


def part_of(samples: np.ndarray, rate: int, part: Part | None) -> np.ndarray:
    """The samples of a part; all of them where it is None.

    Raises:
        Unusable: it is not within the recording, or has no sound.
    """
    if part is None:
        return samples
    start, end = part
    duration = len(samples) / rate
    if not 0 <= start < min(end, duration) or end > duration + OVERSHOOT:
        raise Unusable(f"segment {start:g} to {end:g} s is not within its {duration:.3f} s", WRONG_PART)
    found = samples[round(start * rate) : round(end * rate)]
    if not found.any():
        raise Unusable(f"no sound in its segment {start:g} to {end:g} s", WRONG_PART)
    return found


def is_pipe(place: str) -> bool:
    """Whether Kaldi's tools would run this value of wav.scp."""
    bare = re.sub(r":\d*(\[[^]]*])?$", "", place.strip()).strip()
    return bare.startswith("|") or bare.endswith("|")


def locate(place: str) -> tuple[Path, int | None]:
    """Return the file that a value of wav.scp names, and the offset in it if it is an ark.

    Raises:
        Unusable: a pipe, no such file, or an offset that is not within it.
    """
    if is_pipe(place):
        raise Unusable("a pipe", "write its output to a file, or run with --allow_pipes true")
    if os.path.isfile(place):
        return Path(place), None
    file, colon, offset = place.rpartition(":")
    if not colon or not os.path.isfile(file):
        where = "" if os.path.isabs(place) else f" in {Path.cwd()}"
        raise Unusable(f"no such audio file{where}", WRONG_PATH)
    if not re.fullmatch("[0-9]{1,18}", offset):
        raise Unusable(f"the offset in the ark is '{offset}', not a number", WRONG_PATH)
    if int(offset) >= os.path.getsize(file):
        raise Unusable(f"the offset {offset} is after the end of the ark", WRONG_PATH)
    return Path(file), int(offset)


def _run(place: str) -> bytes:
    """Return what a command of wav.scp writes."""
    command = place.strip().removesuffix("|").strip()
    if not command or command.startswith("|") or not place.strip().endswith("|"):
        raise Unusable("a pipe that is not `COMMAND |`")
    print(f"running the command of wav.scp: {one_line(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Unusable(f"its command fails with status {done.returncode}: {''.join(why)}")
    return done.stdout


def _decode(source: Path | bytes) -> Sound:
    """Decode a file, or what a file would hold."""
    with _open(source) as stream:
        head = stream.read(16)
        size = stream.seek(0, io.SEEK_END)
    headerless = isinstance(source, Path) and source.suffix.lower() in (".pcm", ".raw")
    for pattern, container in CONTAINERS:
        if pattern.match(head) and not headerless:
            return _decode_compressed(source, container)
    with open_audio(source) as file:
        kind, log, frames = (file.format, file.subtype), file.extra_info, file.frames
        if frames == UNKNOWN_LENGTH:
            return _decode_compressed(source, "flac")
        if frames * file.channels > size * SAMPLES_PER_BYTE:
            raise Unusable(f"truncated: it claims {frames} samples and has {size} bytes")
        samples = file.read(dtype="float32", always_2d=True)
        rate = file.samplerate
    lengths = TRUNCATED.search(log)
    cut = lengths and int(lengths[2]) < int(lengths[1]) < STREAMED
    if cut or frames > len(samples) or kind[0] == "OGG" and not _has_last_page(source):
        raise Unusable(f"truncated after {len(samples)} samples")
    return Sound(samples, rate, kind)


def seconds_of(source: Path) -> float | None:
    """How long a recording says it is, before it is decoded; None where it does not say."""
    try:
        with open(source, "rb") as stream:
            head = stream.read(16)
        for pattern, container in CONTAINERS:
            if pattern.match(head):
                with open(source, "rb") as stream, av.open(stream, "r", format=container) as file:
                    return file.duration / av.time_base if file.duration else None
        with open_audio(source) as audio:
            return None if audio.frames == UNKNOWN_LENGTH else audio.frames / audio.samplerate
    except (Unusable, *ERRORS):
        return None


def _open(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def open_audio(source: Path | bytes) -> soundfile.SoundFile:
    """Open a recording; a ``.pcm`` file is read as headerless 16-bit mono at 16 kHz."""
    if isinstance(source, bytes):
        return soundfile.SoundFile(io.BytesIO(source))
    suffix = source.suffix.lower()
    if suffix == ".raw":
        raise Unusable("a .raw file does not say its rate and format", "write it as WAV")
    return soundfile.SoundFile(os.fsencode(os.path.abspath(source)), **(PCM if suffix == ".pcm" else {}))


def _has_last_page(source: Path | bytes) -> bool:
    """Whether an Ogg file's last page is marked as the last of its stream (RFC 3533)."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    return bool(content[content.rfind(b"OggS") + 5] & 4)


def _decode_compressed(source: Path | bytes, container: str) -> Sound:
    """Decode the first audio track by FFmpeg's libraries."""
    with _open(source) as stream, av.open(stream, "r", format=container) as file:
        if not file.streams.audio:
            raise Unusable("there is no audio track in it")
        track = file.streams.audio[0]
        if track.codec_context is None:
            raise Unusable("its sound is coded in a way that is not known")
        resampler = av.AudioResampler(format="fltp")  # the same rate, as floats
        parts, rate = [], track.rate
        for frame in file.decode(track):
            rate = frame.sample_rate
            parts += [part.to_ndarray().T for part in resampler.resample(frame)]
        promised = float(track.duration * track.time_base) if track.duration else 0.0
        if not promised and file.duration and len(file.streams) == 1:
            promised = file.duration / av.time_base
        kind = (container.upper(), track.codec_context.name)
    if not parts:
        raise Unusable("no samples")
    samples = np.concatenate(parts)
    if len(samples) / rate < promised - SHORTFALL:
        raise Unusable(f"truncated after {len(samples)} samples")
    return Sound(samples, rate, kind)


def _read_ark(file: Path, offset: int) -> Sound:
    """Read a vector (T,) or a matrix (F, D) of floats, or a WAV file, out of a Kaldi archive."""
    with open(file, "rb") as stream:
        left = os.path.getsize(file) - offset
        stream.seek(offset)
        head = stream.read(5)
        if head.startswith(b"RIFF"):
            length = 8 + int.from_bytes(head[4:] + stream.read(3), "little")
            if length > left:
                raise Unusable("truncated: the ark ends within the WAV file")
            stream.seek(offset)
            return _decode(stream.read(length))._replace(kind=("ARK", "wav"))
        if head not in ARRAYS:
            raise Unusable(f"no vector or matrix of floats, and no WAV file, at {offset}")
        dtype, dimensions = ARRAYS[head]
        shape = [_ark_size(stream) for _ in range(dimensions)]
        length = math.prod(shape) * np.dtype(dtype).itemsize
        if length > left:
            raise Unusable("truncated: the ark ends before its values do")
        values = np.frombuffer(stream.read(length), dtype).astype(np.float32)
    if dimensions == 1:
        return Sound(values[:, None], None, ("ARK", "vector"))
    return Sound(values.reshape(shape), None, MATRIX)


def _ark_size(stream: BinaryIO) -> int:
    """A dimension as Kaldi writes it: the number of its bytes (4), and an integer."""
    content = stream.read(5)
    if len(content) < 5:
        raise Unusable("truncated: the ark ends before its values do")
    width, size = struct.unpack("<bi", content)
    if width != 4 or size < 0:
        raise Unusable("a damaged ark: no size before the values")
    return size


def check(sound: Sound) -> None:
    """Raise Unusable where there are no samples, or not such as a recording has."""
    samples = sound.samples
    if not samples.size:
        raise Unusable("no samples")
    if not np.isfinite(samples).all():
        raise Unusable("samples that are not finite numbers")
    if sound.kind == MATRIX:
        return
    if not samples.any():
        raise Unusable("nothing but zeros")
    peak = float(np.abs(samples).max())
    if peak > 1:
        over = np.maximum(np.abs(samples, dtype=np.float64) - 1, 0)
        if np.square(over).sum() > CLIPPED * np.square(samples, dtype=np.float64).sum():
            raise Unusable(
                f"samples up to {peak:g} where 1 is full scale",
                "divide them (by 32768 where they are 16-bit integers), or write 16-bit WAV",
            )
