"""Gather what the result files say, and render it: the HTML page, and RESULTS.md."""

import base64
import csv
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from l2dual.analysis.curves import read_scalars
from l2dual.datadir import ASSUMPTIONS, DataDir, has_surface
from l2dual.divergence import BINS, NO_SURFACE, summarize
from l2dual.divergence import PAPER as PAPER_BINS
from l2dual.errors import DataError
from l2dual.mispronunciation import MEASURES
from l2dual.outputs import SINGLE, name_of
from l2dual.report import plots
from l2dual.report.analyses import analyses
from l2dual.report.ceilings import nearer
from l2dual.report.entanglement import CKA_COLUMNS, averaged, read_cka, read_gradients, rounded
from l2dual.report.examples import examples
from l2dual.report.findings import at_half, half_of, optional
from l2dual.report.mispronunciations import PROMPTS, mispronunciation_tables
from l2dual.report.rates import (
    PAPER,
    PAPER_BY_BIN,
    PAPER_CKA,
    RATE,
    Comparison,
    bin_rows,
    comparisons,
    l1_rows,
    points,
)
from l2dual.report.verdict import verdict
from l2dual.score import read_records
from l2dual.text import NAMES

LANGUAGE = {"en": "English", "ko": "Korean"}
SPLITS = ("train", "valid", "test")
FINDING = (
    "A finding needs three seeds, a test over speakers, or the voices that they share, with p below .05 after "
    "Holm’s correction, systems that have begun to learn at half the training budget, and the same sign there; “for "
    "these seeds” says that the test over speakers and seeds together does not hold; similarities (the rows on "
    "encoders and decoders) are tested over seeds, between systems of unlike seeds, with the speakers fixed, and at "
    "the whole training alone. MAPSSWE, a cross-check, takes utterances as independent."
)
LEAN = (
    "How far its CKA with so_surface is below the ceiling, less how far that with so_meaning is: above 0 it "
    "is nearer to the meaning’s, below 0 to the surface’s. In brackets: 95 % over seeds, of pairs of unlike seeds "
    "(jackknife), the test set fixed; not corrected for the blocks. Nothing is told of a block where Procrustes "
    "disputes a pair, or where the further one may be as alike as two seeds of one system."
)


class Notes:
    """Footnotes of one table: each reason once, named by a letter."""

    def __init__(self):
        self.reasons: list[str] = []

    def mark(self, reason: str) -> str:
        if reason not in self.reasons:
            self.reasons.append(reason)
        return "abcdefghijklmnopqrstuvwxyz"[self.reasons.index(reason) % 26]


def gather(exp: Path, data: Path) -> dict:
    """Collect the page's content from ``exp`` (results.json, cka.json, the runs) and ``data``.

    ``data`` is the split that was scored; the splits beside it are described too.

    Raises:
        DataError: results.json has no result on ``data``.
    """
    results = [r for r in read_records(exp / "results.json") if r["kind"] == "error_rate"]
    records = [r for r in results if Path(r["data"]) / r["split"] == data]
    if not records:
        others = ", ".join(sorted({f"{r['data']}/{r['split']}" for r in results})) or "nothing"
        where = exp / "results.json"
        raise DataError(f"{where}: no result on {data}, but on {others}: mend --data")
    groups = comparisons(records, optional(exp / "statistics.json"))
    halves = at_half(exp)
    first, scored = groups[0], DataDir.load(data)
    info = scored.info
    trained_on = records[0].get("trained_on", first.data)
    own = trained_on == first.data
    beside = [data.parent / name for name in SPLITS if name != data.name and own]
    splits = [DataDir.load(path) for path in beside if path.is_dir()] + [scored]
    divergence = [record for split in splits for record in summarize(split)]
    cka, gradients, tables = read_cka(exp, first), read_gradients(exp, first), analyses(exp, first)
    analysed = ["statistics"] * bool(first.statistics) + ["cka"] * bool(cka["records"])
    analysed = dict.fromkeys([*analysed, *(table["file"] for table in tables)])
    return {
        "title": title(first),
        "info": info,
        "facts": flatten(info),
        "trained_on": None if own else trained_on,
        "seen_sentences": records[0].get("seen_sentences"),
        "simulated": info["corpus"] == "simulated",
        "first": first,
        "groups": [view(group, half_of(group, halves), f"g{i}", len(groups)) for i, group in enumerate(groups)],
        "divergence_svg": (
            plots.divergence_bars(divergence, "divergence") if has_surface(info) else None
        ),
        "seeds": sorted({seed for group in groups for seed in group.seeds}),
        "divergence": divergence,
        "paper_bins": PAPER_BINS.get(first.language),
        "paper": PAPER.get(first.language),
        "paper_by_bin": PAPER_BY_BIN.get(first.language),
        "paper_cka": PAPER_CKA.get(first.language),
        "cka": cka,
        "nearer": nearer(cka["records"]),
        "cka_csv": csv_uri([flatten(r) for r in cka["records"]]) if cka["records"] else None,
        "analyses": [
            table | {"csv": csv_uri([flatten(record) for record in table["records"]])}
            for table in tables
        ],
        "analysed": {name: read_records(exp / f"{name}.json")[0] for name in analysed},
        "gradients": gradients,
        "gradients_csv": csv_uri([flatten(r) for r in gradients["records"]]),
        "curves": learning_curves(records),
        "examples": examples(first, scored),
        "limitations": limitations(groups, bool(cka["pairs"])),
        "runs": runs(records),
        "records_csv": csv_uri(records),
        "divergence_csv": csv_uri([flatten(record) for record in divergence]),
    }


