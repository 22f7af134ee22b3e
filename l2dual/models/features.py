"""Cached states of a frozen pretrained front-end: one pass over the data for all runs."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from l2dual.data.audio import save_ark
from l2dual.data.datadir import DataDir, write_table
from l2dual.data.frames import RATE, at_rate
from l2dual.data.speech import reader
from l2dual.errors import DataError
from l2dual.models.pretrained import PretrainedFrontend

CHUNK = 50  # utterances in one task of a worker, and in one ark file

_frontend: PretrainedFrontend | None = None  # of a worker


def cache_features(data: DataDir, frontend_conf: dict, out: Path, nj: int, device: str) -> None:
    """Write the data directory ``out``, where wav.scp names states (F, N * D) instead of audio.

    They are what ``PretrainedFrontend.frozen_states`` gives, in Kaldi arks of 32-bit floats. Paths
    name the final place of ``out``, without the suffix `.tmp`.

    Raises:
        UsageError: the data are not sampled at the front-end's rate.
    """
    at_rate({"frontend": "pretrained"}, data.info.get("sampling_rate", RATE))
    utts = sorted(data["wav.scp"])
    chunks = [utts[start : start + CHUNK] for start in range(0, len(utts), CHUNK)]
    (out / "features").mkdir(parents=True)
    paths: dict[str, str] = {}
    if len(chunks) == 1:  # another process would import torch anew
        _load(frontend_conf, device, torch.get_num_threads())
        paths = _cache(data, utts, 0, out, device)
    else:
        threads = max(1, torch.get_num_threads() // nj)
        with ProcessPoolExecutor(nj, get_context("spawn"), _load, (frontend_conf, device, threads)) as pool:
            jobs = [pool.submit(_cache, data, c, n, out, device) for n, c in enumerate(chunks)]
            for job in as_completed(jobs):
                paths |= job.result()
                print(f"progress: features of {len(paths)} of {len(utts)} utterances", flush=True)
    tables = {**data.tables, "wav.scp": paths}
    info = data.info | {"audio_format": "features", "features_of": str(data.path.parent)}
    DataDir(out, tables, info).write(out)
    write_table(out / "utts", dict.fromkeys(utts, ""))


def _load(frontend_conf: dict, device: str, n_threads: int) -> None:
    global _frontend
    torch.set_num_threads(n_threads)
    _frontend = PretrainedFrontend(**frontend_conf).to(device)


def _cache(data: DataDir, utts: list[str], number: int, out: Path, device: str) -> dict[str, str]:
    read, states = reader(data), {}
    for utt in utts:
        speech = torch.from_numpy(read(utt)).to(device)
        found, _ = _frontend.frozen_states(speech[None], torch.tensor([len(speech)]))
        states[utt] = found[0].cpu().numpy()
        if not np.isfinite(states[utt]).all():
            raise DataError(f"utterance {utt}: the front-end gives values that are not finite")
    final = out.with_name(out.name.removesuffix(".tmp")) / "features"
    return save_ark(out / "features" / f"{number:05d}.ark", final, states)
