"""The page over the studies of a recipe: python -m l2dual.recipe.index EXPDIR writes EXPDIR/index.html.

Stage 12 calls it. It reads study.yaml and results.json of each study.
"""

import argparse
import sys
from pathlib import Path

from l2dual.errors import L2DualError, one_line, run
from l2dual.files import atomic_write, read_yaml
from l2dual.pages import fill
from l2dual.recipe.definition import define, differences
from l2dual.recipe.studies import DEFAULT, RUNS, options_of
from l2dual.scoring.results import Results, read_results
from l2dual.text.units import RATES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expdir", type=Path)
    expdir = parser.parse_args().expdir
    page, content = expdir / "index.html", index(expdir)
    if not page.is_file() or page.read_text(encoding="utf-8") != content:
        with atomic_write(page) as stream:
            stream.write(content)


def index(expdir: Path) -> str:
    """The page."""
    rows = [row for path in sorted(expdir.glob("*/study.yaml")) if (row := _described(path.parent))]
    return fill("l2dual.recipe", "index.html", {"studies": rows, "default": DEFAULT})


def _described(directory: Path) -> dict | None:
    """As `describe`; None, and a line that says why, for a study that can't be read."""
    try:
        return describe(directory)
    except (L2DualError, KeyError) as error:
        print(f"{directory}: not in index.html: {one_line(str(error))}", file=sys.stderr)
        return None


def describe(directory: Path) -> dict:
    """What the page says of one study."""
    record = read_yaml(directory / "study.yaml")
    usual = define(options_of(DEFAULT, directory.parent), record["language"])
    runs = [path.name.rpartition(".seed") for path in directory.glob(RUNS) if path.name.rpartition("d")[2].isdigit()]
    results = directory / "results.json"
    reports = [path for path in sorted(directory.glob("**/report.html"))]
    return {
        "name": directory.name,
        "command": (directory / "study.yaml").read_text(encoding="utf-8").partition("\n")[0].lstrip("# "),
        "differs": [each.partition(", not ")[0] for each in differences(record["definition"], usual)],
        "systems": sorted({name for name, _, _ in runs}),
        "seeds": sorted({int(seed) for _, _, seed in runs}),
        "rates": rates(read_results(results)) if results.is_file() else [],
        "reports": [str(path.relative_to(directory.parent)) for path in reports],
    }


def rates(results: Results) -> list[str]:
    """The error rates that were scored, a line for each system."""
    lines = []
    for system in dict.fromkeys(each.system for each in results.meta.runs):
        scored = ((output, results.get("error_rate", system, output)) for output in results.meta.units)
        found = (
            f"{output} {RATES.get(rate.unit, rate.unit)} {100 * rate.value:.1f} %"
            for output, rate in scored
            if rate and rate.value is not None
        )
        lines.append(f"{system}: {', '.join(found)}")
    return lines


if __name__ == "__main__":
    run(main)
