"""What the scored runs of one comparison say: numbers with intervals, for exp/statistics.json.

Every record has a ``value`` with its 95 % ``interval``, or null with the ``reason``, and beside it
the intervals over seeds and over both. ``kind`` says what it is, in which unit the value is:

============================  =====================================================================
``comparison``                no number: the first record, with the facts, runs and methods of all
``rate``                      errors / reference tokens of a system
``difference``                rate of a dual-output system less that of a single-output one, the
                              ``baseline``; or of a single-output control less that of so_OUTPUT
``slope``                     of that difference on divergence: ``rate_per_edit``, and
                              ``log_rate_ratio``, of log(rate / rate) on edits per surface token,
                              with length and speaker in the model
``slope_of_l1``               the same among the speakers of one first language
``mispronunciation``          a measure of `l2dual.mispronunciation` of a system, or of a pair: ``so``,
                              so_surface and so_meaning, or ``so_ctc``, their controls
``mispronunciation_           that of another system less that of so_surface, a control, or a pair
difference``
============================  =====================================================================

Rates are fractions, not percent. ``p_joint`` goes with the interval over clusters and seeds at once.
``p_holm`` and ``p_joint_holm`` are over the ``n_cells`` cells of one table: both outputs
of one kind, system, baseline and prompt, in words or in the finer unit; over all utterances, by bin,
or by first language; of one ``measure`` where it is a slope. (The paper's Table 2 and Figure 2 are
two tables so.) A table for each system, since each matched arm asks a question of its own, and what is
said of ``do`` must not hang on which arms ran beside it; over several systems the error rate is
therefore not held. Bins are those of divergence, and ``1+`` where a bin above 0 has too few
utterances or clusters, which intervals draw (`l2dual.datadir.DataDir.clusters`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from l2dual import stats
from l2dual.datadir import DataDir
from l2dual.divergence import BINS, POOLED
from l2dual.errors import DataError
from l2dual.mispronunciation import COUNTS, MEASURES, judge, mark, measure, names_errors, trivial
from l2dual.outputs import PAIRS, SINGLE, baselines
from l2dual.score import read_pair, read_records, read_utterances
from l2dual.text import UNITS, normalize

FACTS = (
    "corpus language convention surface split data trained_on config decode_config normalizer".split()
)  # equal in all runs of a comparison
OF_DATA = ("data", "trained_on")  # which differ in those that are pooled
FEW_FACTS = "corpus language convention normalizer".split()  # which every record repeats
METHOD = "bootstrap-t, seeds fixed"  # of interval; the first record says more
RIGHT = "false_rejection_rate"
PAIR_OF = {systems["surface"]: pair for pair, systems in PAIRS.items()}
UNADJUSTED = dict.fromkeys(("p_holm", "p_joint_holm", "n_cells"))  # until _adjust
Errors = dict[int, np.ndarray]  # per seed, (U,)


@dataclass(frozen=True)
class Study:
    """The counts of U test utterances under all runs of one comparison."""

    facts: dict
    utts: list[str]
    speakers: np.ndarray  # (U,)
    clusters: np.ndarray  # (U,)
    l1s: np.ndarray  # (U,)
    bins: np.ndarray  # (U,), empty strings where there is no surface
    edits: np.ndarray  # (U,) divergence; NaN where there is no surface
    surface_length: np.ndarray  # (U,) in the unit of edits
    n_ref: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # (output, unit): (U,)
    errors: dict[tuple[str, str, str], Errors] = field(default_factory=dict)  # (system, *n_ref's)
    decode_dirs: dict[tuple[str, int], Path] = field(default_factory=dict)  # (system, seed)


@dataclass
class Cell:
    """A ratio of sums over utterances, and the record that it fills.

    ``per_seed`` has the value of each seed; ``none`` is the reason where all denominators are 0.
    """

    record: dict
    numerator: np.ndarray  # (U,)
    denominator: np.ndarray  # (U,)
    per_seed: dict[int, float]
    none: str
    limits: tuple[float, float] = (-np.inf, np.inf)


def load(scores: list[Path]) -> Study:
    """Read the directories that `l2dual.score.score` wrote, one for each run.

    Raises:
        DataError: runs that may not be compared: other facts, other utterances, the same system
            and seed twice.
    """
    study = None
    for path in scores:
        first = read_records(path / "score.json")[0]
        rows = read_utterances(path / "utterances.tsv")
        if study is None:
            study = _begin({key: first[key] for key in FACTS}, rows)
        for key in FACTS:
            if first[key] != study.facts[key]:
                raise DataError(
                    f"{path}: {key} is {first[key]}, in {scores[0]} it is {study.facts[key]}: "
                    "compare runs on the same data and settings only"
                )
        run = first["system"], first["seed"]
        if run in study.decode_dirs:
            raise DataError(f"{path}: {run[0]} with seed {run[1]} is there twice; keep one")
        decoding = Path(first["decode_dir"])
        budget = next(iter(study.decode_dirs.values()), decoding).parent.name
        if decoding.parent.name != budget:
            raise DataError(
                f"{path}: is of {decoding.parent.name}, but {scores[0]} of {budget}: "
                "compare runs at one training budget, on one test set"
            )
        study.decode_dirs[run] = decoding
        _add(study, *run, rows, path)
    return study


def _begin(facts: dict, rows: list[dict]) -> Study:
    first = [row for row in rows if all(row[k] == rows[0][k] for k in ("output", "unit"))]

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in first])

    def numbers(name: str) -> np.ndarray:
        return np.array([float(row[name] or "nan") for row in first])

    return Study(
        facts,
        column("utt").tolist(),
        *map(column, ("speaker", "cluster", "l1", "bin")),
        *map(numbers, ("divergence", "surface_length")),
    )


def _add(study: Study, system: str, seed: int, rows: list[dict], path: Path) -> None:
    tables: dict[tuple, list[dict]] = {}
    for row in rows:
        tables.setdefault((row["output"], row["unit"]), []).append(row)
    for key, table in tables.items():
        n_ref = np.array([float(row["n_ref"]) for row in table])
        same = [row["utt"] for row in table] == study.utts
        if not same or not np.array_equal(n_ref, study.n_ref.setdefault(key, n_ref)):
            raise DataError(
                f"{path}/utterances.tsv: its {key[0]} references are not those of the other runs: "
                "decode and score all on the same data (stages 9 and 10)"
            )
        kinds = ("substitutions", "deletions", "insertions")
        errors = np.array([sum(float(row[kind]) for kind in kinds) for row in table])
        study.errors.setdefault((system, *key), {})[seed] = errors


def pool(studies: list[Study]) -> Study:
    """Take the test sets of several comparisons as one, as where each left another L1 out.

    A system's errors are then of several trainings, one for each test set.

    Raises:
        DataError: an utterance that is in two test sets, other settings, systems or seeds.
    """
    first, *others = studies
    utts = [utt for study in studies for utt in study.utts]
    if len(set(utts)) < len(utts):
        raise DataError(f"{first.facts['data']} and the others have utterances in common")
    for other in others:
        for key in FACTS:
            if key not in OF_DATA and other.facts[key] != first.facts[key]:
                raise DataError(
                    f"{other.facts['data']}: {key} is {other.facts[key]}, in {first.facts['data']} "
                    f"it is {first.facts[key]}: pool runs of the same settings only"
                )
        if other.decode_dirs.keys() != first.decode_dirs.keys():
            raise DataError(
                f"{other.facts['data']} has other systems or seeds than {first.facts['data']}: "
                "train and score the same ones on each"
            )

    columns = ("speakers", "clusters", "l1s", "bins", "edits", "surface_length")
    return Study(
        first.facts | {key: " + ".join(study.facts[key] for study in studies) for key in OF_DATA},
        utts,
        *(np.concatenate([getattr(study, name) for study in studies]) for name in columns),
        {key: np.concatenate([study.n_ref[key] for study in studies]) for key in first.n_ref},
        {
            key: {
                seed: np.concatenate([study.errors[key][seed] for study in studies])
                for seed in of_seed
            }
            for key, of_seed in first.errors.items()
        },
        first.decode_dirs,
    )


def infer(study: Study, data: DataDir | None) -> list[dict]:
    """Make all records of a comparison; ``data`` has the references.

    Without ``data``, as for pooled studies, mispronunciations are left out.
    """
    cells = [*_rates(study), *_differences(study), *_slopes(study)]
    if data is not None and study.facts["surface"] != "none":
        cells += _mispronunciations(study, data)
    if not cells:
        return []
    found = stats.bootstrap(
        np.column_stack([cell.numerator for cell in cells]),
        np.column_stack([cell.denominator for cell in cells]),
        study.clusters,
    )
    records = [_record(study, *pair) for pair in zip(cells, found, strict=True)]
    _adjust([record for record in records if "p" in record])
    return [_head(study), *records]


def _head(study: Study) -> dict:
    """What holds for all records: the comparison's facts, its runs and the methods."""
    runs: dict[str, list[int]] = {}
    for system, seed in sorted(study.decode_dirs):
        runs.setdefault(system, []).append(seed)
    counts = {"n_utts": len(study.utts), "n_speakers": len(set(study.speakers))}
    counts |= {"n_clusters": len(set(study.clusters))}
    return {"kind": "comparison"} | study.facts | counts | {"runs": runs} | stats.METHODS


