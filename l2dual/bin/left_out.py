"""Does divergence predict degradation for a first language (L1) left out of training?

    for l1 in japanese korean mandarin; do
        ./run.sh --leave_out_l1 "${l1}" --expdir "exp/without_${l1}" --stop_stage 10
    done
    python -m l2dual.bin.left_out exp/without_*/*/decode/score --out exp/left_out.json

Each L1 was recognized by models that did not hear it; together the test sets are all speakers.
"""

import argparse
from pathlib import Path

from l2dual.bin import run
from l2dual.inference import infer, load, pool
from l2dual.runs import made_by_command
from l2dual.score import read_records, write_records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, nargs="+", metavar="SCORE_DIR")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    by_data: dict[str, list[Path]] = {}
    for path in args.scores:
        data = read_records(path / "score.json")[0]["data"]
        by_data.setdefault(data, []).append(path)
    records = infer(pool([load(paths) for paths in by_data.values()]), None)
    records[0] |= made_by_command("left_out")
    write_records(args.out, records)
    for record in records:
        if record["kind"].startswith("slope") and record["measure"] == "log_rate_ratio":
            print(sentence(record))


def sentence(record: dict) -> str:
    """The slope of a record, with its interval, or why there is none."""
    name = f"{record['output']} {record['unit']}, {record['system']}, L1 {record['l1']}"
    if record["interval"] is None:
        return f"{name}: {record['reason']}"
    low, high = record["interval"]
    return f"{name}: slope {record['value']:+.2f} [{low:+.2f}, {high:+.2f}], p {record['p']:.2g}"


if __name__ == "__main__":
    run(main)
