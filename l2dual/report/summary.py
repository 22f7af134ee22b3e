"""The table on the terminal: one line per system, and where each report is."""

from pathlib import Path

from l2dual.report.rates import RATE, Comparison, comparisons
from l2dual.score import read_records

HEAD = ("language", "corpus", "convention", "system", "seeds", "surface", "meaning")


def summary(paths: list[Path]) -> str:
    """Lay the overall error rates of several results.json out, with the report beside each."""
    lines, reports = [HEAD], []
    for path in paths:
        records = [r for r in read_records(path) if r["kind"] == "error_rate"]
        for group in comparisons(records):
            lines += [row(group, system) for system in group.systems]
        report = path.with_name("report.html")
        if report.is_file():
            reports.append(f"report: {report.resolve()}")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    rows.insert(1, "  ".join("-" * columns for columns in widths))
    return "\n".join([*rows, *reports])


def row(group: Comparison, system: str) -> tuple[str, ...]:
    """One system's line; the mean over seeds, with their standard deviation from two on."""
    rates = []
    for output in ("surface", "meaning"):
        unit = group.units.get(output, ["char"])[0]
        cell = group.cell(system, output, unit, "all")
        if cell is None or cell.mean is None:
            rates.append("-")
        else:
            spread = f" (sd {cell.sd:.1f})" if cell.sd is not None else ""
            rates.append(f"{RATE[unit]} {cell.mean:.1f} %{spread}")
    seeds = " ".join(map(str, group.seeds))
    return (group.language, group.corpus, group.surface_convention, system, seeds, *rates)
