"""Bring audio to one sampling rate, one channel and one format."""

import io
import math
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np
import soundfile
import soxr

from l2dual.data.datadir import UNKNOWN, DataDir, write_table
from l2dual.data.frames import RATE
from l2dual.data.recording import (
    MATRIX,
    Part,
    Sound,
    Unusable,
    is_pipe,
    locate,
    part_of,
    read,
    read_part,
)
from l2dual.errors import DataError, one_line
from l2dual.files import file_name

FORMATS = ("flac", "wav", "ark")
BAD_AUDIO = "bad_audio"  # table of a formatted directory: what stage 3 left out, and why
CHUNK = 200  # utterances in one task of a worker, and in one ark file


def read_values(place: str, where: str) -> np.ndarray:
    """Read what stage 3 (samples, (T,)) or stage 7 (features, (F, D)) wrote, float32.

    Raises:
        DataError: it can't be used; ``where`` names its utterance.
    """
    try:
        sound = read(place)
    except Unusable as error:
        raise DataError(f"{where}: {place}: {error.why}: format the audio again (stage 3)") from error
    return sound.samples if sound.kind == MATRIX else sound.samples.mean(axis=1)


def describe(place: str | Path, utt: str, error: Unusable) -> str:
    """One line on a recording that can't be used."""
    return f"{place}: {error.why} (utterance {utt}): {error.remedy}"


def convert(sound: Sound, rate: int, speed: float, segment: Part | None) -> np.ndarray:
    """Cut a segment, mix it to one channel, and resample it: (T,), float32 in [-1, 1]."""
    found = rate if sound.rate is None else sound.rate
    if found < rate:
        raise Unusable(
            f"sampled at {found} Hz, the recipe needs {rate}",
            f"replace it, or run with --fs {found} (not with a pretrained encoder, which takes {RATE})",
        )
    mono = part_of(sound.samples, found, segment).mean(axis=1)
    if found * speed != rate:
        mono = soxr.resample(mono, found * speed, rate)
    return np.clip(mono, -1.0, 1.0).astype(np.float32)


def read_segment(data: DataDir, utt: str) -> Part | None:
    """Return start and end in seconds from ``utt2segment``; None for the whole recording.

    Raises:
        DataError: not two numbers.
    """
    try:
        return read_part(data.tables.get("utt2segment", {}).get(utt, UNKNOWN))
    except Unusable as error:
        raise DataError(describe(data.path / "utt2segment", utt, error)) from None


def read_speed(data: DataDir, utt: str) -> float:
    """Return how many times as fast an utterance is played, from ``utt2speed``; 1 without it.

    Raises:
        DataError: no number above 0.
    """
    value = data.tables.get("utt2speed", {}).get(utt, "1")
    try:
        speed = float(value)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise DataError(
            f"{data.path / 'utt2speed'}: utterance {utt} has '{value}', not a number above 0: "
            "make it again (stage 2)"
        )
    return speed


class ChunkJob(NamedTuple):
    """A worker's share: utterances sorted by recording, and how to write them."""

    data: DataDir
    utts: list[str]
    number: int
    out: Path
    audio_format: str
    rate: int
    allow_pipes: bool


class Formatted(NamedTuple):
    """Where each utterance's audio will be, its seconds, and why others are left out."""

    paths: dict[str, str]
    seconds: dict[str, float]
    bad: dict[str, Unusable]


