"""What the scored runs of one comparison say: the records of exp/results.json (`l2dual.scoring.results`).

Each measure of a system is a ratio of counts, for each seed. A comparison is the difference to the
baseline, of the seeds that both have; cross-talk is a difference of such differences. So each number
has a value per seed, and an influence per utterance (`l2dual.scoring.stats`), which add and subtract.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from l2dual.data.datadir import DataDir, has_surface, outputs_of, surface_of
from l2dual.data.divergence import BINS, divergences
from l2dual.errors import DataError
from l2dual.scoring import stats
from l2dual.scoring.measures import AT_TOKENS, DETECTION, ERROR_RATE, NOTHING, Weights
from l2dual.scoring.results import COMPARED, Meta, Record, Results, Run
from l2dual.scoring.score import COUNTS, ERRORS, NOT_LEARNED, Scored, units_of
from l2dual.systems import OUTPUTS
from l2dual.text.units import NORMALIZER

UNGUIDED = "../../conf/decode.yaml"  # a search that is the same for all systems
OTHER_ALPHABET = "meaning is in {}s, the canonical text in {}s: no place in it is known to be a learner's"


@dataclass(frozen=True)
class Quantity:
    """A number per seed, and what each utterance adds to its mean."""

    per_seed: dict[int, float]  # empty where there is no denominator
    influences: dict[int, np.ndarray]  # of each seed, (U,)
    counted: np.ndarray  # (U,) the utterances with a denominator

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference, of the seeds that both have; counted where the scarcer of both is."""
        seeds = [seed for seed in self.per_seed if seed in other.per_seed]
        return Quantity(
            {seed: self.per_seed[seed] - other.per_seed[seed] for seed in seeds},
            {seed: self.influences[seed] - other.influences[seed] for seed in seeds},
            min(self.counted, other.counted, key=np.count_nonzero),
        )


@dataclass(frozen=True)
class Comparison:
    """The counts of U test utterances under all runs of one comparison."""

    data: DataDir  # the references
    runs: dict[tuple[str, int], Scored]  # by system and seed
    utts: list[str]  # in the order of all arrays
    clusters: np.ndarray  # (U,) index of each utterance's speaker or voice
    edits: np.ndarray | None  # (U,) divergence; None without a surface
    bins: np.ndarray | None  # (U,) its bins; None likewise

    def counts(self, system: str, output: str, unit: str) -> dict[int, np.ndarray]:
        """The counts of each seed, (U, len(COUNTS))."""
        key = output, unit
        return {
            seed: scored.counts[key]
            for (name, seed), scored in sorted(self.runs.items())
            if name == system and key in scored.counts
        }

    def systems(self, output: str) -> list[str]:
        """The systems that have an output, sorted."""
        return sorted({s for (s, _), scored in self.runs.items() if output in scored.run.outputs})

    def baseline(self, system: str, output: str) -> str | None:
        """The baseline of an output of a system; None if it has none that was scored."""
        found = {name: scored.run.about for (name, _), scored in self.runs.items()}
        return found[system].baseline(output, found.values())


