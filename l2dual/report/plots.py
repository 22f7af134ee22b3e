"""Plots as SVG text to stand in the page: vectors, with text as text, one panel each."""

import io
import re
from itertools import cycle
from math import isnan

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from markupsafe import Markup  # noqa: E402

from l2dual.divergence import BINS  # noqa: E402
from l2dual.divergence import PAPER as PAPER_BINS  # noqa: E402
from l2dual.outputs import SINGLE  # noqa: E402
from l2dual.report.rates import RATE, Cell, Comparison  # noqa: E402
from l2dual.report.verdict import not_begun  # noqa: E402

SIZE = (4.0, 2.9)  # inches: a panel is as wide as a phone's screen
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "l2dual",
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
# Okabe and Ito's palette: told apart by readers with any colour vision, and by the markers
SINGLE_LOOKS = (("#0072B2", "s", "-"), ("#000000", "X", "--"))
DUAL_LOOKS = (
    ("#D55E00", "o", "-"),
    ("#009E73", "^", "--"),
    ("#CC79A7", "D", "-."),
    ("#56B4E9", "v", ":"),
    ("#E69F00", "P", "--"),
    ("#777777", "<", "-."),
)
WIDE = 18  # letters of a label that two columns have no room for
APART = 0.06  # of a bin: keeps intervals of several systems from covering each other


class Panel:
    """One small figure; ``with Panel(name) as axes: ...`` and then ``.svg``.

    With a ``grid`` of rows and columns, ``axes`` are as many; the title is then that of all.
    """

    def __init__(self, name: str, title: str, grid: tuple[int, int] | None = None):
        self.name, self.title, self.svg, self.grid = name, title, Markup(""), grid

    def __enter__(self):
        self.context = plt.rc_context(STYLE)
        self.context.__enter__()
        if self.grid is None:
            self.figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
            axes.set_title(self.title)
            return axes
        size = SIZE[0], SIZE[0] / 2 * self.grid[0] + 0.6
        self.figure, axes = plt.subplots(*self.grid, figsize=size, layout="constrained", squeeze=False)
        self.figure.suptitle(self.title, fontsize=STYLE["axes.titlesize"], x=0.01, ha="left")
        return axes.ravel()

    def __exit__(self, *error):
        if error[0] is None:
            buffer = io.StringIO()
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            self.svg = embeddable(buffer.getvalue(), self.name, self.title)
        plt.close(self.figure)
        self.context.__exit__(*error)


