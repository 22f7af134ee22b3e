"""Average the adapters of a system's seeds into one model, which is no larger.

    python -m l2dual.bin.average exp/STUDY/do_split.seed{1,2,3} --out exp/STUDY/do_split_averaged.seed1

OUT is a run as stage 8 leaves it: decode, rate, score and pack it as any other (docs/encoders.md). Heads are the
first run's.
"""

import argparse
import shutil
from pathlib import Path

from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.training.runs import write_yaml

COPIED = ("config.yaml", "lexicon.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="trained, two or more")
    parser.add_argument("--out", type=Path, required=True, help="a new directory, NAME.seedN")
    args = parser.parse_args()
    if len(args.runs) < 2:
        raise UsageError(f"{args.runs[0]}: one run has no average: give two or more")
    if args.out.exists():
        raise UsageError(f"{args.out}: is there already: remove it, or give another --out")
    import torch

    from l2dual.models.adapters import average
    from l2dual.training.load import best_model, load_model

    facts = [read_yaml(one / "run.yaml") for one in args.runs]
    if len({(fact["system"], fact["data"]) for fact in facts}) > 1:
        raise UsageError("the runs are of several systems or data: give the seeds of one system of one study")
    models = [load_model(one) for one in args.runs]
    try:
        number = average(models)
    except UsageError as error:
        raise UsageError(f"{args.runs[0]}: {error}") from error
    new = args.out.with_name(args.out.name + ".tmp")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in COPIED:
        if (args.runs[0] / name).is_file():
            shutil.copy(args.runs[0] / name, new)
    own = {"system": args.out.name.partition(".")[0], "label": f"{facts[0]['label']}, {len(args.runs)} seeds averaged"}
    write_yaml(new / "run.yaml", facts[0] | own | {"averaged": [one.name for one in args.runs]})
    torch.save(models[0].state_dict(), new / best_model(args.runs[0]).name)
    (new / "trained").touch()
    new.replace(args.out)
    print(f"{args.out}: {number} adapters, each the mean of {len(args.runs)} runs")


if __name__ == "__main__":
    run(main)
