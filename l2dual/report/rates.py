"""Error rates arranged for reading: systems against each other, over seeds, by bin."""

from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import mean, stdev

from l2dual.datadir import convention_of, surface_of
from l2dual.divergence import BINS, NO_SURFACE, POOLED
from l2dual.errors import DataError
from l2dual.outputs import MATCHED, SINGLE, baselines, is_single

RATE = {"char": "CER", "word": "WER", "phone": "PER"}
ORDER = [
    *("so_surface", "so_meaning", "so_surface_ctc", "so_meaning_ctc"),
    *("do", "do_ctc", "do_paper", "do_equal", "do_ctc_meaning", "do_small"),
]

# CER in percent of the Conformer, SO and DO (Cho & Kim 2026, AI-Hub L2 read speech)
PAPER = {
    "ko": {"surface": (11.14, 11.34), "meaning": (1.60, 0.77)},
    "en": {"surface": (13.78, 15.08), "meaning": (3.87, 3.19)},
}
# Its Figure 2: DO - SO of the surface in points, by bin
PAPER_BY_BIN = {"en": {"0": 0.28, "11+": 6.72}}
# Its Table 3: CKA of the encoders of SO surface and SO meaning, by layer of twelve
PAPER_CKA = {
    "ko": {3: 0.43, 6: 0.56, 9: 0.45, 11: 0.56},
    "en": {3: 0.89, 6: 0.75, 9: 0.66, 11: 0.40},
}