def groups(study: Study) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (bin, L1, mask (U,)): all, each bin of divergence, each first language."""
    yield "all", "all", np.full(len(study.utts), True)
    if len(set(study.bins)) > 1:
        masks = {name: study.bins == name for name in BINS}
        if any(stats.too_few(study.clusters[masks[name]]) for name in BINS[1:]):
            masks[POOLED] = study.edits > 0
        for name, mask in masks.items():
            yield name, "all", mask
    for l1, mask in _l1s(study)[1:]:
        yield "all", l1, mask


def _l1s(study: Study) -> list[tuple[str, np.ndarray]]:
    """(L1, mask (U,)): all, then each first language if there are several."""
    l1s = sorted(set(study.l1s.tolist()))
    each = [(l1, study.l1s == l1) for l1 in l1s] if len(l1s) > 1 else []
    return [("all", np.full(len(study.utts), True)), *each]


def _rates(study: Study) -> Iterator[Cell]:
    for (system, output, unit), errors in study.errors.items():
        labels = {"kind": "rate", "system": system, "output": output, "unit": unit}
        for cell in _rate_cells(study, labels, errors):
            cell.limits = (0, np.inf)
            yield cell


def _differences(study: Study) -> Iterator[Cell]:
    for labels, dual, single in _pairs(study):
        errors = {seed: dual[seed] - single[seed] for seed in dual}
        for cell in _rate_cells(study, {"kind": "difference"} | labels, errors):
            counted = cell.denominator > 0
            cell.record["p_mapsswe"] = _short(stats.mapsswe(cell.numerator[counted]))
            yield cell


def _rate_cells(study: Study, labels: dict, errors: Errors) -> Iterator[Cell]:
    n_ref = study.n_ref[labels["output"], labels["unit"]]
    for name, l1, mask in groups(study):
        total = (n_ref * mask).sum()
        per_seed = {seed: e[mask].sum() / total for seed, e in errors.items()} if total else {}
        yield Cell(
            labels | {"bin": name, "l1": l1, "seeds": sorted(errors)},
            _mean(errors, len(n_ref)) * mask * (n_ref > 0),
            n_ref * mask,
            per_seed,
            "no reference token here",
        )


def _mean(errors: Errors, size: int) -> np.ndarray:
    """Mean over seeds, (U,); zeros without a seed."""
    return np.mean(list(errors.values()), axis=0) if errors else np.zeros(size)


def _pairs(study: Study) -> Iterator[tuple[dict, Errors, Errors]]:
    """Yield each system's errors and those of each of its baselines, of seeds in common."""
    for (system, output, unit), dual in study.errors.items():
        scored = [name for name, *other in study.errors if other == [output, unit]]
        for baseline in baselines(system, output, scored):
            single = study.errors.get((baseline, output, unit), {})
            if seeds := sorted(dual.keys() & single.keys()):
                labels = {"system": system, "baseline": baseline, "output": output, "unit": unit}
                yield labels, {s: dual[s] for s in seeds}, {s: single[s] for s in seeds}