def format_audio(
    data: DataDir, out: Path, audio_format: str, rate: int, nj: int, allow_pipes: bool = False
) -> None:
    """Write the audio of ``data`` to ``out``/audio, and the data directory with utt2dur.

    Each recording is decoded and checked. One that can't be used is left out, printed, and
    listed in the table ``bad_audio``, from which stage 4 counts it as dropped. Files that have the
    rate and format already are used in place. Segments (utt2segment) are cut and speeds (utt2speed)
    changed; these tables are not written. An ark holds float vectors, equal to what a FLAC or WAV
    file of 16 bits gives. ``out`` must be a fresh directory. Paths in wav.scp name its final place,
    ``out`` without the suffix `.tmp`.

    Raises:
        DataError: wav.scp or utt2segment names something missing, or no recording can be used.
    """
    _check_tables(data, allow_pipes)
    utts = sorted(data["wav.scp"], key=lambda utt: (data["wav.scp"][utt], utt))
    chunks = [utts[start : start + CHUNK] for start in range(0, len(utts), CHUNK)]
    (out / "audio").mkdir(parents=True)
    how = (out, audio_format, rate, allow_pipes)
    jobs = [ChunkJob(data, chunk, number, *how) for number, chunk in enumerate(chunks)]
    paths, seconds, bad = Formatted({}, {}, {})
    with ProcessPoolExecutor(nj) as pool:
        for made in pool.map(_format_chunk, jobs):
            paths |= made.paths
            seconds |= made.seconds
            bad |= made.bad
            print(f"progress: {len(paths) + len(bad)} of {len(utts)} utterances", flush=True)
    left_out = [describe(data["wav.scp"][utt], utt, bad[utt]) for utt in sorted(bad)]
    _report("left out", left_out)
    if not paths:
        raise DataError(f"{data.path}: no recording can be used: {left_out[0]}")
    done = ("utt2speed", "utt2segment")
    tables = {n: table for n, table in data.subset(paths).tables.items() if n not in done}
    lengths = {utt: f"{length:.4f}" for utt, length in seconds.items()}
    tables |= {"wav.scp": paths, "utt2dur": lengths}
    DataDir(out, tables, data.info | {"audio_format": audio_format, "sampling_rate": rate}).write(out)
    write_table(out / "speech_shape", {utt: round(s * rate) for utt, s in seconds.items()})
    if bad:
        write_table(out / BAD_AUDIO, bad)


def _check_tables(data: DataDir, allow_pipes: bool) -> None:
    """Refuse tables with missing recordings, bad segments or speeds; print all such lines."""
    faults = []
    for utt, place in sorted(data["wav.scp"].items()):
        try:
            if not (allow_pipes and is_pipe(place)):
                locate(place)
            read_segment(data, utt)
            read_speed(data, utt)
        except Unusable as error:
            faults.append(describe(place, utt, error))
        except DataError as error:
            faults.append(str(error))
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        _report("error", faults)
        raise DataError(f"{faults[0]} (and {len(faults) - 1} more: see above)")


def _report(kind: str, lines: list[str]) -> None:
    for line in lines:
        print(f"{kind}: {one_line(line)}", file=sys.stderr, flush=True)


def _format_chunk(job: ChunkJob) -> Formatted:
    done, vectors = Formatted({}, {}, {}), {}
    final = job.out.with_name(job.out.name.removesuffix(".tmp")) / "audio"
    for source, group in groupby(job.utts, job.data["wav.scp"].__getitem__):
        utts = list(group)
        try:
            sound = read(source, job.allow_pipes)
        except Unusable as error:
            done.bad.update(dict.fromkeys(utts, error))
            continue
        for utt in utts:
            speed, segment = read_speed(job.data, utt), read_segment(job.data, utt)
            try:
                samples = convert(sound, job.rate, speed, segment)
            except Unusable as error:
                done.bad[utt] = error
                continue
            done.seconds[utt] = len(samples) / job.rate
            whole = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
            if job.audio_format == "ark":
                vectors[utt] = whole.astype(np.float32) / 32768
            elif speed == 1.0 and segment is None and _is_as_wanted(sound, job):
                done.paths[utt] = source
            else:
                name = file_name(utt, f".{job.audio_format}")
                write_audio(job.out / "audio" / name, whole, job.rate)
                done.paths[utt] = str(final / name)
    if vectors:
        done.paths.update(save_ark(job.out / "audio" / f"{job.number:05d}.ark", final, vectors))
    return done


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write FLAC or WAV of 16 bits, by the suffix; an OSError names the path.

    By way of memory: libsndfile says "System error" where a disk is full.
    """
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=path.suffix[1:].upper(), subtype="PCM_16")
    try:
        path.write_bytes(content.getbuffer())
    except OSError as error:
        error.filename = str(path)
        raise


def save_ark(ark: Path, final: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Write a Kaldi archive; return the place of each array once the archive is in ``final``."""
    scp = ark.with_suffix(".scp")
    kaldiio.save_ark(str(ark), dict(arrays), scp=str(scp))
    paths = {}
    for line in scp.read_text(encoding="utf-8").splitlines():
        utt, _, place = line.partition(" ")
        paths[utt] = f"{final / ark.name}:{place.rpartition(':')[2]}"
    return paths


def _is_as_wanted(sound: Sound, job: ChunkJob) -> bool:
    found = (sound.kind, sound.rate, sound.samples.shape[1])
    return found == ((job.audio_format.upper(), "PCM_16"), job.rate, 1)