def embeddable(svg: str, name: str, title: str) -> Markup:
    """Cut the XML prologue and fixed size off, and make the ids unique in the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    svg = f'{head} role="img" aria-label="{Markup.escape(title)}">{rest}'
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return Markup(re.sub(r"url\(#", f"url(#{name}-", svg))


def legend(axes) -> None:
    """Put the legend below the panel, where no line can run under it."""
    longest = max((len(label) for label in axes.get_legend_handles_labels()[1]), default=0)
    axes.figure.legend(loc="outside lower left", ncols=2 if longest < WIDE else 1, columnspacing=1.2)


def looks(comparison: Comparison, output: str) -> dict[str, tuple[str, str, str]]:
    """Give each system that has an output its colour, marker and line, the same for both outputs."""
    duals = comparison.duals
    singles = [one for one in comparison.systems if comparison.has(one, output) and one not in duals]
    found = dict(zip(singles, cycle(SINGLE_LOOKS)))
    found |= dict(zip(duals, cycle(DUAL_LOOKS)))
    return {system: look for system, look in found.items() if comparison.has(system, output)}


def draw_by_bin(axes, lines: list[tuple[str, list[Cell], tuple[str, str, str]]]) -> None:
    """Draw the means over BINS as lines with markers, intervals as bars, and seeds as dots."""
    for index, (label, cells, (color, marker, line)) in enumerate(lines):
        shift = APART * (index - (len(lines) - 1) / 2)
        places = [place + shift for place in range(len(cells))]
        means = [float("nan") if cell.mean is None else cell.mean for cell in cells]
        axes.plot(places, means, line, color=color, marker=marker, label=label, ms=5)
        for x, cell in zip(places, cells, strict=True):
            if cell.interval:
                axes.vlines(x, *cell.interval, color=color, lw=1, alpha=0.6)
            if len(cell.values) > 1:
                axes.plot([x] * len(cell.values), list(cell.values.values()), ".", color=color, ms=3)
        bin_axis(axes, cells)
    legend(axes)


def bin_axis(axes, cells: list) -> None:
    """Name the bins, with their numbers of utterances below."""
    labels = [f"{name}\nn={cell.n_utts}" for name, cell in zip(BINS, cells, strict=True)]
    axes.set_xticks(range(len(BINS)), labels)
    axes.set_xlim(-0.4, len(BINS) - 0.6)


def error_by_bin(
    comparison: Comparison, half: Comparison | None, output: str, name: str
) -> Markup:
    """Plot the error rate of each system that has this output, by divergence bin.

    A system is left out that had not begun to learn it at half the training budget: the others
    could not be told apart on its scale.
    """
    unit = comparison.units[output][0]
    panel = Panel(name, f"{output.capitalize()}: {RATE[unit]} by divergence (%)")
    lines = []
    for system, look in looks(comparison, output).items():
        if not not_begun(half, system, output, SINGLE[output]):
            lines.append((system, [comparison.cell(system, output, unit, bin) for bin in BINS], look))
    with panel as axes:
        draw_by_bin(axes, lines)
        axes.set_ylim(bottom=0)
    return panel.svg


def degradation_by_bin(
    comparison: Comparison, half: Comparison | None, output: str, name: str
) -> Markup:
    """Plot DO minus SO in points, by divergence bin, beside the system with the same CTC if it is there.

    Systems are left out as in :func:`error_by_bin`.
    """
    unit = comparison.units[output][0]
    language = comparison.language.upper()
    panel = Panel(name, f"{language} {output}: DO − SO by divergence (points)")
    lines = []
    for system, look in looks(comparison, output).items():
        baseline = comparison.matched(system, output)
        if system in comparison.duals and not not_begun(half, system, output, baseline):
            cells = [comparison.degradation(system, output, unit, bin, baseline) for bin in BINS]
            lines.append((f"{system} − {baseline}", cells, look))
    with panel as axes:
        axes.axhline(0, color="#555", lw=0.8)
        draw_by_bin(axes, lines)
    return panel.svg


def divergence_bars(records: list[dict], name: str) -> Markup:
    """Plot the share of utterances per bin, of each split and of the paper's corpus."""
    language = records[0]["language"]
    bars = {record["split"]: record["percent"] for record in records if record["l1"] == "all"}
    if language in PAPER_BINS:
        bars["paper (AI-Hub)"] = PAPER_BINS[language]
    shades = ("#9ecae1", "#4292c6", "#08519c")
    panel = Panel(name, "Utterances by divergence (%)")
    with panel as axes:
        wide = 0.8 / len(bars)
        for i, (label, percent) in enumerate(bars.items()):
            paper = label.startswith("paper")
            axes.bar(
                [x + (i - (len(bars) - 1) / 2) * wide for x in range(len(BINS))],
                [percent[bin] for bin in BINS],
                wide * 0.92,
                label=label,
                color="white" if paper else shades[i % 3],
                edgecolor="#555" if paper else "none",
                hatch="///" if paper else None,
                lw=0.6,
            )
        axes.set_xticks(range(len(BINS)), BINS)
        legend(axes)
    return panel.svg