def _slopes(study: Study) -> Iterator[Cell]:
    if len(set(study.bins)) < 2:
        return
    for labels, dual, single in _pairs(study):
        n_ref = study.n_ref[labels["output"], labels["unit"]]
        size = len(n_ref)
        measures = ("rate_per_edit", _per_edit), ("log_rate_ratio", _log_ratio)
        for (name, terms), (l1, mask) in product(measures, _l1s(study)):
            mine, theirs = ({s: e * mask for s, e in errors.items()} for errors in (dual, single))
            each = {s: terms(study, mine[s], theirs[s], n_ref * mask) for s in mine}
            yield Cell(
                {"kind": "slope" if l1 == "all" else "slope_of_l1", "measure": name}
                | labels
                | {"bin": "all", "l1": l1, "seeds": sorted(dual)},
                *terms(study, _mean(mine, size), _mean(theirs, size), n_ref * mask),
                {s: y.sum() / n.sum() for s, (y, n) in each.items() if n.any()},
                "divergence does not vary, or too few errors to fit",
            )


def _per_edit(study: Study, dual: np.ndarray, single: np.ndarray, n_ref: np.ndarray) -> tuple:
    return stats.slope_terms(study.edits, dual - single, n_ref)


def _log_ratio(study: Study, dual: np.ndarray, single: np.ndarray, n_ref: np.ndarray) -> tuple:
    some = (n_ref > 0) & (study.surface_length > 0)
    terms = np.zeros((2, len(some)))
    terms[:, some] = stats.log_ratio_terms(
        study.edits[some] / study.surface_length[some],
        dual[some],
        single[some],
        n_ref[some],
        study.speakers[some],
    )
    return tuple(terms)


