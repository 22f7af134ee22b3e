"""exp/results.json: ``{"meta": Meta, "records": [Record, ...]}``, the one file that reports read.

A record is one number: a ``measure`` of one system, or of a system less its ``baseline`` where that
is named. Rates, differences and their intervals are fractions, not percent. docs/analysis.md
defines the measures.

A value is the mean over seeds. Its interval is one, over clusters (speakers, or voices) and seeds
together; ``p`` goes with ``cross_talk`` alone, in the finer unit, and ``p_holm`` is adjusted over the
outputs of the system. ``interval`` is null where ``reason`` says why the value is not comparable.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.systems import OUTPUTS, System

COMPARED = ("cross_talk", "slope")  # only of a system and its baseline


@dataclass(frozen=True)
class Run:
    """One training and the decoding of it that is scored."""

    name: str  # of its directory
    system: str
    seed: int
    outputs: list[str]  # that were scored
    label: str  # of the system, as its order and baselines (`l2dual.systems`)
    order: int
    baselines: dict[str, list[str]]
    trained_on: str  # data directory
    train_config: str
    decode_config: str | None
    decode_dir: str
    commit: str
    command: str
    parameters: int | None = None
    train_seconds: float | None = None
    epochs: int | None = None
    guided: bool = False  # whether the meaning guided the search of the surface: of dual outputs alone
    sharing: dict = field(default_factory=dict)  # how the outputs share the encoder (`l2dual.sharing`)
    blocks: int | None = None  # of the encoder
    not_learned: dict[str, str] = field(default_factory=dict)  # output: why

    @property
    def about(self) -> System:
        """What the run is of."""
        return System(self.system, tuple(self.outputs), self.label, self.order, self.baselines)


@dataclass(frozen=True)
class Meta:
    """What holds for all records of a file."""

    corpus: str
    language: str
    convention: str
    surface: str  # annotated, assumed or none
    split: str
    data: str  # data directory of the test set
    normalizer: str
    units: dict[str, list[str]]  # output: units it is scored in, the finer first
    n_utts: int
    n_speakers: int
    n_clusters: int
    clusters: str  # speakers or voices
    n_learner_tokens: dict[str, int]  # output: learner's tokens of the references, finer unit
    bins: dict[str, int]  # divergence bin: utterances; empty without a surface
    runs: list[Run]
    warnings: list[str]  # what a reader must know first: nothing learned, no learner's error
    commit: str
    command: str


@dataclass(frozen=True)
class Record:
    """One number, and how sure it is."""

    measure: str
    system: str
    output: str
    unit: str
    value: float | None
    baseline: str | None = None
    bin: str = "all"
    interval: tuple[float, float] | None = None
    reason: str | None = None  # why value or interval is null: not comparable
    p: float | None = None
    p_holm: float | None = None
    learned: bool = True  # False: the system or its baseline has not learned this output
    per_seed: dict[str, float] = field(default_factory=dict)
    n_utts: int = 0  # utterances, clusters that count
    n_clusters: int = 0
    counts: dict[str, list[int]] | None = None  # error_rate of a system: seed: [S, D, I, n_ref]


@dataclass(frozen=True)
class Results:
    """A results file."""

    meta: Meta
    records: list[Record]

    def find(self, **wanted: str | None) -> list[Record]:
        """The records whose fields are ``wanted``, as find(measure="f1", baseline=None)."""
        return [r for r in self.records if all(getattr(r, k) == v for k, v in wanted.items())]

    def get(self, measure: str, system: str, output: str, **wanted: str | None) -> Record | None:
        """One record: of the finer unit, without baseline, over all bins where not said."""
        unit = self.meta.units[output][0]
        wanted = {"unit": unit, "baseline": None, "bin": "all"} | wanted
        return next(iter(self.find(measure=measure, system=system, output=output, **wanted)), None)


def write_results(path: Path, results: Results) -> None:
    """Write a results file, a record a line, leaving out fields that have their default."""
    defaults = {f.name: f.default for f in dataclasses.fields(Record)} | {"per_seed": {}}
    rows = []
    for record in results.records:
        fields = dataclasses.asdict(record).items()
        rows.append({key: value for key, value in fields if value != defaults[key]})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    meta = json.dumps(dataclasses.asdict(results.meta), ensure_ascii=False, indent=1)
    with atomic_write(path) as stream:
        stream.write(f'{{"meta": {meta},\n"records": [\n{lines}\n]}}\n')


def read_results(path: Path) -> Results:
    """Read a results file.

    Raises:
        DataError: no such file, another form, no run or no record, or an unknown output.
    """
    if not path.is_file():
        raise DataError(f"{path}: not found: score first (stage 10)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = [Run(**run) for run in content["meta"]["runs"]]
        meta = Meta(**content["meta"] | {"runs": runs})
        records = [Record(**record) for record in content["records"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: not a results file ({error}): score again (stage 10)") from error
    if not runs or not records:
        raise DataError(f"{path}: holds no results: score again (stage 10)")
    for output in [*meta.units, *(record.output for record in records)]:
        if output not in OUTPUTS:
            raise DataError(f"{path}: unknown output {output!r}: use {' or '.join(OUTPUTS)}")
    return Results(meta, records)