def title(group: Comparison) -> str:
    """The page's question, with the language and how its surface is written."""
    language = LANGUAGE.get(group.language, group.language)
    return f"L2 {language}, {group.surface_convention}: one output or two?"


def view(group: Comparison, half: Comparison | None, name: str, of: int) -> dict:
    """What the template shows of one comparison."""
    return {
        "heading": f"{group.config}, {group.decode_config or ''}" if of > 1 else None,
        "group": group,
        "verdicts": {
            system: verdict(group, half, system) for system in [*group.duals, *group.controls]
        },
        "rates": {output: rate_rows(group, output) for output in group.units},
        "half": half,
        "bins": {output: bin_rows(group, half, output) for output in group.units},
        "l1s": {o: rows for o in group.units if (rows := l1_rows(group, o))},
        "plots": [
            draw(group, half, output, f"{name}-{kind}-{output}")
            for kind, draw in (
                ("error", plots.error_by_bin),
                ("degradation", plots.degradation_by_bin),
            )
            for output in group.units
            if group.bins and (kind == "error" or group.duals)
        ],
        "mispronunciations": mispronunciation_tables(group),
        "degradation_csv": csv_uri(degradations(group)),
        "statistics_csv": csv_uri(
            [
                flatten(record)
                for part in (group.statistics, *group.of_l1.values())
                for record in part.values()
            ]
        ),
    }


def rate_rows(group: Comparison, output: str) -> list[dict]:
    """Rows of the table of one output: a system's rates, and its differences to the baselines.

    There is a difference for each of ``group.compared_with(output)``, None where a system is not set
    beside it.
    """
    rows = []
    for system in group.systems:
        cells = [group.cell(system, output, unit, "all") for unit in group.units[output]]
        if None not in cells:
            unit, own = group.units[output][0], group.baselines(system, output)
            changes = [
                group.degradation(system, output, unit, "all", one) if one in own else None
                for one in group.compared_with(output)
            ]
            rows.append({"system": system, "cells": cells, "changes": changes})
    return rows


def degradations(group: Comparison) -> list[dict]:
    """System minus baseline per output, unit, bin and seed, in points, for the CSV."""
    return [
        {"system": system, "baseline": baseline, "output": output, "unit": unit, "bin": name}
        | {"seed": seed, "points": value}
        for system in group.systems
        for output, units in group.units.items()
        for baseline in group.baselines(system, output)
        for unit in units
        for name in group.columns
        for seed, value in group.degradation(system, output, unit, name, baseline).values.items()
    ]