def _mispronunciations(study: Study, data: DataDir) -> Iterator[Cell]:
    masks = {"all": np.full(len(study.utts), True), "0": study.edits == 0, POOLED: study.edits > 0}
    # Where nothing is wrong, there is only the false rejection rate
    cells = [cell for cell in product(MEASURES, masks) if cell[1] != "0" or cell[0] == RIGHT]
    for prompt, unit in product(("given", "own"), UNITS[data.info["surface_unit"]]):
        if prompt == "own" and data.info["meaning_unit"] != data.info["surface_unit"]:
            continue
        found = _decisions(study, data, prompt, unit)
        for (system, counts), (name, bin) in product(found.items(), cells):
            labels = {"measure": name, "prompt": prompt, "output": "surface", "unit": unit}
            labels |= {"system": system, "bin": bin, "l1": "all"}
            mine = {s: _select(c, masks[bin]) for s, c in counts.items()}
            yield _measure_cell(labels, mine)
            others = baselines(system, "surface", found) if prompt == "given" else _pairs_beside(system)
            for baseline in others:
                single = found.get(baseline, {})
                if seeds := sorted(counts.keys() & single.keys()):
                    other = {s: _select(single[s], masks[bin]) for s in seeds}
                    ours = {s: mine[s] for s in seeds}
                    yield _measure_difference(labels | {"baseline": baseline}, ours, other)


def _pairs_beside(system: str) -> list[str]:
    """The pairs that a system, which writes both outputs, is set beside; a pair, the first."""
    first, *controls = PAIRS
    return [] if system == first else [first] if system in controls else [first, *controls]


def _decisions(study: Study, data: DataDir, prompt: str, unit: str) -> dict[str, dict]:
    """Count each system's decisions: {system: {seed: {count: (U,)}}}."""
    canonical, surface = (
        {utt: normalize(data[f"text.{name}"][utt]) for utt in study.utts}
        for name in ("canonical", "surface")
    )
    truth = {utt: mark(canonical[utt], surface[utt], unit) for utt in study.utts}
    named = any(names_errors(canonical[utt], truth[utt], unit) for utt in study.utts)
    found: dict[str, dict] = {}
    for system, seed in study.decode_dirs:
        sources = _sources(study, system, seed)
        if "surface" not in sources or (prompt == "own" and "meaning" not in sources):
            continue
        heard = read_pair(data, sources["surface"], "surface")[1]
        own = read_pair(data, sources["meaning"], "meaning")[1] if prompt == "own" else {}
        rows = [
            judge(canonical[utt], truth[utt], heard[utt], own.get(utt), unit) for utt in study.utts
        ]
        name = PAIR_OF.get(system, system) if prompt == "own" else system
        counts = {key: np.array([row[key] for row in rows], dtype=float) for key in COUNTS}
        if not named:
            counts |= dict.fromkeys(("CD", "DE"), np.zeros(len(rows)))
        found.setdefault(name, {})[seed] = counts
    return found


def _sources(study: Study, system: str, seed: int) -> dict[str, Path]:
    """Where the outputs of a system are; that of a surface is given the meaning of its pair's other."""
    scored = {name for who, name, _ in study.errors if who == system}
    sources = {output: study.decode_dirs[system, seed] for output in scored}
    if system in PAIR_OF:
        other = PAIRS[PAIR_OF[system]]["meaning"], seed
        if other in study.decode_dirs:
            sources["meaning"] = study.decode_dirs[other]
    return sources