def gather(data: DataDir, scored: list[Scored]) -> Comparison:
    """Put the scores of all runs beside their references.

    Runs that have no output which the references have are left out.

    Raises:
        DataError: no run; runs that may not be compared: other training data, configuration,
            search or budget, other models of one name, other utterances, the same system and seed twice.
    """
    if not scored:
        raise DataError("no run to compare: name the scores of one at least")
    names = ", ".join(sorted({one.run.system for one in scored}))
    scored = [one for one in scored if one.run.outputs]
    if not scored:
        texts = " and ".join(outputs_of(data.info))
        raise DataError(f"{data.path}: has {texts} only, which {names} does not write: nothing to score")
    utts, first, runs = sorted(data["utt2spk"]), scored[0].run, {}
    models: dict[str, Run] = {}  # the first run of each system
    for one in scored:
        run = one.run
        for key, value in _settings(first).items():
            if _settings(run)[key] != value:
                raise DataError(
                    f"{run.decode_dir}: {key} is {_settings(run)[key]}, of {first.decode_dir} it is "
                    f"{value}: compare runs on the same data and settings only"
                )
        sister = models.setdefault(run.system, run)
        if (run.sharing, run.blocks) != (sister.sharing, sister.blocks):
            raise DataError(
                f"{run.decode_dir}: {run.system} is another model than in {sister.decode_dir}: "
                "its file in conf/systems was changed: train all seeds anew, or give it another name"
            )
        if (run.system, run.seed) in runs:
            raise DataError(f"{run.decode_dir}: {run.system} with seed {run.seed} is a duplicate: keep one")
        if one.utts != utts:
            raise DataError(
                f"{run.decode_dir}: its utterances are not those of {data.path}: "
                "decode and score all runs on the same data (stages 9 and 10)"
            )
        runs[run.system, run.seed] = one
    found = divergences(data)
    _, clusters = np.unique([data.clusters[utt] for utt in utts], return_inverse=True)
    edits = np.array([found[utt].learner for utt in utts], dtype=float) if found else None
    bins = np.array([found[utt].bin for utt in utts]) if found else None
    study = Comparison(data, runs, utts, clusters, edits, bins)
    _check_references(study)
    return study


def _settings(run: Run) -> dict[str, str | None]:
    """What all runs of a comparison have alike; the decoding says which budget and test set."""
    names = ("trained_on", "train_config", "decode_config")
    return {n: getattr(run, n) for n in names} | {"decoding": Path(run.decode_dir).parent.name}


def _check_references(study: Comparison) -> None:
    """DataError where two runs were scored against other references."""
    found: dict[tuple, tuple] = {}
    columns = [COUNTS.index(name) for name in ("n_ref", "learner", "replaced")]
    for scored in study.runs.values():
        for key, counts in scored.counts.items():
            tokens, first = found.setdefault(key, (counts[:, columns], scored.run))
            if not np.array_equal(tokens, counts[:, columns]):
                raise DataError(
                    f"{scored.run.decode_dir}: its {key[0]} references are not those of "
                    f"{first.decode_dir}: score both on the same data (stage 10)"
                )


def outcomes(study: Comparison, made_by: Mapping[str, str], seen: int | None = None) -> Results:
    """Make all records of a comparison.

    Args:
        study: the scored runs.
        made_by: commit and command.
        seen: test sentences that the training data have too, where they are other data.
    """
    cells = list(_cells(study))
    return Results(_meta(study, made_by, seen), _adjusted(_records(study, cells)))


def _cells(study: Comparison) -> Iterator[tuple[Record, Quantity]]:
    """Records without their numbers, and the quantities that these are made of."""
    for output in OUTPUTS:
        scored = study.systems(output)
        for unit in units_of(study.data.info, output) if scored else ():
            measured = {system: dict(_measures(study, system, output, unit)) for system in scored}
            for system, quantities in measured.items():
                for (measure, bin), quantity in quantities.items():
                    if measure not in COMPARED:
                        yield Record(measure, system, output, unit, None, bin=bin), quantity
                baseline = study.baseline(system, output)
                for (measure, bin), theirs in measured[baseline].items() if baseline else ():
                    record = Record(measure, system, output, unit, None, baseline, bin)
                    yield record, quantities[measure, bin] - theirs


def _measures(
    study: Comparison, system: str, output: str, unit: str
) -> Iterator[tuple[tuple[str, str], Quantity]]:
    """Each (measure, bin) of a system; ``cross_talk`` is its own two rates' difference."""
    counts = study.counts(system, output, unit)
    everyone = np.full(len(study.utts), True)
    yield ("error_rate", "all"), _ratio(counts, *ERROR_RATE, everyone)
    if study.edits is None or study.bins is None:
        return
    for name in BINS:
        yield ("error_rate", name), _ratio(counts, *ERROR_RATE, study.bins == name)
    if unit != units_of(study.data.info, output)[0]:
        return
    yield ("slope", "all"), _slope(study.edits, counts)
    at_tokens = {name: _ratio(counts, *parts, everyone) for name, parts in AT_TOKENS.items()}
    yield from (((name, "all"), quantity) for name, quantity in at_tokens.items())
    yield ("cross_talk", "all"), at_tokens["learner_error_rate"] - at_tokens["other_error_rate"]
    for name, parts in DETECTION.items() if output == "surface" else ():
        yield (name, "all"), _ratio(counts, *parts, everyone)


