"""What longer training changes: error rates and cross-talk by epochs, of one study and of those trained longer."""

import re
from dataclasses import replace

from l2dual.report.plots import INK, Figure, panels
from l2dual.report.sharing import LOOKS
from l2dual.report.study import StudyResults, ends, percent, points
from l2dual.report.tables import Cell, Table

LONGER = r"_max_epoch-\d+"  # ends the name of a study that differs from another in its epochs

Lengths = dict[float, StudyResults]


def longer(name: str, names: list[str]) -> list[str]:
    """Those of ``names`` that are the study ``name``, but with other epochs."""
    return [one for one in names if re.fullmatch(re.escape(name) + LONGER, one)]


def lengths_of(name: str, kept: dict[str, StudyResults]) -> Lengths:
    """What was measured after each number of epochs, of a kept study and those that are :func:`longer`."""
    return by_epochs([kept[one] for one in (name, *longer(name, list(kept)))])


def by_epochs(studies: list[StudyResults]) -> Lengths:
    """What was measured after each number of epochs; half a budget counts as its own, a whole one wins over it."""
    found: Lengths = {}
    for share in (1, 2):
        for study in studies:
            results = study.results if share == 1 else study.half
            epochs = study.dual and study.runs_of(study.dual)[0].epochs
            one = replace(study, results=results, half=None) if results else study
            if epochs and results and one.dual:  # half a budget may have single outputs alone
                found.setdefault(epochs / share, one)
    return dict(sorted(found.items()))


def longest(lengths: Lengths) -> str:
    """The cross-talk after the most epochs, in a line; nothing where there is one length alone."""
    if len(lengths) < 2:
        return ""
    epochs, study = list(lengths.items())[-1]
    found = ((output, study.difference("cross_talk", output)) for output in study.outputs)
    said = (f"{output} {points(one.value)} {ends(one.interval)}".strip() for output, one in found if one)
    return f"Cross-talk of `{study.dual}` after {epochs:g} epochs: {', '.join(said)}"


def table(lengths: Lengths) -> Table:
    """A row for each length: error rates of SO and `do`, and cross-talk, of each output."""
    first = next(iter(lengths.values()))
    columns = [f"{o}: {w}" for o in first.outputs for w in (f"SO, {first.unit(o)} %", first.dual, "cross-talk")]
    rows = []
    for epochs, study in lengths.items():
        cells = []
        for output in first.outputs:
            talk = study.difference("cross_talk", output)
            cells += [Cell(percent(value)) for value in _rates(study, output)]
            cells.append(Cell(points(talk.value), ends(talk.interval)) if talk else Cell("–"))
        rows.append((Cell(f"{epochs:g}"), [*cells, Cell(str(len(study.runs_of(study.dual))))]))
    return Table("By epochs", "", [*columns, "seeds"], rows)


def figure(lengths: Lengths, name: str) -> Figure:
    """Error rates of SO (open) and `do`, and cross-talk with its interval, by epochs."""
    first = next(iter(lengths.values()))
    text = "After each number of epochs, single output / dual output / cross-talk: " + "; ".join(
        f"{output} " + ", ".join(f"{epochs:g}: {_said(study, output)}" for epochs, study in lengths.items())
        for output in first.outputs
    )
    drawn = Figure(name, text)
    with panels(drawn, 2, rows=1) as (rates, talks):
        rates.set_title("error rate, %")
        talks.set_title("cross-talk, points")
        talks.axhline(0, color=INK, lw=0.8)
        for output in first.outputs:
            _draw(rates, talks, lengths, output)
        for axes in (rates, talks):
            axes.set_xscale("log", base=2)
            axes.set_xticks(list(lengths), [f"{epochs:g}" for epochs in lengths])
            axes.minorticks_off()
            axes.set_xlabel("epochs")
        rates.set_ylim(0, 1.1 * rates.get_ylim()[1])
        handles, labels = rates.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):  # a figure has the legend of its last panel
            talks.plot([], [], color=handle.get_color(), marker=handle.get_marker(), ls=handle.get_linestyle(),
                       mfc=handle.get_markerfacecolor(), label=label)  # fmt: skip
    return drawn


def _draw(rates, talks, lengths: Lengths, output: str) -> None:
    color, mark, _ = LOOKS[output]
    first = next(iter(lengths.values())).outputs[0]
    both = {epochs: _rates(study, output) for epochs, study in lengths.items()}
    for side, who, fill, line in ((0, "single", "white", ":"), (1, "dual", color, "-")):
        found = {epochs: 100 * values[side] for epochs, values in both.items() if values[side] is not None}
        label = f"{output}, {who} output"
        rates.plot(list(found), list(found.values()), mark + line, color=color, mfc=fill, label=label)
    differences = ((epochs, study.difference("cross_talk", output)) for epochs, study in lengths.items())
    beside = 0.97 if output == first else 1.03  # so that intervals do not hide each other
    known = {epochs * beside: one for epochs, one in differences if one and one.value is not None}
    talks.plot(list(known), [100 * one.value for one in known.values()], mark + "-", color=color)
    for epochs, one in known.items():
        if one.interval:
            talks.vlines(epochs, *(100 * end for end in one.interval), color=color, lw=1.2, alpha=0.6)


def _said(study: StudyResults, output: str) -> str:
    talk = study.difference("cross_talk", output)
    return " / ".join([*map(percent, _rates(study, output)), points(talk.value if talk else None)])


def _rates(study: StudyResults, output: str) -> list[float | None]:
    """The error rate of the single-output system and of `do`."""
    found = (study.rate("error_rate", name, output) for name in (study.baseline(output), study.dual))
    return [one.value if one else None for one in found]
