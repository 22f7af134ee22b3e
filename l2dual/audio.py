"""Bring audio to one sampling rate, one channel and one format."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import kaldiio
import numpy as np
import soundfile
import soxr

from l2dual.datadir import DataDir, write_table
from l2dual.errors import DataError

FORMATS = ("flac", "wav", "ark")
CHUNK = 200  # utterances in one task of a worker, and in one ark file


def read_audio(path: str | Path, utt: str, rate: int, speed: float = 1.0) -> np.ndarray:
    """Read one channel at ``rate`` Hz, played ``speed`` times as fast (pitch goes with it).

    Returns:
        Samples, (T,), float32 in [-1, 1].

    Raises:
        DataError: no such file, unreadable, empty, or sampled below ``rate``.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such audio file (utterance {utt}): mend wav.scp or --db")
    try:
        samples, found = soundfile.read(path, dtype="float32", always_2d=True)
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


def format_audio(data: DataDir, out: Path, audio_format: str, rate: int, nj: int) -> None:
    """Write the audio of ``data`` to ``out``/audio, and the data directory with utt2dur.

    Files that already are as wanted are used where they lie. An ark holds float vectors, equal to
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
    data.tables.pop("utt2speed", None)
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
        samples = read_audio(source, utt, rate, speed)
        durations[utt] = len(samples) / rate
        if audio_format == "ark":
            vectors[utt] = np.round(samples * 32767).astype(np.float32) / 32768
        elif speed == 1.0 and _is_as_wanted(source, audio_format, rate):
            paths[utt] = source
        else:
            name = f"{utt}.{audio_format}"
            soundfile.write(out / "audio" / name, samples, rate, subtype="PCM_16")
            paths[utt] = str(final / name)
    if vectors:
        ark, scp = (out / "audio" / f"{number:05d}.{kind}" for kind in ("ark", "scp"))
        kaldiio.save_ark(str(ark), vectors, scp=str(scp))
        for line in scp.read_text(encoding="utf-8").splitlines():
            utt, _, place = line.partition(" ")
            paths[utt] = f"{final / ark.name}:{place.rpartition(':')[2]}"
    return paths, durations


def _is_as_wanted(path: str, audio_format: str, rate: int) -> bool:
    info = soundfile.info(path)
    found = (info.format.lower(), info.samplerate, info.channels, info.subtype)
    return found == (audio_format, rate, 1, "PCM_16")
