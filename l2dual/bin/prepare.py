"""Stage 1: a corpus to the data directories DIR/train, DIR/valid and DIR/test.

python -m l2dual.bin.prepare --corpus simulated --language en --convention heard \
    --db conf/simulate/mini.yaml --out DIR
python -m l2dual.bin.prepare --corpus pansori --language ko --convention pronounced \
    --db PATH --assume_surface true --out DIR
python -m l2dual.bin.prepare --corpus table --language en --convention heard \
    --db FILE.csv --columns "meaning=Text,surface=What they said" --out DIR
"""

import argparse
import shutil
import sys
from pathlib import Path

from l2dual import corpora
from l2dual.bin import boolean, natural, positive_int
from l2dual.corpora.common.directories import write
from l2dual.corpora.common.spreadsheet import parse_columns
from l2dual.data.utterance import SPLITS
from l2dual.errors import DataError, UsageError, run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True, help=", ".join(corpora.CORPORA))
    parser.add_argument("--language", choices=("en", "ko"), required=True)
    parser.add_argument("--convention", choices=("heard", "pronounced"), required=True)
    parser.add_argument("--db", type=Path, required=True,
                        help="where it is; of the simulated corpus: its sizes (YAML)")  # fmt: skip
    parser.add_argument("--seed", type=natural, default=1, help="of a split, or of the simulation")
    parser.add_argument("--nj", type=positive_int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assume_surface", type=boolean, default=False)
    real = parser.add_argument_group("some real corpora")
    real.add_argument("--field_map", help="AI-Hub: its labels' fields; a name, or a YAML file")
    real.add_argument("--columns", default="", help="table: OURS=THEIRS,...")
    real.add_argument("--canonical", choices=("given", "dictionary"), default="given")
    real.add_argument("--allow_pipes", type=boolean, default=False, help="kaldi: run commands")
    simulated = parser.add_argument_group("the simulated corpus")
    simulated.add_argument("--severity", default="paper", help="how much learners err")
    simulated.add_argument("--errors", default="rules", help="rules or random")
    simulated.add_argument("--engine", default="espeak")
    simulated.add_argument("--prompts", type=Path, help="sentences, one a line")
    args = vars(parser.parse_args())
    corpus, db, assume = args.pop("corpus"), args.pop("db"), args.pop("assume_surface")
    request = corpora.Request(**args | {"columns": parse_columns(args["columns"])})
    corpora.check(corpus, request)
    _clear(request.out, corpus == "simulated")
    try:
        utterances, info = corpora.module(corpus).prepare(db, request)
    except DataError as error:
        for fault in getattr(error, "__notes__", ()):
            print(fault, file=sys.stderr)
        raise
    for line in write(request.out, corpus, request, utterances, info, assume):
        print(line)


def _clear(out: Path, audio: bool) -> None:
    """Remove the splits that an earlier call wrote to ``out``, and the ``audio`` of simulated ones."""
    there = [out / name for name in SPLITS if (out / name).exists()]
    for path in there:
        if not (path / "corpus.yaml").is_file():
            raise UsageError(f"{path}: exists without corpus.yaml: remove it, or give another --out")
    for path in [*there, *([out / "audio"] if audio else [])]:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    run(main)
