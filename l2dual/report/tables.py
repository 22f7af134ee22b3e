"""The tables of the page: systems, bins of divergence, and what stage 11 measured."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from l2dual.analysis.kinds import Interval
from l2dual.report.budget import budget
from l2dual.report.study import StudyResults, ends, number, percent, points
from l2dual.scoring.measures import DETECTION
from l2dual.scoring.results import Run

ABOUT = (
    "Means over seeds. Cross-talk (points): what sharing adds to the error rate at learner’s tokens, "
    "minus what it adds at other tokens. It is unreliable if an output has over 50 % errors. Intrusions: the other "
    "output’s token where the learner replaced one. Error detection: the surface differs from the prompt."
)


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place: a name or a number, and what stands below it."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; ``missing`` is one line where there is nothing to show."""

    title: str
    about: str
    columns: list[str]
    rows: list[tuple[Cell, list[Cell]]]  # each with its head
    missing: str = ""


def duration(seconds: float | None) -> str:
    """A training time as "12 min" or "3.4 h"."""
    if seconds is None:
        return "–"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def training_time(runs: list[Run]) -> str:
    """What a training of a system takes, on average over its seeds."""
    times = [run.train_seconds for run in runs if run.train_seconds is not None]
    return duration(mean(times) if times else None)


def size(parameters: int | None) -> str:
    """A number of parameters as "1.9 M"."""
    return "–" if parameters is None else f"{parameters / 1e6:.1f} M"


def systems(study: StudyResults) -> Table:
    """Each system's error rates, cross-talk, intrusions and F1, and what it cost."""
    columns = [f"{output}, {study.unit(output)} %" for output in study.outputs]
    columns += [f"cross-talk, {output}" for output in study.outputs]
    columns += [f"intrusions, {output} %" for output in study.outputs]
    columns += ["detection F1 %"]
    cost = any(run.parameters for run in study.results.meta.runs)  # not of studies kept long ago
    columns += ["parameters", "training", "seeds"] if cost else ["seeds"]
    rows = []
    for system in study.systems:
        rates = [_rate(study, "error_rate", system, output) for output in study.outputs]
        talks = [_cross_talk(study, system, output) for output in study.outputs]
        intrusions = [_rate(study, "intrusion_rate", system, output) for output in study.outputs]
        runs = study.runs_of(system)
        facts = [size(runs[0].parameters), training_time(runs)] if cost else []
        facts.append(str(len(runs)))
        f1 = _rate(study, "f1", system, "surface")
        rows.append((Cell(system, study.systems[system].label), [*rates, *talks, *intrusions, f1, *map(Cell, facts)]))
    return Table("All systems", f"{ABOUT} {budget(study)}", columns, rows)


def _rate(study: StudyResults, measure: str, system: str, output: str, bin: str = "all") -> Cell:
    found = study.rate(measure, system, output, bin)
    return Cell("–" if found is None else percent(found.value))


def _cross_talk(study: StudyResults, system: str, output: str) -> Cell:
    found = study.difference("cross_talk", output, system=system)
    if found is None or found.value is None:
        return Cell("–")
    return Cell(points(found.value), ends(found.interval) or "(no interval)")


def by_bin(study: StudyResults, output: str) -> Table:
    """The error rate of every system by divergence, and what sharing changes: the paper's view."""
    meta = study.results.meta
    columns = [f"{name} edits, n = {count}" for name, count in meta.bins.items()]
    rows = []
    for system in study.systems:
        if study.rate("error_rate", system, output):
            rows.append((Cell(system), [_rate(study, "error_rate", system, output, name) for name in meta.bins]))
    for system in study.systems:
        found = [study.difference("error_rate", output, name, system) for name in meta.bins]
        if found and all(found):
            cells = [Cell(points(one.value), ends(one.interval)) for one in found]
            rows.append((Cell(f"{system} − {found[0].baseline}"), cells))
    about = f"{study.unit(output)} % by learner’s edits per utterance. Differences in points."
    missing = "" if meta.bins else "Divergence: not measured: the data do not say what was pronounced."
    return Table(f"{output.capitalize()} by divergence", about, columns, rows, missing)


def detection(study: StudyResults) -> Table:
    """Mispronunciation detection: a system reports an error where its surface differs from the prompt."""
    rows = [
        (Cell(system), [_rate(study, name, system, "surface") for name in DETECTION])
        for system in study.systems
        if study.rate("f1", system, "surface")
    ]
    about = "A system reports an error where its surface differs from the reference prompt. In percent."
    missing = "" if rows else "Mispronunciation detection: not measured: no surface was scored."
    columns = [name.replace("_", " ") for name in DETECTION]
    return Table("Mispronunciation detection", about, columns, rows, missing)


