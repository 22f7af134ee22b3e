"""What arms that share an encoder in unlike ways show: verdicts, dose and response, entanglement and cross-talk.

In curves points are seeds; a line joins their means. All is read from results.json and the files of stage 11.
"""

from dataclasses import dataclass, replace
from statistics import mean, median

from scipy.stats import spearmanr

from l2dual.report.arms import arms, arms_by, control, pull_of, talks
from l2dual.report.choice import VALID, choice
from l2dual.report.hypotheses import bounded, doses, lines, losses, notes, verdicts
from l2dual.report.plots import DUAL, INK, SINGLE, Figure, panels
from l2dual.report.study import StudyResults, ends, number, percent, points
from l2dual.report.tables import Cell, Table

Curve = dict[float, str | None]  # the arm of each dose; None: the single-output systems
LOOKS = {"surface": (DUAL, "o", "-"), "meaning": (SINGLE, "s", "--")}
POINTS = 0.72  # of a pixel of matplotlib's
LEAST = 3  # arms that a rank correlation takes


@dataclass(frozen=True)
class Section:
    """What a page says of the arms of one study."""

    table: Table
    verdicts: list[str]  # a line each; of development data the choice
    notes: list[str]
    losses: list[str]  # which bounds of H4 the other systems keep
    figures: list[Figure]


def sections(studies: list[StudyResults], names: list[str]) -> list[Section | None]:
    """The section of each study, None where its systems share in one way; the tests are those of all together.

    ``names`` begin the figures' ids. Development data choose an arm, and test nothing.
    """
    shares = [any(run.sharing for run in study.results.meta.runs) for study in studies]
    having = [study for study, does in zip(studies, shares, strict=True) if does]
    chooses = any(study.results.meta.split == VALID for study in having)
    said = iter([choice(having)] * len(having) if chooses else map(lines, verdicts(having)))
    return [
        _section(study, name, next(said), not chooses) if does else None
        for study, name, does in zip(studies, names, shares, strict=True)
    ]


def _section(study: StudyResults, name: str, said: list[str], tests: bool) -> Section:
    beside = (notes(study), losses(study)) if tests else ([], [])
    return Section(table(study), said, *beside, figures(study, name))


def figures(study: StudyResults, name: str) -> list[Figure]:
    """The figures of a study with such arms."""
    found = (dose(study, f"{name}-dose"), entanglement(study, f"{name}-entanglement"))
    return [figure for figure in found if figure]


# The table -----------------------------------------------------------------------------------------
def table(study: StudyResults) -> Table:
    """SO and three arms: `do`, that of H4, that which shares a little less than `do`, or else the control of H3.

    By CTC alone too, where the search is a joint one.
    """
    pair, curve = control(study), doses(study)
    wanted = [study.dual, bounded(study), *(curve[dose] for dose in sorted(curve)[-2:-1]), *(pair[:1] if pair else ())]
    chosen = list(dict.fromkeys(filter(None, wanted)))[:3]
    columns = [f"{output}: {what}" for output in study.outputs for what in ("cross-talk", f"{study.unit(output)} %")]
    columns.insert(2, "detection F1 %")
    sides = [study, *([replace(study, results=study.ctc)] if study.ctc else [])]
    rows = []
    for system in [None, *(name for name in study.systems if name in chosen)]:
        cells = [_cell(sides, system, *place) for place in _places(study)]
        rows.append((Cell(system or "single output", study.systems[system].label if system else ""), cells))
    about = f"Cross-talk is in points, with its interval over {study.results.meta.clusters} and seeds."
    return Table("Sharing", about + (" In parentheses: by CTC alone." if study.ctc else ""), columns, rows)


def _places(study: StudyResults) -> list[tuple[str, str]]:
    found = [(output, measure) for output in study.outputs for measure in ("cross_talk", "error_rate")]
    return [*found[:2], ("surface", "f1"), *found[2:]]


def _cell(sides: list[StudyResults], system: str | None, output: str, measure: str) -> Cell:
    """A number of a system, or of the single-output ones."""
    texts, below, seeds = [], "", None
    for study in sides:
        name = system or study.baseline(output)
        if measure == "cross_talk":
            found = study.difference(measure, output, system=name) if system else None
            below = below or (ends(found.interval) if found else "")
        else:
            found = study.rate(measure, name, output) if name else None
        seeds = seeds or (found and found.per_seed.keys())
        value = found.value if found and found.per_seed.keys() == seeds else None  # of the same seeds
        texts.append(points(value) if measure == "cross_talk" else percent(value))
    return Cell(texts[0] + "".join(f" ({text})" for text in texts[1:] if text != "–"), below)


