"""Tables of what stage 11 measures beside CKA of the encoders: one per result file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from l2dual.report.entanglement import (
    interval_of,
    interval_over_seeds,
    mean_of,
    of_group,
    seeds_of,
    unlike_seeds,
)
from l2dual.report.rates import Comparison


@dataclass(frozen=True)
class Table:
    """How a result file is shown.

    ``labels`` are the columns that tell rows apart, each a function of a record; rows that they do
    not are of several seeds, and are averaged. ``numbers`` are keys of the record. ``chosen``
    picks the records. ``decimals`` is how many are shown. ``name`` is that of the CSV, from
    ``file`` and ``kind`` where there is none.
    """

    file: str
    kind: str
    title: str
    about: str
    labels: Mapping[str, Callable[[dict], object]]
    numbers: tuple[str, ...]
    chosen: Callable[[list[dict]], list[dict]] = lambda records: records
    decimals: int = 2
    name: str = ""


def named(**keys: str) -> dict[str, Callable[[dict], object]]:
    """Labels that are keys of the record, by how they are headed."""
    return {label: itemgetter(key) for label, key in keys.items()}


def decoders_of(record: dict) -> str:
    """Name the two decoders of a record, in whichever order they were compared."""
    return " ~ ".join(sorted(f"{record[f'system_{side}']} {record[f'output_{side}']}" for side in "xy"))


def where_they_differ(records: list[dict]) -> list[dict]:
    """The probes on tokens that the learner replaced."""
    return [record for record in records if record["tokens"] == "differ"]


def elsewhere(records: list[dict]) -> list[dict]:
    """The other probes."""
    return [record for record in records if record["tokens"] != "differ"]


def with_dispute(records: list[dict]) -> list[dict]:
    """Overlaps, and whether what is read is more alike than random decoders' by one measure alone."""
    keys = ("value", "floor", "read_cka", "read_cka_floor")
    found = []
    for record in records:
        value, floor, cka, cka_floor = numbers = [record[key] for key in keys]
        disputed = None if None in numbers else (value > floor) != (cka > cka_floor)
        found.append(record | {"disputed": disputed})
    return found


TABLES = (
    Table(
        "decoders",
        "decoder cka",
        "How alike the decoders are",
        "CKA of two decoders that are each forced on their own text. Shared tokens alone make decoders "
        "alike: read it beside the floor, two random decoders on the same targets. Normalized: (CKA − null) / "
        "(ceiling − null), where the seeds differ. Disagrees: the share of "
        "the pairs of seeds that Procrustes disputes; above 0, claim no order.",
        {"decoders": decoders_of} | named(positions="set", layer="layer_x"),
        ("cka", "normalized", "null", "floor", "ceiling", "procrustes", "disagrees"),
        unlike_seeds,
    ),
    Table(
        "subspaces",
        "subspace overlap",
        "Do both decoders read the same of the encoder?",
        "Overlap of the subspaces that the two decoders of one system read from the encoder, weighted by "
        "how much the encoder varies there: 1 is the same subspace. Null: rotations; floor: random decoders. "
        "A second opinion is the CKA of what they read; disputed: the share of the seeds where one of the two "
        "lies above its floor and the other below; above 0, claim nothing.",
        named(system="system", layer="layer", projection="projection"),
        ("value", "normalized", "null", "floor", "read_cka", "read_cka_floor", "disputed"),
        with_dispute,
    ),
    Table(
        "probes",
        "probe",
        "What can be read from the encoder where surface and meaning differ",
        "Accuracy of linear probes on the tokens that the learner replaced. “other” is how often the probe "
        "names the other output’s token; unnamed, how often it says “wrong” without a name, where the corpus does so; "
        "selectivity is over a control task; floor: a random encoder.",
        named(system="system", block="layer", target="target"),
        ("value", "other", "unnamed", "chance", "selectivity", "floor"),
        where_they_differ,
    ),
    Table(
        "probes",
        "probe",
        "What else can be read from the encoder",
        "The same on all tokens and on those that the learner kept, where unnamed are false alarms, and of the "
        "first language and the speaker (from whole utterances, of speakers or utterances that the probe was not "
        "trained on).",
        named(system="system", block="layer", target="target")
        | {"tokens": lambda record: record["tokens"] or ""},
        ("value", "unnamed", "chance", "selectivity", "floor"),
        elsewhere,
        name="probes_elsewhere",
    ),
    Table(
        "probes",
        "probe loss",
        "What the surface probe loses against so_surface",
        "Accuracy on so_surface’s encoder minus accuracy on this system’s, same tokens. Differ: tokens that the "
        "learner replaced; same: those that the learner kept; differ − same: what is lost beyond the latter.",
        named(system="system", block="layer")
        | {"tokens": lambda record: record["tokens"].replace(" - ", " − ")},
        ("value",),
    ),
    Table(
        "swap",
        "swap",
        "A decoder on another system’s encoder",
        "Error rate of a trained decoder that hears an encoder of another seed through a linear map of five "
        "frames; own: on its own encoder, no map; ceiling: on its own system’s of the other seed, and "
        "difference: what it loses beyond that; floor: on a random one. r2: the map’s fit.",
        {
            "decoder": lambda record: f"{record['decoder']} {record['output']}",
            "encoder": lambda record: record["encoder"],
        },
        ("value", "own", "ceiling", "difference", "floor", "r2"),
        decimals=3,
    ),
    Table(
        "functional",
        "functional",
        "A fresh decoder on each frozen encoder",
        "Error rate of a new decoder trained for a small, fixed budget; difference: to the encoder of the "
        "single-output system of that output; floor: on a random encoder.",
        named(encoder="system", output="output"),
        ("value", "difference", "accuracy", "floor"),
        decimals=3,
    ),
)


def analyses(exp: Path, group: Comparison, tables: Iterable[Table] = TABLES) -> list[dict]:
    """The tables of the result files that are there: columns, rows, and all their records."""
    found = []
    for table in tables:
        records = table.chosen(of_group(exp / f"{table.file}.json", group, table.kind))
        rows: dict[tuple, list[dict]] = {}
        for record in records:
            rows.setdefault(tuple(label(record) for label in table.labels.values()), []).append(
                record
            )
        known = [name for name in table.numbers if mean_of(records, name) is not None]
        numbers = known or list(table.numbers)
        if rows:
            found.append(
                {
                    "name": table.name or f"{table.file}_{table.kind}".replace(" ", "_"),
                    "file": table.file,
                    "title": table.title,
                    "about": table.about,
                    "columns": [*table.labels, *numbers],
                    "rows": [_row(labels, of_row, numbers) for labels, of_row in rows.items()],
                    "decimals": table.decimals,
                    "seeds": seeds_of(records),
                    "records": records,
                }
            )
    return found


def _row(labels: tuple, records: list[dict], numbers: list[str]) -> dict:
    return {
        "labels": labels,
        "numbers": [
            (mean_of(records, name), interval_of(records, name), interval_over_seeds(records, name))
            for name in numbers
        ],
        "reason": next((r["reason"] for r in records if r["reason"]), "not computed"),
    }
