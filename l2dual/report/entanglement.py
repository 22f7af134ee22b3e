"""What stage 11 measured of the shared encoder, arranged for the page."""

import math
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from statistics import mean

from l2dual.report import plots
from l2dual.report.rates import Comparison
from l2dual.score import read_records
from l2dual.stats import seed_interval

SAME = ("corpus", "language", "convention", "data")
CKA_COLUMNS = {  # keys of a record, and how they are headed
    "cka": "CKA",
    "normalized": "(CKA − null) / (ceiling − null)",
    "null": "null",
    "floor": "floor",
    "ceiling": "ceiling",
    "procrustes": "Procrustes distance",
    "disagrees": "disputed by Procrustes",
}
MAPS = {"cka": "CKA", "null": "null", "ceiling": "ceiling", "normalized": "normalized"}


def of_group(path: Path, group: Comparison, kind: str) -> list[dict]:
    """Records of a kind in a result file that are of the data and runs of ``group``.

    [] without a file.
    """
    records = read_records(path) if path.is_file() else []
    runs = {record["exp_dir"] for record in group.records}

    def belongs(record: dict) -> bool:
        of_runs = {value for key, value in record.items() if key.startswith("exp_") and value}
        same = all(record[key] == getattr(group, key) for key in SAME)
        return record["kind"] == kind and same and of_runs <= runs

    return [record for record in records if belongs(record)]


def read_gradients(
    exp: Path, group: Comparison, only: Collection[str] = (), name: str = ""
) -> dict:
    """Arrange exp/gradients.json: rows of means per system, and a plot per system.

    A row is ``(layer, mean, first half, second half)``, means over the seeds. ``only`` are the systems
    that are wanted, all by default; ``name`` begins the plots' names.
    """
    records = of_group(exp / "gradients.json", group, "gradient_cosine")
    records = [record for record in records if not only or record["system"] in only]
    systems = []
    for system in dict.fromkeys(record["system"] for record in records):
        found = [r for r in records if r["system"] == system and r["layer"]]
        layers = sorted({record["layer"] for record in found}, key=depth)
        by_layer = {layer: [r for r in found if r["layer"] == layer] for layer in layers}
        rows = [
            (layer, *(mean_of(of_layer, key) for key in ("mean", "first_half", "second_half")))
            for layer, of_layer in by_layer.items()
        ]
        plot = plots.gradient_cosines(system, by_layer, f"{name}gradients{len(systems)}") if rows else None
        missing = next((r["reason"] for r in records if r["system"] == system and r["reason"]), None)
        seeds = sorted({record["seed"] for record in found})
        systems.append(
            {"system": system, "rows": rows, "svg": plot, "seeds": seeds, "reason": missing}
        )
    return {"systems": systems, "records": records}


def depth(layer: str) -> tuple[bool, int]:
    """Sorts block2 before block10, and what is no block last."""
    number = layer.removeprefix("block")
    return not number.isdigit(), int(number) if number.isdigit() else 0


def across(layers: list[list[dict]], key: str) -> list[list[float]] | None:
    """The block x block matrix of a key of cka.json, means over pairs of seeds; nan where none has it.

    None without a matrix, or where all of it is nan.
    """
    rows = [[r[f"{key}_across"] for r in found if r.get(f"{key}_across")] for found in layers]
    if not all(rows):
        return None
    known = [[[v for v in column if v is not None] for column in zip(*found)] for found in rows]
    if not any(values for row in known for values in row):
        return None
    return [[mean(values) if values else math.nan for values in row] for row in known]


def read_cka(exp: Path, group: Comparison, only: Collection[str] = (), name: str = "") -> dict:
    """Arrange exp/cka.json: one entry per pair of systems, layer by layer, means over seeds.

    ``only`` are the systems that are wanted, all by default; ``name`` begins the plots' names.
    """
    records = of_group(exp / "cka.json", group, "cka")
    by_pair: dict[tuple, dict] = defaultdict(lambda: defaultdict(list))
    for record in unlike_seeds(records):
        systems = {record["system_x"], record["system_y"]}
        if record["layer_x"] == record["layer_y"] and (not only or systems <= set(only)):
            pair = (record["comparison"], record["system_x"], record["system_y"])
            by_pair[pair][record["layer_x"]].append(record)
    pairs = []
    for (comparison, x, y), layers in by_pair.items():
        columns = {
            key: [mean_of(found, key) for found in layers.values()]
            for key in CKA_COLUMNS
        }
        pair = {
            "title": f"{comparison}: {x} and {y}".capitalize(),
            "layers": [str(layer) for layer in layers],
            "intervals": {
                key: [interval_of(found, key) for found in layers.values()] for key in CKA_COLUMNS
            },
            "reasons": [next((r["reason"] for r in f if r["reason"]), "") for f in layers.values()],
            "n_seeds": len({(r["seed_x"], r["seed_y"]) for f in layers.values() for r in f}),
            **columns,
        }
        known = any(value is not None for value in pair["cka"])
        pair["svg"] = plots.cka_by_layer(pair, f"{name}cka{len(pairs)}") if known else None
        matrices = {key: across(list(layers.values()), key) for key in MAPS}
        pair["map"] = None
        if matrices["cka"]:
            drawn = {label: matrices[key] for key, label in MAPS.items() if matrices[key]}
            pair["map"] = plots.heat_maps(pair["title"], x, y, drawn, f"{name}map{len(pairs)}")
        pairs.append(pair)
    return {"pairs": pairs, "records": records, "seeds": seeds_of(records)}


def unlike_seeds(records: list[dict]) -> list[dict]:
    """The pairs of unlike seeds, or all where there is one seed.

    Systems of one seed start from the same weights; a ceiling is of unlike seeds.
    """
    return [r for r in records if r["seed_x"] != r["seed_y"]] or records


def seeds_of(records: list[dict]) -> list[int]:
    """The seeds of the models that were compared."""
    keys = ("seed", "seed_x", "seed_y")
    return sorted({record[key] for record in records for key in keys if key in record})


def averaged(seeds: list[int]) -> str:
    """Say over which seeds the numbers of a table are means, or of which one they are."""
    return f"{'means over seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"


def rounded(value: float, decimals: int = 2) -> str:
    """A number to so many decimals, with a real minus; a whole number without."""
    return f"{value:.{decimals}f}".replace("-", "−") if value % 1 else f"{value:.0f}"


def mean_of(records: list[dict], key: str) -> float | None:
    """The mean of a key over the records that have it, or None."""
    values = [record[key] for record in records if record.get(key) is not None]
    return mean(values) if values else None


def interval_of(records: list[dict], key: str) -> tuple[float, float] | None:
    """The interval over speakers or voices of the mean of a key, the seeds fixed.

    Its ends are the means of the records' ends, which is wide enough: the standard error of a mean
    is at most the mean of the standard errors. None where a record with a value has no interval.
    """
    name = "interval" if key in ("cka", "value") else f"{key}_interval"
    ends = [r.get(name) for r in records if r.get(key) is not None]
    if not ends or any(end is None or None in end for end in ends):
        return None
    return tuple(map(mean, zip(*ends)))


def interval_over_seeds(records: list[dict], key: str) -> tuple[float, float] | None:
    """The t-interval over seeds of a key that has an interval, where each record is of one seed."""
    values = {r["seed"]: r[key] for r in records if "seed" in r and r.get(key) is not None}
    if interval_of(records, key) is None or len(values) < len(records):
        return None
    return seed_interval(list(values.values())).interval
