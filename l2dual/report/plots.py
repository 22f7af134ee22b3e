"""Plots as SVG: vectors with text as text, in the page's colours, light or dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from markupsafe import Markup

from l2dual.report.study import StudyResults, points

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "l2dual",
    "text.parse_math": False,  # names of systems may hold a $
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
    "legend.fontsize": 9,
}
# Colours that the page replaces by its own: Okabe and Ito's, safe for any colour vision
INK, LINE, SINGLE, DUAL = "#1c1c1f", "#e3e3e4", "#0072b2", "#d55e00"
VARIABLES = {INK: "var(--ink)", LINE: "var(--line)", SINGLE: "var(--single)", DUAL: "var(--dual)"}
INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
PAPER_BY_BIN = {"en": {"0": 0.28, "11+": 6.72}}  # the paper's Figure 2: DO - SO of the surface, points
KINDS = ("other tokens", "learner’s tokens")


@dataclass
class Figure:
    """A figure, drawn in `panels`; ``text`` describes it to a reader who does not see it."""

    name: str  # begins the ids of its parts, which a page may hold once only
    text: str
    raw: str = ""  # an SVG file

    @property
    def svg(self) -> Markup:
        """To stand in a page: without prologue and background, ids of its own, the page's colours."""
        svg = re.sub(r"<metadata>.*?</metadata>", "", self.raw[self.raw.index("<svg") :], flags=re.S)
        head, rest = svg.split(">", 1)
        head = re.sub(r'\s(width|height)="[^"]*"', "", head)
        svg = f'{head} role="img" aria-label="{Markup.escape(self.text)}">{rest}'
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", svg)
        svg = svg.replace("fill: #ffffff", "fill: none")
        for color, variable in VARIABLES.items():
            svg = svg.replace(color, variable)
        return Markup(svg)


@contextmanager
def panels(figure: Figure, count: int = 1, rows: int = 0) -> Iterator[np.ndarray]:
    """Axes of one scale in a row, or of their own in several wide rows; then ``figure.raw`` is filled."""
    with plt.rc_context(STYLE | dict.fromkeys(INKED, INK) | {"grid.color": LINE}):
        size = (3.6 * count, 2.7 * rows) if rows else (max(4.0, 2.0 * count), 2.8)
        drawn, axes = plt.subplots(
            rows or 1, count, figsize=size, layout="constrained", squeeze=False, sharey=not rows
        )
        try:
            yield axes.ravel()
            handles, labels = axes[0][-1].get_legend_handles_labels()
            columns = 2 if size[0] > 5 else 1  # inches: a narrow figure would cut the labels
            drawn.legend(handles, labels, loc="outside lower left", ncols=columns, columnspacing=1.2)
            buffer = io.StringIO()
            drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            figure.raw = buffer.getvalue()
        finally:
            plt.close(drawn)


def cross_talk(studies: list[StudyResults], name: str) -> Figure | None:
    """Error rate at the other and at the learner's tokens, of SO and DO; None where not measured."""
    measures = ("other_error_rate", "learner_error_rate")
    places = []
    for study in studies:
        for output in study.outputs if study.dual else ():
            talk = study.difference("cross_talk", output)
            if talk is not None and talk.value is not None and talk.learned:
                places.append((study, output, talk.baseline))
    if not places:
        return None
    text = "Errors in percent at the learner’s and the other tokens: " + "; ".join(
        f"{study.name} {output}, {system} "
        + ", ".join(f"{100 * study.rate(m, system, output).value:.1f}" for m in reversed(measures))
        for study, output, baseline in places
        for system in (baseline, study.dual)
    )
    figure = Figure(name, text)
    with panels(figure, len(places)) as grid:
        for axes, (study, output, baseline) in zip(grid, places, strict=True):
            axes.set_title(f"{study.name}, {output}")
            for shift, system, label, color, look in (
                (-0.04, baseline, "single output", SINGLE, "s--"),
                (0.04, study.dual, f"dual output ({study.dual})", DUAL, "o-"),
            ):
                records = [study.rate(measure, system, output) for measure in measures]
                _line(axes, shift, records, color, look, label)
            axes.errorbar([], [], yerr=[], fmt="none", ecolor=INK, label="95 % interval")  # for the legend
            axes.set_xticks((0, 1), [kind.replace(" ", "\n") for kind in KINDS])
            axes.set_xlim(-0.35, 1.35)
        grid[0].set_ylabel("error rate, %")
        grid[0].set_ylim(bottom=0)  # of all panels, once all is drawn
    return figure


def by_divergence(study: StudyResults, name: str) -> Figure | None:
    """DO less SO by divergence, of each output, and the paper's; None where not measured."""
    bins = list(study.results.meta.bins) if study.dual else []
    lines = {}
    for output in study.outputs:
        found = [study.difference("error_rate", output, bin) for bin in bins]
        if found and all(one and one.learned for one in found):
            lines[output] = found
    if not lines:
        return None
    text = "Dual output minus single output by divergence, in points: " + "; ".join(
        f"{output} "
        + ", ".join(f"{b}: {points(one.value)}" for b, one in zip(bins, found, strict=True) if one.value is not None)
        for output, found in lines.items()
    )
    figure = Figure(name, text)
    with panels(figure) as (axes,):
        axes.set_title("Dual − single output, points")
        axes.axhline(0, color=INK, lw=0.8)
        for index, (output, found) in enumerate(lines.items()):
            color, look = ((DUAL, "o-"), (SINGLE, "s--"))[index]
            _line(axes, 0.08 * index - 0.04, found, color, look, output)
        paper = PAPER_BY_BIN.get(study.results.meta.language, {})
        if paper and "surface" in lines:
            places = [bins.index(name) for name in paper]
            axes.plot(places, paper.values(), "x", color=INK, label="the paper’s surface")
        axes.set_xticks(range(len(bins)), bins)
        axes.set_xlabel("learner’s edits in the utterance")
    return figure


def _line(axes, shift: float, records: list, color: str, look: str, label: str) -> None:
    """A line through the records' values in percent, with their intervals."""
    values = [float("nan") if r.value is None else 100 * r.value for r in records]
    places = [place + shift for place in range(len(values))]
    axes.plot(places, values, look, color=color, ms=5, label=label)
    for place, record in zip(places, records, strict=True):
        if record.interval:
            axes.vlines(place, *(100 * end for end in record.interval), color=color, lw=1.2, alpha=0.6)