# Dose ----------------------------------------------------------------------------------------------
DOSES = {
    "pull of the meaning": pull_of("meaning"),
    "pull of the surface": pull_of("surface"),
}


def dose(study: StudyResults, name: str) -> Figure | None:
    """Cross-talk of each output by how much is shared; None without two doses of anything."""
    curves = {"blocks shared": doses(study)} | {title: arms_by(study, take) for title, take in DOSES.items()}
    curves = {title: curve for title, curve in curves.items() if len(curve) > 1}
    if not curves:
        return None
    text = "Cross-talk in points by what is shared. " + ". ".join(
        f"{title}: " + "; ".join(_said(study, output, curve) for output in study.outputs)
        for title, curve in curves.items()
    )
    figure = Figure(name, text)
    with panels(figure, len(curves)) as grid:
        for axes, (title, curve) in zip(grid, curves.items(), strict=True):
            axes.set_title("cross-talk, points" if axes is grid[0] else "")
            _draw_curve(axes, study, curve)
            axes.set_xlabel(title)
    return figure


def _said(study: StudyResults, output: str, curve: Curve) -> str:
    values = {x: talks(study, system, output).values() for x, system in curve.items() if system}
    return f"{output} " + ", ".join(f"{x:g}: {number(mean(found), sign='+')}" for x, found in values.items() if found)


# Both languages --------------------------------------------------------------------------------------
def picture(studies: list[StudyResults], name: str) -> Figure:
    """A row for each language: the arms, by surface's cross-talk and meaning's error rate, and the curve of doses."""
    places = [_arms(study) for study in studies]
    text = "Cross-talk of the surface in points / error rate of the meaning in percent, medians of seeds: " + "; ".join(
        f"{study.name} " + ", ".join(f"{arm} {number(x, sign='+')} / {number(y)}" for arm, (x, y) in found.items())
        for study, found in zip(studies, places, strict=True)
    )
    figure = Figure(name, text)
    with panels(figure, 2, rows=len(studies)) as grid:
        for index, (study, found) in enumerate(zip(studies, places, strict=True)):
            _draw_arms(grid[2 * index], study, found)
            _draw_curve(grid[2 * index + 1], study, doses(study))
            grid[2 * index + 1].set_title(f"{study.name}: cross-talk, points")
            grid[2 * index + 1].set_xlabel("blocks that both outputs share")
    return figure


def _arms(study: StudyResults) -> dict[str, tuple[float, float]]:
    """Surface's cross-talk and meaning's error rate, medians over seeds (one seed may fail): SO, `do`, other arms."""
    found = {}
    if single := study.rate("error_rate", study.baseline("meaning"), "meaning"):
        found["SO"] = (0.0, 100 * median(single.per_seed.values()))
    shared = {name for name in arms(study) if name == study.dual or study.runs_of(name)[0].sharing}
    for arm in [name for name in study.systems if name in shared | set((control(study) or ())[:1])]:
        rate = study.rate("error_rate", arm, "meaning")
        if (values := talks(study, arm, "surface").values()) and rate and rate.value is not None:
            found[arm] = (median(values), 100 * median(rate.per_seed.values()))
    return found


