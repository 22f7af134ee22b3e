"""Bring audio to one sampling rate, one channel and one format."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import kaldiio
import numpy as np
import soundfile
import soxr

from l2dual.datadir import UNKNOWN, DataDir, write_table
from l2dual.errors import DataError
from l2dual.files import file_name

FORMATS = ("flac", "wav", "ark")
CHUNK = 200  # utterances in one task of a worker, and in one ark file
# A .pcm file has no header; this is what those of KsponSpeech are.
PCM = {"format": "RAW", "subtype": "PCM_16", "endian": "LITTLE", "samplerate": 16000, "channels": 1}
OVERSHOOT = 0.1  # seconds that a segment may end after its recording: times are rounded
Segment = tuple[float, float]


def read_audio(
    path: str | Path, utt: str, rate: int, speed: float = 1.0, segment: Segment | None = None
) -> np.ndarray:
    """Read one channel at ``rate`` Hz, played ``speed`` times as fast (pitch goes with it).

    Args:
        segment: start and end in seconds of the part to read; None reads the whole file.

    Returns:
        Samples, (T,), float32 in [-1, 1].

    Raises:
        DataError: no such file, unreadable, empty, sampled below ``rate``, or a segment that is
            not within it.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such audio file (utterance {utt}): mend wav.scp or --db")
    try:
        with open_audio(path) as file:
            found = file.samplerate
            frames = _seek(file, path, utt, segment)
            samples = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{path}: unreadable audio (utterance {utt}): {error}: replace or remove it"
        ) from error
    if len(samples) == 0:
        raise DataError(f"{path}: no samples (utterance {utt}): replace or remove it")
    if found < rate:
        raise DataError(
            f"{path}: sampled at {found} Hz, the recipe needs {rate} (utterance {utt}): "
            f"replace it, or run with --fs {found}"
        )
    mono = samples.mean(axis=1)
    if found * speed != rate:
        mono = soxr.resample(mono, found * speed, rate)
    return np.clip(mono, -1.0, 1.0).astype(np.float32)


def open_audio(path: str | Path) -> soundfile.SoundFile:
    """Open a recording; a ``.pcm`` file is read as headerless 16-bit mono at 16 kHz."""
    return soundfile.SoundFile(path, **(PCM if Path(path).suffix.lower() == ".pcm" else {}))


def _seek(file: soundfile.SoundFile, path: str | Path, utt: str, segment: Segment | None) -> int:
    """Go to where the segment begins; return how many frames it has (-1: all)."""
    if segment is None:
        return -1
    start, end = segment
    duration = file.frames / file.samplerate
    if not 0 <= start < min(end, duration) or end > duration + OVERSHOOT:
        raise DataError(
            f"{path}: segment {start:g} to {end:g} s (utterance {utt}) is not within its "
            f"{duration:.3f} s: mend utt2segment"
        )
    first = round(start * file.samplerate)
    file.seek(first)
    return round(end * file.samplerate) - first


def read_segment(data: DataDir, utt: str) -> Segment | None:
    """Return start and end in seconds from ``utt2segment``; None for the whole recording.

    Raises:
        DataError: not two numbers.
    """
    value = data.tables.get("utt2segment", {}).get(utt, UNKNOWN)
    if value == UNKNOWN:
        return None
    try:
        start, end = map(float, value.split())
    except ValueError:
        raise DataError(
            f"{data.path / 'utt2segment'}: utterance {utt} has '{value}', not `start end` in "
            "seconds: mend it"
        ) from None
    return start, end


def format_audio(data: DataDir, out: Path, audio_format: str, rate: int, nj: int) -> None:
    """Write the audio of ``data`` to ``out``/audio, and the data directory with utt2dur.

    Files that already are as wanted are used where they lie. Segments (utt2segment) are cut and
    speeds (utt2speed) changed; these tables are not written. An ark holds float vectors, equal to
    what a FLAC or WAV file of 16 bits gives: ESPnet would read an ark of 16-bit audio on another
    scale. ``out`` must be a fresh directory.
    Paths in wav.scp name its final place, ``out`` without the suffix `.tmp`.
    """
    utts = sorted(data["wav.scp"])
    chunks = [utts[start : start + CHUNK] for start in range(0, len(utts), CHUNK)]
    (out / "audio").mkdir(parents=True)
    jobs = [(data, chunk, number, out, audio_format, rate) for number, chunk in enumerate(chunks)]
    paths, durations, done = {}, {}, 0
    with ProcessPoolExecutor(nj) as pool:
        for chunk_paths, chunk_durations in pool.map(_format_chunk, jobs):
            paths |= chunk_paths
            durations |= chunk_durations
            done += len(chunk_paths)
            print(f"progress: {done} of {len(utts)} utterances", flush=True)
    data.tables["wav.scp"] = paths
    for name in ("utt2speed", "utt2segment"):
        data.tables.pop(name, None)
    data.tables["utt2dur"] = {utt: f"{seconds:.4f}" for utt, seconds in durations.items()}
    data.info["audio_format"] = audio_format
    data.info["sampling_rate"] = rate
    data.write(out)
    write_table(out / "speech_shape", {u: round(s * rate) for u, s in durations.items()})


def _format_chunk(job) -> tuple[dict[str, str], dict[str, float]]:
    data, utts, number, out, audio_format, rate = job
    final = out.with_name(out.name.removesuffix(".tmp")) / "audio"
    paths, durations, vectors = {}, {}, {}
    for utt in utts:
        source = data["wav.scp"][utt]
        speed = float(data.tables.get("utt2speed", {}).get(utt, 1.0))
        segment = read_segment(data, utt)
        samples = read_audio(source, utt, rate, speed, segment)
        durations[utt] = len(samples) / rate
        if audio_format == "ark":
            vectors[utt] = np.round(samples * 32767).astype(np.float32) / 32768
        elif speed == 1.0 and segment is None and _is_as_wanted(source, audio_format, rate):
            paths[utt] = source
        else:
            name = file_name(utt, f".{audio_format}")
            soundfile.write(out / "audio" / name, samples, rate, subtype="PCM_16")
            paths[utt] = str(final / name)
    if vectors:
        paths |= save_ark(out / "audio" / f"{number:05d}.ark", final, vectors)
    return paths, durations


def save_ark(ark: Path, final: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Write a Kaldi archive; return where each array will be once the archive lies in ``final``."""
    scp = ark.with_suffix(".scp")
    kaldiio.save_ark(str(ark), dict(arrays), scp=str(scp))
    paths = {}
    for line in scp.read_text(encoding="utf-8").splitlines():
        utt, _, place = line.partition(" ")
        paths[utt] = f"{final / ark.name}:{place.rpartition(':')[2]}"
    return paths


def _is_as_wanted(path: str, audio_format: str, rate: int) -> bool:
    with open_audio(path) as file:
        found = (file.format.lower(), file.samplerate, file.channels, file.subtype)
    return found == (audio_format, rate, 1, "PCM_16")
