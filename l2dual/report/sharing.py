"""What arms that share an encoder in unlike ways show: dose against response, entanglement against cross-talk.

Points are seeds; a line joins their means. All is read from results.json and the files of stage 11.
"""

from collections.abc import Callable
from statistics import mean

from scipy.stats import spearmanr

from l2dual.report.plots import DUAL, INK, SINGLE, Figure, panels
from l2dual.report.study import StudyResults
from l2dual.scoring.results import Run

LOOKS = {"surface": (DUAL, "o", "-"), "meaning": (SINGLE, "s", "--")}
LEAST = 3  # arms that a rank correlation takes


def figures(study: StudyResults, name: str) -> list[Figure]:
    """The figures of a study with such arms; none of another. ``name`` begins their ids."""
    if not any(run.sharing for run in study.results.meta.runs):
        return []
    found = (dose(study, f"{name}-dose"), entanglement(study, f"{name}-entanglement"))
    return [figure for figure in found if figure]


# Dose ----------------------------------------------------------------------------------------------
def depth(run: Run) -> float | None:
    """The blocks that the outputs of a run share, if it differs from `do` in them alone."""
    if run.sharing.keys() == {"branch"}:
        return run.sharing["branch"]["depth"]
    return None if run.sharing else run.blocks


def pull_of(output: str) -> Callable[[Run], float | None]:
    """How hard an output pulls in a run, if that differs from `do` in it alone."""

    def pull(run: Run) -> float | None:
        pulls = {"surface": 1.0, "meaning": 1.0} | run.sharing.get("pull", {})
        others = {one for name, one in pulls.items() if name != output}
        return pulls[output] if run.sharing.keys() <= {"pull"} and others == {1.0} else None

    return pull


DOSES = {
    "blocks shared": depth,
    "pull of the meaning": pull_of("meaning"),
    "pull of the surface": pull_of("surface"),
}


def dose(study: StudyResults, name: str) -> Figure | None:
    """Cross-talk of each output by how much is shared; None without two doses of anything."""
    curves = {title: curve for title, take in DOSES.items() if len(curve := arms_by(study, take)) > 1}
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
            axes.axhline(0, color=INK, lw=0.8)
            for output in study.outputs:
                color, mark, line = LOOKS[output]
                seeds = {x: talks(study, system, output) for x, system in curve.items()}
                seeds = {x: values for x, values in seeds.items() if values}
                axes.plot(list(seeds), [mean(values) for values in seeds.values()], line, color=color, label=output)
                for x, values in seeds.items():
                    axes.plot([x] * len(values), values, mark, color=color, ms=4, alpha=0.7)
            axes.set_xlabel(title)
            axes.set_xticks(list(curve))
    return figure


def arms_by(study: StudyResults, take: Callable[[Run], float | None]) -> dict[float, str]:
    """The system of each dose, in order: those of the loss, decoders and baselines of ``study.dual``."""
    found: dict[float, str] = {}
    for system, about in study.systems.items():
        run = study.runs_of(system)[0]
        alike = about.baselines == study.systems[study.dual].baselines and (run.sharing or system == study.dual)
        if alike and not about.single and (x := take(run)) is not None:
            found.setdefault(x, system)
    return dict(sorted(found.items()))


def talks(study: StudyResults, system: str, output: str) -> list[float]:
    """The cross-talk of each seed, in points."""
    found = study.difference("cross_talk", output, system=system)
    return [100 * value for value in found.per_seed.values()] if found and found.value is not None else []


def _said(study: StudyResults, output: str, curve: dict[float, str]) -> str:
    values = {x: talks(study, system, output) for x, system in curve.items()}
    return f"{output} " + ", ".join(f"{x:g}: {mean(found):+.1f}" for x, found in values.items() if found)


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
        f"{' '.join(title.split())}, {output} {correlation(pairs):+.2f} ({len(pairs)} arms)"
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
    found = {system: talks(study, system, output) for system in xs}
    return [(xs[system], mean(values)) for system, values in found.items() if values]


def _records(study: StudyResults, what: str, **wanted: str | None) -> list:
    records = study.analyses[what].records if what in study.analyses else []
    return [one for one in records if all(getattr(one, key) == value for key, value in wanted.items())]


def _finite(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
