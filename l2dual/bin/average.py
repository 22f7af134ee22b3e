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
from l2dual.recipe.settings import RUN
from l2dual.training.runs import made_by_command, write_yaml

COPIED = ("config.yaml", "lexicon.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="trained, two or more")
    parser.add_argument("--out", type=Path, required=True, help="a new directory, NAME.seedN")
    args = parser.parse_args()
    facts = checked(args.runs, args.out)
    import torch

    from l2dual.models.adapters import average
    from l2dual.training.load import best_model, load_model

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
    write_yaml(new / "run.yaml", facts | made_by_command("average"))
    torch.save(models[0].state_dict(), new / best_model(args.runs[0]).name)
    (new / "trained").touch()
    new.replace(args.out)
    print(f"{args.out}: {number} adapters, each the mean of {len(args.runs)} runs")


def checked(runs: list[Path], out: Path) -> dict:
    """What run.yaml says of the mean of runs; UsageError where they have none, or ``out`` can't be it."""
    if len({one.resolve() for one in runs}) < max(2, len(runs)):
        raise UsageError(f"{runs[0]}: give two or more runs, each once")
    facts = [read_yaml(one / "run.yaml") for one in runs]
    if len({(fact["system"], fact["data"]) for fact in facts}) > 1:
        raise UsageError("the runs are of several systems or data: give the seeds of one system of one study")
    named = RUN.fullmatch(out.name)
    if not named or named[1] == facts[0]["system"]:
        raise UsageError(f"--out {out}: call it NAME.seed1, where NAME is no system: as {facts[0]['system']}_averaged")
    if out.exists():
        raise UsageError(f"{out}: is there already: remove it, or give another --out")
    own = {"system": named[1], "label": f"{facts[0]['label']}, {len(runs)} seeds averaged", "seed": int(named[2])}
    parts = {one.name: fact["commit"] for one, fact in zip(runs, facts, strict=True)}
    return facts[0] | own | {"averaged": parts}


if __name__ == "__main__":
    run(main)
