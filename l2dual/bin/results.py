"""Stage 10, second half: compare scored runs in one results file, or score a kept study for one.

    python -m l2dual.bin.results exp/*/decode/score --data dump/DATA/test --out exp/results.json
    python -m l2dual.bin.results results/STUDY --out results.json
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from l2dual.data.datadir import DataDir
from l2dual.data.seen import seen_sentences
from l2dual.errors import DataError, UsageError, run
from l2dual.scoring.results import write_results
from l2dual.scoring.score import read_scored
from l2dual.training.runs import made_by_command

if TYPE_CHECKING:
    from l2dual.scoring.outcomes import Comparison


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORES_OR_STUDY")
    parser.add_argument("--data", type=Path, help="data directory of the references; not for a study")
    parser.add_argument("--also", type=Path, nargs="*", default=[], metavar="SCORES",
                        help="scores of earlier runs, added if comparable")  # fmt: skip
    parser.add_argument("--decode", help="of a study: name of the decodings; default: the whole budget's")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    from l2dual.report import records
    from l2dual.report.summary import summary
    from l2dual.scoring.outcomes import gather, outcomes

    if args.data is None:
        if len(args.scores) > 1 or args.also:
            raise UsageError("results: give --data, or one kept study alone")
        kept = records.load_study(args.scores[0])
        data, study = kept.data, gather(kept.data, kept.scored(args.decode))
    else:
        data = DataDir.load(args.data)
        study = gather(data, [read_scored(path) for path in args.scores])
        for path in args.also:
            study = _with(study, path)
    trained_on = next(iter(study.runs.values())).run.trained_on
    seen = seen_sentences(data, Path(trained_on))
    write_results(args.out, outcomes(study, made_by_command("results"), seen))
    print(summary([args.out]))


def _with(study: "Comparison", path: Path) -> "Comparison":
    """The study with one more run, or as it is, saying why, where that cannot be compared."""
    from l2dual.scoring.outcomes import gather

    try:
        return gather(study.data, [*study.runs.values(), read_scored(path)])
    except DataError as error:
        print(f"left out: {error}", file=sys.stderr)
        return study


if __name__ == "__main__":
    run(main)
