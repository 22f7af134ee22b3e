"""The divergence at each severity of simulated learners, beside the paper's Table 1."""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from l2dual.data.divergence import BINS, PAPER
from l2dual.files import atomic_write
from l2dual.report.plots import STYLE
from l2dual.simulate import MODULES
from l2dual.simulate.severity import SETTINGS
from l2dual.text import LANGUAGES

PAGE, PLOT = Path("docs/simulator.md"), Path("docs/severity.svg")
PLACE = re.compile(r"(?<=<!-- severity -->\n).*?(?=<!-- end -->)", re.DOTALL)
COLOURS = ("#dbe9f4", "#8fbbd9", "#3182bd", "#08306b")


def publish(found: dict) -> str:
    """Write table and plot to the documentation; ``found`` as `fit.at_each_severity` gives it.

    Returns:
        The table.
    """
    text = table(found)
    page = PLACE.sub(lambda _: text, PAGE.read_text(encoding="utf-8"))
    with atomic_write(PAGE) as stream:
        stream.write(page)
    plot(found, PLOT)
    return text


def table(found: dict) -> str:
    """A Markdown table; ``found`` by language, errors and severity."""
    lines = ["| | errors | severity | n | " + " | ".join(BINS) + " | mean | of `paper` |"]
    lines.append("| --- | --- | --- |" + " ---: |" * (len(BINS) + 3))
    for language in sorted(MODULES):
        shares = " | ".join(f"**{PAPER[language][name]}**" for name in BINS)
        lines.append(f"| {language} | | **Table 1** | | {shares} | | |")
        paper = found[language, "rules", "paper"]["mean"]
        for (other, errors, severity), row in found.items():
            if other == language:
                shares = " | ".join(f"{row['percent'][name]:.1f}" for name in BINS)
                mean = f"{row['mean']:.2f} | {row['mean'] / paper:.2f}"
                cells = (language, errors, f"`{severity}`", str(row["n"]), shares, mean)
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(found: dict, path: Path) -> None:
    """Stacked shares of the bins, one panel per language, Table 1 beside the severity `paper`."""
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, panels = plt.subplots(1, len(MODULES), figsize=(8, 3.2), layout="constrained")
        for axes, language in zip(panels, sorted(MODULES), strict=True):
            bars = {s: found[language, "rules", s]["percent"] for s in SETTINGS}
            names = list(bars)
            names.insert(names.index("paper") + 1, "Table 1")
            bars["Table 1"] = PAPER[language]
            bottom = [0.0] * len(names)
            for share, colour in zip(BINS, COLOURS, strict=True):
                heights = [float(bars[name][share]) for name in names]
                axes.bar(names, heights, bottom=bottom, color=colour, label=share, ec="white")
                bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
            axes.set_title(f"L2 {LANGUAGES[language]}")
            axes.set_ylabel("% of utterances")
            axes.tick_params(axis="x", labelsize=8)
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            title="divergence\n(characters)",
            loc="outside right center",
            reverse=True,
        )
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