@dataclass(frozen=True)
class Cell:
    """A number per seed: an error rate in percent, or a difference of two in points.

    ``reason`` says why there is no number, where there is none. ``interval`` is over speakers
    or voices, ``joint_interval`` over these and seeds, ``p`` and ``p_joint`` those of no difference,
    corrected by Holm, and ``p_mapsswe`` the cross-check's; all of exp/statistics.json.
    """

    values: dict[int, float]
    reason: str | None = None
    n_utts: int = 0
    interval: tuple[float, float] | None = None
    joint_interval: tuple[float, float] | None = None
    p: float | None = None
    p_joint: float | None = None
    p_mapsswe: float | None = None

    @property
    def mean(self) -> float | None:
        return mean(self.values.values()) if self.values else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds, from two on."""
        return stdev(self.values.values()) if len(self.values) > 1 else None


class Comparison:
    """The systems that share data, training configuration and decoding configuration."""

    def __init__(self, records: list[dict], statistics: list[dict] = ()):
        self.records = records
        self.statistics = {statistic_key(r): r for r in statistics[1:] if r["l1"] == "all"}
        self.of_l1: dict[str, dict[tuple, dict]] = defaultdict(dict)
        for record in statistics[1:]:
            if record["l1"] != "all":
                self.of_l1[record["l1"]][statistic_key(record)] = record
        self.n_clusters = statistics[0].get("n_clusters") if statistics else None
        first = records[0]
        self.corpus, self.language = first["corpus"], first["language"]
        self.convention, self.split = first["convention"], first["split"]
        self.surface, self.surface_convention = surface_of(first), convention_of(first)
        self.config, self.decode_config = first["config"], first["decode_config"]
        self.normalizer, self.data = first["normalizer"], first["data"]
        self.index: dict[tuple, dict[int, dict]] = defaultdict(dict)
        for record in records:
            seeds = self.index[tuple(record[k] for k in ("system", "output", "unit", "bin"))]
            if record["seed"] in seeds:
                raise DataError(
                    f"results: {record['system']} with seed {record['seed']} is there twice, from "
                    f"{seeds[record['seed']]['exp_dir']} and {record['exp_dir']}; keep one"
                )
            seeds[record["seed"]] = record
        pooled = [r for r in self.statistics.values() if r["kind"] == "rate" and r["bin"] == POOLED]
        for record in pooled:
            key = tuple(record[k] for k in ("system", "output", "unit", "bin"))
            for seed in record["seeds"]:
                rate = {"error_rate": record["per_seed"].get(str(seed))}
                self.index[key][seed] = rate | {k: record[k] for k in ("reason", "n_utts")}
        names = {record["system"] for record in records}
        self.systems = sorted(names, key=lambda s: (ORDER.index(s) if s in ORDER else len(ORDER), s))
        self.duals = [system for system in self.systems if not is_single(system)]
        self.controls = [s for s in self.systems if is_single(s) and s not in SINGLE.values()]
        self.seeds = sorted({record["seed"] for record in records})
        self.n_utts = max(record["n_utts"] for record in records)
        self.n_speakers = max(record["n_speakers"] for record in records)
        units = {(record["output"], record["unit"]) for record in records}
        filled = {record["bin"] for record in records if record["n_utts"]} - {"all"}
        # Native speech, where the surface is assumed, has all its utterances in one bin.
        self.bins = [n for n in BINS if any(r["bin"] == n for r in records)] * (len(filled) > 1)
        self.columns = ["all", *self.bins] + [POOLED] * bool(self.bins and pooled)
        self.no_bins = "all utterances lie in one" if filled else NO_SURFACE
        # The unit that the verdict and the plots are in comes first: char or phone, then word
        self.units = {
            output: sorted((u for o, u in units if o == output), key=lambda u: u == "word")
            for output in SINGLE
            if any(o == output for o, _ in units)
        }

    @property
    def clusters(self) -> str:
        """What intervals are over: speakers, or the voices that several speakers share."""
        return "voices" if self.n_clusters and self.n_clusters < self.n_speakers else "speakers"

    @property
    def people(self) -> str:
        """How many speakers, and with how many voices if several share one."""
        voices = f" with {self.n_clusters} voices" if self.clusters == "voices" else ""
        return f"{self.n_speakers} speakers{voices}"

    def cell(self, system: str, output: str, unit: str, bin: str) -> Cell | None:
        """The error rate of a system; None if it does not have this output."""
        seeds = self.index.get((system, output, unit, bin))
        if not seeds:
            return None
        found = sorted(seeds.items())
        values = {s: 100 * r["error_rate"] for s, r in found if r["error_rate"] is not None}
        reasons = [record["reason"] for _, record in found if record["error_rate"] is None]
        cell = Cell(values, reasons[0] if reasons else None, found[0][1]["n_utts"])
        return self._inferred(cell, ("rate", system, output, unit, bin))

    def baselines(self, system: str, output: str) -> list[str]:
        """The single-output systems that a system's output is set beside; none if it has not this output."""
        scored = [name for name in self.systems if self.has(name, output)]
        return baselines(system, output, scored) if system in scored else []

    def compared_with(self, output: str) -> list[str]:
        """The single-output systems that others are set beside, in the order of ``systems``."""
        own = {one for system in self.systems for one in self.baselines(system, output)}
        return [system for system in self.systems if system in own and self.has(system, output)]

    def matched(self, system: str, output: str) -> str:
        """The single-output system with the same CTC : attention, if it was scored; else so_OUTPUT."""
        baseline = MATCHED.get(system, SINGLE).get(output, SINGLE[output])
        return baseline if self.has(baseline, output) else SINGLE[output]

    def has(self, system: str, output: str) -> bool:
        """Whether a system was scored on an output."""
        return output in self.units and (system, output, self.units[output][0], "all") in self.index

    def degradation(
        self, system: str, output: str, unit: str, bin: str, baseline: str | None = None
    ) -> Cell:
        """Error of a system minus that of a single-output one, by default so_OUTPUT, seed by seed."""
        baseline = baseline or SINGLE[output]
        dual = self.cell(system, output, unit, bin)
        single = self.cell(baseline, output, unit, bin)
        if dual is None or single is None:
            missing = baseline if single is None else f"{system}'s {output}"
            return Cell({}, f"{missing} has not been scored")
        values = {s: dual.values[s] - single.values[s] for s in dual.values if s in single.values}
        reason = None if values else dual.reason or single.reason or "no seed in common"
        return self._inferred(
            Cell(values, reason, dual.n_utts), ("difference", system, baseline, output, unit, bin)
        )

    def _inferred(self, cell: Cell, key: tuple) -> Cell:
        """The cell with its interval and p, if they are of the same seeds.

        A bin that has too few utterances for these has no number either; all of a small test set
        have one, which is then called a description (`l2dual.report.verdict`).
        """
        record = self.statistics.get(key)
        if record is None or sorted(cell.values) != record["seeds"]:
            return cell
        if record["value"] is None and record["bin"] != "all":
            return Cell({}, record["reason"], cell.n_utts)
        if not record["interval"]:
            return cell
        return replace(cell, **inferred(record))