def _sum(counts: np.ndarray, weights: Weights) -> np.ndarray:
    columns = [times * counts[:, COUNTS.index(name)] for name, times in weights.items()]
    return np.sum(columns, axis=0)


def _ratio(
    counts: dict[int, np.ndarray], above: Weights, below: Weights, mask: np.ndarray
) -> Quantity:
    terms = {s: (_sum(c, above) * mask, _sum(c, below) * mask) for s, c in counts.items()}
    return _quantity(terms, len(mask))


def _slope(edits: np.ndarray, counts: dict[int, np.ndarray]) -> Quantity:
    terms = {
        seed: stats.slope_terms(edits, _sum(c, ERROR_RATE[0]), _sum(c, ERROR_RATE[1]))
        for seed, c in counts.items()
    }
    return _quantity(terms, len(edits))


def _quantity(terms: dict[int, tuple[np.ndarray, np.ndarray]], size: int) -> Quantity:
    terms = {seed: pair for seed, pair in terms.items() if pair[1].sum() > 0}
    counted = [below != 0 for _, below in terms.values()]
    return Quantity(
        {seed: float(above.sum() / below.sum()) for seed, (above, below) in terms.items()},
        {seed: stats.influence(*pair) for seed, pair in terms.items()},
        np.any(counted, axis=0) if counted else np.full(size, False),
    )


def _records(study: Comparison, cells: list[tuple[Record, Quantity]]) -> list[Record]:
    """Fill in values, and intervals where they are comparable."""
    records = [_described(study, *cell) for cell in cells]
    known = [index for index, record in enumerate(records) if record.reason is None]
    if known:
        member = np.eye(study.clusters.max() + 1)[:, study.clusters]  # (C, U)
        means = [np.mean(list(cells[index][1].influences.values()), axis=0) for index in known]
        values = [list(cells[index][1].per_seed.values()) for index in known]
        found = stats.estimates(member @ np.column_stack(means), values)
        for index, estimate in zip(known, found, strict=True):
            records[index] = replace(
                records[index],
                interval=_possible(records[index], estimate.interval),
                reason=estimate.reason,
                p=estimate.p if records[index].measure == "cross_talk" else None,
            )
    return records


