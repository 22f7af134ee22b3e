#!/usr/bin/env python3
"""Draw error against training time, from lines of tools/grid.py with conf/grid/budgets.yaml.

    tools/curve.py docs/training.json --out docs/budgets.svg
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

from l2dual.errors import UsageError, run
from l2dual.files import write_text
from l2dual.report.plots import Figure, panels
from l2dual.report.sharing import LOOKS
from l2dual.text import LANGUAGES

SEARCH = "joint 0.7"
Points = dict[int, tuple[float, float]]  # by epochs: minutes, error rate in percent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    text = args.lines.read_text(encoding="utf-8")
    found = curves(json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines())))
    if not found:
        raise UsageError(f"{args.lines}: no run of conf/grid/budgets.yaml in it")
    figure = draw(found)
    write_text(args.out, figure.raw)
    print(f"![{figure.text}]({args.out.name})")


def curves(lines: list[dict]) -> dict[tuple[str, str], Points]:
    """The points of each language and output, by epochs. Half a training takes half of its time."""
    found: dict[tuple[str, str], Points] = defaultdict(dict)
    for line in lines:
        named = re.fullmatch(r"(surface|meaning)\.(\d+)(/half)?", line["name"])
        if named and line["train_config"] == "mini":
            output, epochs, half = named[1], int(named[2]), bool(named[3])
            minutes = (line["of"] / 2 if half else line["seconds"]) / 60
            found[line["language"], output][epochs // (1 + half)] = (minutes, line[SEARCH][output]["cer"])
    return {place: dict(sorted(points.items())) for place, points in found.items()}


def draw(found: dict[tuple[str, str], Points]) -> Figure:
    """A panel for each language."""
    languages = sorted({language for language, _ in found})
    said = (
        f"{LANGUAGES[language]} {output} "
        + ", ".join(f"{epochs} epochs ({minutes:.0f} min): {rate:.1f}" for epochs, (minutes, rate) in points.items())
        for (language, output), points in sorted(found.items())
    )
    figure = Figure("budgets", "Error rate of single outputs in percent: " + "; ".join(said))
    with panels(figure, len(languages), rows=1) as grid:
        for axes, language in zip(grid, languages, strict=True):
            axes.set_title(f"{LANGUAGES[language]}: error rate, %")
            for output, (color, mark, line) in LOOKS.items():
                points = found.get((language, output), {})
                places = [minutes for minutes, _ in points.values()]
                axes.plot(places, [rate for _, rate in points.values()], mark + line, color=color, label=output)
                for epochs, place in points.items():
                    axes.annotate(f" {epochs}", place, color=color, xytext=(3, 3), textcoords="offset points")
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlabel("CPU minutes of training (numbers: epochs)")
            axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    return figure


if __name__ == "__main__":
    run(main)
