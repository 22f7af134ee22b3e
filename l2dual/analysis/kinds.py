"""What stage 11 writes: ``{"meta": AnalysisMeta, "records": [...]}``, a file for each kind of record.

Intervals are 95 % jackknife intervals over speakers or voices (`l2dual.analysis.cka`). A value or an
interval is null where ``reason`` says why. Layers and blocks count from 1.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from l2dual.errors import DataError
from l2dual.files import atomic_write

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class AnalysisMeta:
    """What holds for all records of a file."""

    what: str  # the key of KINDS
    corpus: str
    language: str
    convention: str
    data: str  # data directory
    split: str
    runs: dict[str, str]  # name of each run: the commit that trained it
    commit: str
    command: str


@dataclass(frozen=True)
class Similarity:
    """A layer of one network and the same layer of another: see `l2dual.analysis.similarity`."""

    system_x: str
    seed_x: int
    system_y: str
    seed_y: int
    layer: int
    n_frames: int
    n_utts: int
    n_clusters: int
    dim: int
    cka: float | None = None
    null: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    ceiling_without: dict[str, float | None] | None = None
    interval: Interval = None
    reason: str | None = None
    output_x: str | None = None  # of decoders: whose decoder
    output_y: str | None = None


@dataclass(frozen=True)
class Overlap:
    """The subspaces that two decoders of one system read: see `l2dual.analysis.subspaces`."""

    system: str
    seed: int
    layer: int
    projection: str  # key or value
    n_frames: int
    n_clusters: int
    dim: int
    rank: int | None = None
    value: float | None = None
    null: float | None = None
    floor: float | None = None
    interval: Interval = None
    reason: str | None = None


@dataclass(frozen=True)
class Probe:
    """What a linear probe reads from a block of an encoder: see `l2dual.analysis.probes`."""

    system: str
    seed: int
    layer: int
    target: str  # surface or meaning
    tokens: str  # all, same or differ
    n_train: int
    n_test: int
    n_clusters: int | None = None
    value: float | None = None
    other: float | None = None
    chance: float | None = None
    floor: float | None = None
    loss: float | None = None  # accuracy on the single-output system less that on this one
    interval: Interval = None
    loss_interval: Interval = None
    reason: str | None = None


@dataclass(frozen=True)
class Retrained:
    """A new decoder on a frozen encoder: see `l2dual.analysis.retrained`."""

    system: str  # whose encoder
    seed: int
    output: str
    unit: str
    n_fit_utts: int
    epochs: int
    n_utts: int
    n_clusters: int
    value: float | None = None
    floor: float | None = None
    difference: float | None = None
    interval: Interval = None
    difference_interval: Interval = None
    reason: str | None = None


@dataclass(frozen=True)
class Cosine:
    """The gradients of the two outputs' losses in one layer: see `l2dual.models.loss_gradients`."""

    system: str
    seed: int
    layer: str | None = None  # block1 and so on, or other: the rest of the encoder
    mean: float | None = None
    n: int = 0  # measurements, each of one batch
    reason: str | None = None


KINDS = {
    "cka": Similarity,
    "decoders": Similarity,
    "subspaces": Overlap,
    "probes": Probe,
    "retrained": Retrained,
    "gradients": Cosine,
}


@dataclass(frozen=True)
class Analysis:
    """One file of stage 11."""

    meta: AnalysisMeta
    records: list


def write_analysis(path: Path, analysis: Analysis) -> None:
    """Write a file of stage 11, a record a line."""
    lines = (json.dumps(dataclasses.asdict(one), allow_nan=False) for one in analysis.records)
    meta = json.dumps(dataclasses.asdict(analysis.meta), ensure_ascii=False, indent=1)
    with atomic_write(path) as stream:
        stream.write(f'{{"meta": {meta},\n"records": [\n' + ",\n".join(lines) + "\n]}\n")


def read_analysis(path: Path) -> Analysis:
    """Read a file of stage 11; DataError if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        meta = AnalysisMeta(**content["meta"])
        return Analysis(meta, [KINDS[meta.what](**record) for record in content["records"]])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: not a file of stage 11 ({error}): run stage 11 again") from error