def _draw_arms(axes, study: StudyResults, found: dict[str, tuple[float, float]]) -> None:
    axes.set_title(f"{study.name}: meaning, {study.unit('meaning')} %")
    axes.set_xlabel("surface: cross-talk, points")
    axes.axvline(0, color=INK, lw=0.8)
    for arm, place in found.items():
        mark, color = {"SO": ("s", SINGLE), study.dual: ("o", DUAL)}.get(arm, ("D", INK))
        axes.plot(*place, mark, color=color, ms=6)
    axes.margins(0.4, 0.2)
    axes.autoscale_view()
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in axes.transData.transform(list(found.values())) * POINTS]
    for arm, place in found.items():
        x, y = axes.transData.transform(place) * POINTS
        across, height = 4.8 * len(arm), 9
        spots = [(dx, dy) for dy in (-3, 6, -12) for dx in (6, -6 - across)]
        boxes = {spot: (x + spot[0], y + spot[1], x + spot[0] + across, y + spot[1] + height) for spot in spots}
        spot = min(spots, key=lambda one: sum(_overlap(boxes[one], box) for box in taken))
        axes.annotate(arm, place, spot, textcoords="offset points", fontsize=8)
        taken.append(boxes[spot])


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, low, right, high) share a place."""
    return all(one[i] < other[i + 2] and other[i] < one[i + 2] for i in (0, 1))


def _draw_curve(axes, study: StudyResults, curve: Curve) -> None:
    """Cross-talk of each output by dose; 0 where no arm, but the single-output systems, have that dose."""
    axes.axhline(0, color=INK, lw=0.8)
    for output in study.outputs:
        color, mark, line = LOOKS[output]
        seeds = {x: [*talks(study, arm, output).values()] if arm else [0.0] for x, arm in curve.items()}
        seeds = {x: values for x, values in seeds.items() if values}
        axes.plot(list(seeds), [mean(values) for values in seeds.values()], line, color=color, label=output)
        for x, values in seeds.items():
            axes.plot([x] * len(values), values, mark, color=color, ms=4, alpha=0.7)
    axes.set_xticks(list(curve))


# Entanglement --------------------------------------------------------------------------------------
def gradient(study: StudyResults, system: str) -> list[float]:
    """Cosine of the gradients, of all blocks and seeds."""
    return [r.mean for r in _records(study, "gradients", system=system) if r.layer != "other"]


def likeness(study: StudyResults, system: str) -> list[float]:
    """CKA of the last block on the surface's path with the meaning's own system, of unlike seeds."""
    single = study.baseline("meaning")
    records = _records(study, "cka", system_x=system, system_y=single)
    last = max((r.layer for r in records), default=0)
    return [r.cka for r in records if r.layer == last and r.seed_x != r.seed_y]


def overlap(study: StudyResults, system: str) -> list[float]:
    """Overlap of the subspaces that the decoders read, of all layers."""
    return [r.value for r in _records(study, "subspaces", system=system)]


def probe_loss(study: StudyResults, system: str) -> list[float]:
    """What a probe of the surface's last block loses where surface and meaning differ, in points."""
    records = _records(study, "probes", system=system, target="surface", tokens="differ")
    last = max((r.layer for r in records), default=0)
    return [100 * r.loss for r in records if r.layer == last and r.loss is not None]


MEASURES = {
    "gradient cosine": gradient,
    "CKA, surface's path\nwith so_meaning": likeness,
    "subspace overlap": overlap,
    "probe's loss, points": probe_loss,
}


def entanglement(study: StudyResults, name: str) -> Figure | None:
    """Each measure of entanglement against the surface's and meaning's cross-talk, arms as points."""
    duals = [system for system, about in study.systems.items() if not about.single]
    places: dict[str, dict[str, float]] = {}
    for title, measure in MEASURES.items():
        values = {system: found for system in duals if (found := _finite(measure(study, system)))}
        if len(values) >= LEAST:
            places[title] = {system: mean(found) for system, found in values.items()}
    rows = {(title, output): _pairs(study, xs, output) for title, xs in places.items() for output in study.outputs}
    rows = {place: pairs for place, pairs in rows.items() if len(pairs) >= LEAST}
    if not rows:
        return None
    text = "Cross-talk of each arm against measures of entanglement; rank correlation over arms: " + "; ".join(
        f"{' '.join(title.split())}, {output} {number(correlation(pairs), 2, '+')} ({len(pairs)} arms)"
        for (title, output), pairs in rows.items()
    )
    titles = list(dict.fromkeys(title for title, _ in rows))
    figure = Figure(name, text)
    with panels(figure, len(titles)) as grid:
        for axes, title in zip(grid, titles, strict=True):
            axes.set_title("cross-talk, points" if axes is grid[0] else "")
            axes.axhline(0, color=INK, lw=0.8)
            for output in study.outputs:
                color, mark, _ = LOOKS[output]
                pairs = rows.get((title, output), [])
                axes.plot([x for x, _ in pairs], [y for _, y in pairs], mark, color=color, label=output)
            axes.set_xlabel(title)
    return figure


def correlation(pairs: list[tuple[float, float]]) -> float:
    """Spearman's rank correlation of two measures over arms."""
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def _pairs(study: StudyResults, xs: dict[str, float], output: str) -> list[tuple[float, float]]:
    found = {system: talks(study, system, output).values() for system in xs}
    return [(xs[system], mean(values)) for system, values in found.items() if values]


def _records(study: StudyResults, what: str, **wanted: str | None) -> list:
    records = study.analyses[what].records if what in study.analyses else []
    return [one for one in records if all(getattr(one, key) == value for key, value in wanted.items())]


def _finite(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