@dataclass(frozen=True)
class Layers:
    """How a file of stage 11 is shown: a row for each label, a column for each layer.

    ``values`` names the fields that are shown, the first with its interval; records of one label and
    layer are of several seeds, and are averaged.
    """

    what: str
    title: str
    about: str
    label: Callable
    values: dict[str, str]  # field: what the row adds to its label
    chosen: Callable = lambda record: True
    interval: str = "interval"
    column: Callable = lambda record: f"layer {record.layer}"


def _unlike(record) -> bool:
    """Pairs of unlike seeds: systems of one seed start from the same weights."""
    return record.seed_x != record.seed_y


def _pair(record) -> str:
    sides = ((record.system_x, record.output_x), (record.system_y, record.output_y))
    return " and ".join(" ".join(filter(None, side)) for side in sides)


LAYERS = (
    Layers(
        "cka",
        "Similarity of the encoders (CKA)",
        "Debiased linear CKA of two encoders on the same frames, for each block. 1 means equal up to rotation. "
        "Null: unrelated utterances. Floor: random encoders. Ceiling: two seeds of one system.",
        _pair,
        {"cka": "", "null": "null", "floor": "floor", "ceiling": "ceiling"},
        _unlike,
    ),
    Layers(
        "decoders",
        "Similarity of the decoders (CKA)",
        "Each decoder reads its own reference. The outputs are compared where the references are equal. Equal "
        "tokens alone make decoders similar, so compare with the floor: two random decoders.",
        _pair,
        {"cka": "", "floor": "floor", "ceiling": "ceiling"},
        _unlike,
    ),
    Layers(
        "subspaces",
        "Overlap of what the two decoders read",
        "Overlap of the two subspaces of the encoder’s output that a system’s decoders read. 1 means the same "
        "subspace. Null: random rotations. Floor: random decoders.",
        lambda record: f"{record.system}, {record.projection}s",
        {"value": "", "null": "null", "floor": "floor"},
    ),
    Layers(
        "probes",
        "Probes, where surface and meaning differ",
        "Accuracy of a linear probe of each block on the tokens that the learner replaced. Other: how often it "
        "predicts the other output’s token. Floor: a random encoder. Lost: the single-output system’s accuracy "
        "minus this one.",
        lambda record: f"{record.system}, {record.target}",
        {"value": "", "other": "other", "floor": "floor", "loss": "lost"},
        lambda record: record.tokens == "differ",
    ),
    Layers(
        "retrained",
        "Retrained decoders",
        "Error rate of a new decoder, trained on the frozen encoder with a small, fixed budget. Difference: this "
        "rate minus that of the output’s single-output encoder. Floor: a random encoder.",
        lambda record: f"encoder of {record.system}",
        {"value": "", "difference": "difference", "floor": "floor"},
        column=lambda record: record.output,
    ),
    Layers(
        "gradients",
        "Cosine of the two losses’ gradients",
        "Mean over training, for each layer of the shared encoder. At 1, both losses require the same change. "
        "Below 0, a step for one works against the other.",
        lambda record: record.system,
        {"mean": ""},
        interval="",
        column=lambda record: record.layer or "",
    ),
)


def analyses(study: StudyResults) -> list[Table]:
    """The tables of stage 11; one line for what was not measured."""
    return [_by_layer(study, spec) for spec in LAYERS if spec.what in study.analyses]


def _by_layer(study: StudyResults, spec: Layers) -> Table:
    records = [r for r in study.analyses[spec.what].records if spec.chosen(r)]
    known = [r for r in records if getattr(r, next(iter(spec.values))) is not None]
    if not known:
        reasons = [r.reason for r in study.analyses[spec.what].records if r.reason]
        needed = "needs a dual-output system and its baselines (decoders: also utterances without errors)"
        reason = reasons[0] if reasons else needed
        return Table(spec.title, spec.about, [], [], f"{spec.title}: not measured: {reason}.")
    columns, labels = (list(dict.fromkeys(map(key, known))) for key in (spec.column, spec.label))
    rows = []
    for label in labels:
        places = [[r for r in known if (spec.label(r), spec.column(r)) == (label, c)] for c in columns]
        for index, (name, added) in enumerate(spec.values.items()):
            cells = [_mean(place, name, "" if index else spec.interval) for place in places]
            if any(cell.text != "–" for cell in cells):
                rows.append((Cell(f"– {added}" if added else label), cells))
    return Table(spec.title, spec.about, columns, rows)


def _mean(records: list, name: str, interval: str) -> Cell:
    """The mean over seeds, and the mean of the intervals' ends, which is wide enough for it."""
    values = [value for r in records if (value := getattr(r, name)) is not None]
    found: list[Interval] = [getattr(r, interval) for r in records] if interval and values else []
    whole = None not in found and found
    return Cell(
        number(mean(values), 2) if values else "–",
        ends(tuple(map(mean, zip(*found, strict=True))), 1, 2).replace("+", "") if whole else "",
    )