def learning_curves(records: list[dict]) -> list:
    """Plot the losses of each run that has a TensorBoard log with at least one epoch."""
    curves = []
    for exp_dir in dict.fromkeys(record["exp_dir"] for record in records):
        record = next(record for record in records if record["exp_dir"] == exp_dir)
        log = Path(exp_dir) / "tensorboard"
        losses = {split: read_scalars(log / split, "loss").get("", {}) for split in SPLITS[:2]}
        # At the end of an epoch ESPnet logs the epoch's mean among the losses of the moment
        losses["train"] = {
            step: loss for step, loss in losses["train"].items() if step not in losses["valid"]
        }
        if all(losses.values()):
            title = f"{record['system']}, seed {record['seed']}: loss"
            curves.append(plots.learning_curve(title, losses, f"curve{len(curves)}"))
    return curves


def runs(records: list[dict]) -> list[dict]:
    """What made the numbers: one entry per run and decoding."""
    return list({record["decode_dir"]: record for record in records}.values())


def limitations(groups: list[Comparison], has_cka: bool) -> list[str]:
    """What the numbers of these comparisons cannot say."""
    first = groups[0]
    fewest = min(len(group.seeds) for group in groups)
    items = []
    if first.corpus == "simulated":
        items.append(
            "The speech is simulated: a synthesizer speaks what rules say a learner would "
            "pronounce. Its voices, noise and errors are far simpler than people's, so these "
            "numbers test the method and say nothing about real learners."
        )
    if first.surface == "assumed":
        items.append(
            f"The surface is assumed, not annotated: {ASSUMPTIONS[first.convention]}. What the "
            "speakers did pronounce is not known, and no learner's error is in it."
        )
    far = max((r["n_utts"] for r in first.records if r["bin"] == BINS[-1]), default=None)
    rare = "" if far is None else f", {far} of them with a divergence of 11 or more"
    items += [
        f"{first.n_utts} {first.split} utterances of {first.people}{rare}: "
        "a rate on few utterances moves a lot by chance.",
        f"{fewest} seed{'s' if fewest > 1 else ''} per system. Intervals are over {first.clusters} and "
        "utterances, with the seeds fixed, unless they say “other seeds included”. A claim needs at least "
        "three seeds, a test that holds after Holm’s correction, and the same sign at half the budget.",
        "A dual-output system has a second decoder, hence more parameters than either "
        "single-output system (but for do_small); the data, budget and encoder are the same.",
        "Models and budgets may be small, and may not have converged: see their "
        "configurations. Only signs and order, not absolute rates, may be set beside the paper's.",
        "Conclusions hold for this language, convention and corpus together: what differs between two "
        "languages here may be their prompts, voices or rules.",
    ]
    if first.convention == "heard" and first.surface == "annotated":
        items.append(
            "Surface is written by respelling: an error that spelling cannot show is not counted, "
            "and one mispronounced sound may cost several letters."
        )
    if has_cka:
        items.append(
            "CKA is a correlation between representations. It cannot show that sharing an encoder "
            "causes an error; until an intervention does, entanglement is a hypothesized mechanism."
        )
    return items


def flatten(record: dict) -> dict:
    """Spread the dicts and lists of a record over columns, for CSV."""
    flat = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{name}": item for name, item in value.items()}
        elif isinstance(value, list):
            flat |= {f"{key}_{name}": item for name, item in enumerate(value)}
        else:
            flat[key] = value
    return flat


def csv_uri(rows: list[dict]) -> str:
    """Write rows as CSV into a data: URI."""
    stream = io.StringIO()
    fields = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(stream, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    encoded = base64.b64encode(stream.getvalue().encode("utf-8")).decode()
    return f"data:text/csv;charset=utf-8;base64,{encoded}"


def render(template: str, content: dict) -> str:
    """Fill a template of this package with what :func:`gather`, or that of `l2dual.report.both`, collected."""
    environment = Environment(
        loader=PackageLoader("l2dual.report", "."),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "rounded": rounded, "averaged": averaged}
    environment.filters |= {"name_of": name_of}
    names = {"RATE": RATE, "SINGLE": SINGLE, "BINS": BINS, "NAMES": NAMES, "Notes": Notes}
    names |= {"FINDING": FINDING, "LEAN": LEAN, "NO_SURFACE": NO_SURFACE, "PROMPTS": PROMPTS}
    names |= {"MEASURES": MEASURES, "CKA_COLUMNS": CKA_COLUMNS}
    return environment.get_template(template).render(content | names)