def cell_of(record: dict) -> Cell:
    """A record of exp/statistics.json, in percent or points."""
    if record["value"] is None:
        return Cell({}, record["reason"], record["n_utts"])
    values = {int(seed): 100 * value for seed, value in record["per_seed"].items()}
    return Cell(values, None, record["n_utts"], **inferred(record))


def inferred(record: dict) -> dict:
    """The fields of a `Cell` that are inferred, from a record of exp/statistics.json."""
    return {
        "interval": percent(record["interval"]),
        "joint_interval": percent(record.get("joint_interval")),
        "p": record.get("p_holm"),
        "p_joint": record.get("p_joint_holm"),
        "p_mapsswe": record.get("p_mapsswe"),
    }


def percent(ends: list[float] | None) -> tuple[float, ...] | None:
    """The ends of an interval of fractions, in percent; None where there is none."""
    return tuple(100 * end for end in ends) if ends else None


KEYS = {
    "rate": "system output unit bin",
    "difference": "system baseline output unit bin",
    "slope": "measure system baseline output unit",
    "slope_of_l1": "measure system baseline output unit",
    "mispronunciation": "measure prompt system output unit bin",
    "mispronunciation_difference": "measure prompt system baseline output unit bin",
}


def statistic_key(record: dict) -> tuple:
    """How a record of exp/statistics.json is found: its kind and what tells it from the others."""
    return record["kind"], *(record[key] for key in KEYS[record["kind"]].split())


def points(value: float) -> str:
    """Format a difference in points with its sign (a true minus)."""
    return f"{value:+.1f}".replace("-", "−")


def comparisons(records: list[dict], statistics: list[dict] = ()) -> list[Comparison]:
    """Group error-rate records into what may be compared.

    ``statistics`` are those of exp/statistics.json, whose first record says which comparison
    they are of.
    """
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for record in records:
        groups[facts_of(record)].append(record)
    head = facts_of(statistics[0]) if statistics else None
    return [
        Comparison(group, statistics if facts == head else ())
        for facts, group in groups.items()
    ]


def facts_of(record: dict) -> tuple:
    """What is equal in all runs of a comparison."""
    keys = ("corpus", "language", "convention", "data", "split", "config", "decode_config")
    return tuple(record[key] for key in keys)


def bin_rows(
    comparison: Comparison, half: Comparison | None, output: str
) -> list[tuple[str, list[Cell], bool]]:
    """Rows of the table by bin: (label, cells, is a difference).

    There is a cell for each of ``columns``, then one of all utterances at half the training budget.
    """
    unit = comparison.units[output][0]
    places = [(comparison, name) for name in comparison.columns] + [(half, "all")] * bool(half)
    missing = Cell({}, "not decoded at half the budget")
    rows = []
    for system in comparison.systems:
        if comparison.cell(system, output, unit, "all"):
            cells = [of.cell(system, output, unit, name) or missing for of, name in places]
            rows.append((system, cells, False))
    for system in comparison.systems:
        for baseline in comparison.baselines(system, output):
            cells = [of.degradation(system, output, unit, name, baseline) for of, name in places]
            rows.append((f"{system} − {baseline}", cells, True))
    return rows


def l1_rows(comparison: Comparison, output: str) -> list[tuple[str, list[Cell], bool]]:
    """Rows of the table by first language, as those of `bin_rows`: a cell for each of ``of_l1``.

    [] with one first language; a row without a number is left out.
    """
    if len(comparison.of_l1) < 2:
        return []
    unit = comparison.units[output][0]
    rates = {system: ("rate", system, output, unit, "all") for system in comparison.systems}
    changes = {
        f"{system} − {baseline}": ("difference", system, baseline, output, unit, "all")
        for system in comparison.systems
        for baseline in comparison.baselines(system, output)
    }
    rows = []
    for label, key in (rates | changes).items():
        records = [of_l1.get(key) for of_l1 in comparison.of_l1.values()]
        cells = [cell_of(record) for record in records] if all(records) else []
        if any(cell.values for cell in cells):
            rows.append((label, cells, label in changes))
    return rows