def _select(counts: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    return {key: column * mask for key, column in counts.items()}


def _average(counts: dict[int, dict]) -> dict[str, np.ndarray]:
    return {key: np.mean([c[key] for c in counts.values()], axis=0) for key in COUNTS}


def _terms(name: str, counts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The counts (U,) above and below the line of a measure."""
    above, below = (
        sum(times * counts[key] for key, times in part.items()) for part in MEASURES[name]
    )
    return above, below


def _values(name: str, counts: dict[int, dict]) -> dict[int, float]:
    values = {s: measure(name, {k: v.sum() for k, v in c.items()}) for s, c in counts.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def _measure_cell(labels: dict, counts: dict[int, dict]) -> Cell:
    name, mean = labels["measure"], _average(counts)
    totals = {key: float(column.sum()) for key, column in mean.items()}
    labels = {"kind": "mispronunciation"} | labels | {"seeds": sorted(counts)}
    labels |= {"trivial": {key: _short(value) for key, value in trivial(totals)[name].items()}}
    return Cell(labels, *_terms(name, mean), _values(name, counts), _nothing(name), (0, 1))


def _measure_difference(labels: dict, counts: dict[int, dict], others: dict[int, dict]) -> Cell:
    name = labels["measure"]
    labels = {"kind": "mispronunciation_difference"} | labels
    ours, theirs = _values(name, counts), _values(name, others)
    return Cell(
        labels | {"seeds": sorted(counts)},
        *stats.difference_terms(*_terms(name, _average(counts)), *_terms(name, _average(others))),
        {seed: ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()},
        _nothing(name),
    )


def _nothing(name: str) -> str:
    """Say why a measure has no denominator."""
    if name == "diagnosis_error_rate":
        return "the annotation names no wrong token that was detected"
    if name == "precision":
        return "nothing was rejected"
    return "no such token here"


def _record(study: Study, cell: Cell, found: stats.Estimate) -> dict:
    counted = cell.denominator != 0
    per_seed = {} if found.value is None else dict(sorted(cell.per_seed.items()))
    over_seeds = stats.seed_interval(list(per_seed.values()))
    n_clusters = len(set(study.clusters[counted]))
    joint = stats.joint_interval(found, n_clusters, list(per_seed.values()))
    reason = found.reason if counted.any() else cell.none
    tested = cell.record["kind"] not in ("rate", "mispronunciation")
    return (
        {key: study.facts[key] for key in FEW_FACTS}
        | cell.record
        | {
            "n_utts": int(counted.sum()),
            "n_speakers": len(set(study.speakers[counted])),
            "n_clusters": n_clusters,
            "value": _short(found.value),
            "interval": _clip(found.interval, cell.limits),
            "method": METHOD,
            "reason": reason,
            "per_seed": {str(seed): _short(value) for seed, value in per_seed.items()},
            "seed_interval": _clip(over_seeds.interval, cell.limits),
            "seed_reason": reason if found.value is None else over_seeds.reason,
            "joint_interval": _clip(joint.interval, cell.limits),
        }
        | ({"p": _short(found.p), "p_joint": _short(joint.p)} | UNADJUSTED if tested else {})
        | ({"p_mapsswe": None} if "p_mapsswe" in cell.record and found.value is None else {})
    )


def _clip(interval: tuple | None, limits: tuple) -> list[float] | None:
    if interval is None:
        return None
    return [_short(min(max(bound, limits[0]), limits[1])) for bound in interval]


def _short(value: float | None) -> float | None:
    """Five significant digits."""
    return None if value is None else float(f"{value:.5g}")


def _table(record: dict) -> tuple:
    """What the cells of one table have in common; see the module's docstring."""
    return (
        *(record[name] for name in ("kind", "system")),
        record["baseline"].replace(record["output"], "OUTPUT"),
        record.get("prompt"),
        record["unit"] == "word",
        record["measure"] if record["kind"].startswith("slope") else None,
        record["bin"] == "all",
        record["l1"] == "all",
    )


def _adjust(records: list[dict]) -> None:
    """Add p_holm, p_joint_holm and n_cells, table by table."""
    tables: dict[tuple, list[dict]] = {}
    for record in records:
        tables.setdefault(_table(record), []).append(record)
    for table, name in product(tables.values(), ("p_joint", "p")):
        tested = [record for record in table if record[name] is not None]
        for record, p in zip(tested, stats.holm([r[name] for r in tested]), strict=True):
            record |= {f"{name}_holm": _short(p), "n_cells": len(tested)}