def _possible(record: Record, interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """The part of an interval that a rate may have: from 0, and to 1 but for insertions."""
    if interval is None or record.baseline:
        return interval
    highest = np.inf if record.measure == "error_rate" else 1
    return max(interval[0], 0.0), min(interval[1], highest)


def _described(study: Comparison, record: Record, quantity: Quantity) -> Record:
    """The record with its value, its size, and why it has no interval, if that is known by now."""
    values = quantity.per_seed
    n_utts = int(np.count_nonzero(quantity.counted))
    n_clusters = len(np.unique(study.clusters[quantity.counted]))
    reason = stats.too_few(n_utts, n_clusters, len(values)) if values else _nothing(study, record)
    unlearned = _unlearned(study, record)
    if record.baseline:
        reason = unlearned or reason or _guided(study, record)
    return replace(
        record,
        value=float(np.mean(list(values.values()))) if values else None,
        per_seed={str(seed): value for seed, value in values.items()},
        n_utts=n_utts,
        n_clusters=n_clusters,
        reason=reason,
        learned=not unlearned,
        counts=_error_counts(study, record),
    )


def _nothing(study: Comparison, record: Record) -> str:
    """Say why a measure has no value."""
    info = study.data.info
    if record.output == "meaning" and record.measure in (*AT_TOKENS, "cross_talk"):
        if info["surface_unit"] != info["meaning_unit"]:
            return OTHER_ALPHABET.format(info["meaning_unit"], info["surface_unit"])
    return NOTHING.get(record.measure, "no such token here")


def _unlearned(study: Comparison, record: Record) -> str | None:
    """Say which of the systems compared has not learned the output, if one has not."""
    for system in (record.system, record.baseline):
        for (name, seed), scored in study.runs.items():
            if name == system and record.output in scored.run.not_learned:
                why = scored.run.not_learned[record.output]
                return f"{system} (seed {seed}) has not learned the {record.output}: {why}"
    return None


def _guided(study: Comparison, record: Record) -> str | None:
    """Say that a dual output was not searched as its baseline was, if so."""
    if not any(scored.run.guided for (name, _), scored in study.runs.items() if name == record.system):
        return None
    return f"{record.system} was searched with the guide, {record.baseline} without: give --decode_config {UNGUIDED}"


def _error_counts(study: Comparison, record: Record) -> dict[str, list[int]] | None:
    if record.measure != "error_rate" or record.baseline:
        return None
    mask = np.full(len(study.utts), True) if record.bin == "all" else study.bins == record.bin
    columns = [COUNTS.index(name) for name in (*ERRORS, "n_ref")]
    by_seed = study.counts(record.system, record.output, record.unit)
    return {
        str(seed): counts[mask][:, columns].sum(0).astype(int).tolist()
        for seed, counts in by_seed.items()
    }


def _adjusted(records: list[Record]) -> list[Record]:
    """Add p_holm over the outputs of a system, so that it does not depend on what ran beside it."""
    adjusted: dict[int, float] = {}
    for system in {record.system for record in records}:
        tested = {i: r.p for i, r in enumerate(records) if r.system == system and r.p is not None}
        adjusted |= zip(tested, stats.holm(list(tested.values())), strict=True)
    return [replace(record, p_holm=adjusted.get(i)) for i, record in enumerate(records)]


def _meta(study: Comparison, made_by: Mapping[str, str], seen: int | None) -> Meta:
    info, data = study.data.info, study.data
    outputs = [output for output in OUTPUTS if study.systems(output)]
    learner = {}
    for output in outputs if has_surface(info) else ():
        system = study.systems(output)[0]
        counts = study.counts(system, output, units_of(info, output)[0])
        learner[output] = int(next(iter(counts.values()))[:, COUNTS.index("learner")].sum())
    return Meta(
        **{key: info[key] for key in ("corpus", "language", "convention")},
        surface=surface_of(info),
        split=data.path.name,
        data=str(data.path.parent),
        normalizer=NORMALIZER,
        units={output: list(units_of(info, output)) for output in outputs},
        n_utts=len(study.utts),
        n_speakers=len({data["utt2spk"][utt] for utt in study.utts}),
        n_clusters=len(np.unique(study.clusters)),
        clusters="voices" if "utt2voice" in data.tables else "speakers",
        n_learner_tokens=learner,
        bins={n: int((study.bins == n).sum()) for n in BINS} if study.bins is not None else {},
        runs=[scored.run for _, scored in sorted(study.runs.items())],
        warnings=_warnings(study, seen),
        **made_by,
    )


def _warnings(study: Comparison, seen: int | None) -> list[str]:
    """What a reader must know before any number."""
    found = []
    runs = [scored.run for scored in study.runs.values()]
    if all(len(run.not_learned) == len(run.outputs) for run in runs):
        found.append(
            f"No system has learned yet: {NOT_LEARNED:.0%} errors or more, or all hypotheses alike; try "
            "more training data, more epochs, or a pretrained encoder (docs/encoders.md)"
        )
    if study.edits is not None and not study.edits.any():
        found.append(
            f"{study.data.path}: no learner's error in the test set: surface and canonical text are "
            "the same, so cross-talk, intrusions and detection are not defined"
        )
    outputs = outputs_of(study.data.info)
    if len(outputs) == 1 and runs[0].trained_on != str(study.data.path.parent):
        found.append(f"{study.data.path}: has {outputs[0]} only: no other output is scored")
    if seen:
        found.append(f"{seen} of {len(study.utts)} test sentences are in the training data too")
    return found