def cka_by_layer(pair: dict, name: str) -> Markup:
    """Plot one pair of encoders: ``pair`` has ``title``, ``layers`` and the lines' values."""
    panel = Panel(name, pair["title"])
    with panel as axes:
        xs = range(len(pair["layers"]))
        for key, look, label in (
            ("cka", {"color": "#D55E00", "marker": "o", "ls": "-"}, "CKA"),
            ("ceiling", {"color": "#009E73", "marker": "^", "ls": "-."}, "ceiling"),
            ("floor", {"color": "#0072B2", "marker": "s", "ls": ":"}, "floor (random encoders)"),
            ("null", {"color": "#555", "marker": "x", "ls": "--"}, "null (permuted)"),
        ):
            values = [float("nan") if v is None else v for v in pair[key]]
            if any(value == value for value in values):
                axes.plot(xs, values, label=label, ms=5, **look)
        low = [float("nan") if v is None else v[0] for v in pair["intervals"]["cka"]]
        high = [float("nan") if v is None else v[1] for v in pair["intervals"]["cka"]]
        axes.fill_between(xs, low, high, color="#D55E00", alpha=0.18, lw=0)
        axes.set_xticks(xs, pair["layers"])
        axes.set_xlabel("encoder block")
        axes.set_ylim(min(0, axes.get_ylim()[0]), 1.02)
        legend(axes)
    return panel.svg


def heat_maps(
    title: str, x: str, y: str, matrices: dict[str, list[list[float]]], name: str
) -> Markup:
    """Draw every block of ``x`` (rows, first block below) with every block of ``y``, a map a matrix."""
    panel = Panel(name, title, ((len(matrices) + 1) // 2, 2))
    with panel as grid:
        for axes, (label, matrix) in zip(grid, matrices.items()):
            _heat_map(axes, label, matrix)
        for axes in grid[len(matrices) :]:
            axes.axis("off")
        panel.figure.supxlabel(f"block of {y}", fontsize=STYLE["font.size"])
        panel.figure.supylabel(f"block of {x}", fontsize=STYLE["font.size"])
    return panel.svg


def _heat_map(axes, label: str, matrix: list[list[float]]) -> None:
    axes.set_title(label)
    axes.grid(False)
    axes.pcolormesh(matrix, vmin=0, vmax=1, cmap="cividis", edgecolor="white", lw=0.5)
    size = 8 if len(matrix[0]) <= 4 else 28 / len(matrix[0])
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            color = "white" if value <= 0.55 else "black"
            place = (column + 0.5, row + 0.5)
            text = "–" if isnan(value) else f"{value:.2f}".replace("-", "−")
            axes.annotate(text, place, ha="center", va="center", color=color, fontsize=size)
    axes.set_xticks([i + 0.5 for i in range(len(matrix[0]))], range(1, len(matrix[0]) + 1))
    axes.set_yticks([i + 0.5 for i in range(len(matrix))], range(1, len(matrix) + 1))


def gradient_cosines(system: str, layers: dict[str, list[dict]], name: str) -> Markup:
    """Plot the cosines of each layer over the training steps, the mean over the seeds."""
    panel = Panel(name, f"{system}: cosine of the outputs’ gradients")
    with panel as axes:
        axes.axhline(0, color="#555", lw=0.8)
        for (layer, records), (color, marker, line) in zip(layers.items(), cycle((SINGLE_LOOKS[0], *DUAL_LOOKS))):
            at: dict[int, list[float]] = {}
            for record in records:
                for step, value in zip(record["steps"], record["cosines"], strict=True):
                    at.setdefault(step, []).append(value)
            means = {step: sum(values) / len(values) for step, values in sorted(at.items())}
            look = {"color": color, "marker": marker, "ls": line, "ms": 4}
            axes.plot(means.keys(), means.values(), label=layer, **look)
        axes.set_xlabel("iterations")
        legend(axes)
    return panel.svg


def learning_curve(title: str, curves: dict[str, dict[int, float]], name: str) -> Markup:
    """Plot training and validation loss, each {iterations: loss}."""
    panel = Panel(name, title)
    with panel as axes:
        for split, look in (("train", {"color": "#777"}), ("valid", {"color": "#D55E00"})):
            marker = "o" if split == "valid" else ""
            axes.plot(*zip(*curves[split].items()), marker=marker, ms=4, label=split, **look)
        axes.set_xlabel("iterations")
        legend(axes)
    return panel.svg
