#!/usr/bin/env python3
"""Train many settings on a recipe's data, score each on its development set, write one line a run.

    cd egs2/l2_en && ./run.sh --stop_stage 7 && ../../tools/grid.py ../../conf/grid/mini.yaml --out grid.jsonl

The YAML file maps a name to its ``system`` and to what it changes in the training configuration; ``seed`` is 1
unless given; ``half: true`` also trains and scores half the budget. A line of the results holds the
changes, the steps, the CPU seconds of the training (without start-up) and, for each search (greedy CTC, or
joint at a CTC weight), percent of character errors of each output: of all tokens, at the learner's and at
the others. Runs that the results file has are not made again; a run that was stopped begins anew.
"""

import argparse
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from l2dual.bin import configure
from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import run
from l2dual.files import read_yaml
from l2dual.models.beam import GreedyCTC
from l2dual.models.dual import L2DualModel
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.scoring.score import COPIED, COUNTS, ERRORS, run_of, score, units_of
from l2dual.systems import OUTPUTS
from l2dual.training.load import load_model, tokens_to_text_of
from l2dual.training.runs import merge, write_yaml
from l2dual.training.task import L2DualTask
from l2dual.training.trainer import HALF

ROOT = Path(__file__).resolve().parents[1]
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path, help="YAML: name: {system: so_surface, max_epoch: 3, ...}")
    parser.add_argument("--base", type=Path, default=ROOT / "conf/train/mini.yaml")
    parser.add_argument("--data", type=Path, default=Path("dump/simulated_mini_heard"))
    parser.add_argument("--stats", type=Path, default=Path("exp/mini/stats"))
    parser.add_argument("--expdir", type=Path, default=Path("exp/grid"))
    parser.add_argument("--searches", type=float, nargs="*", default=[], help="CTC weights of joint searches")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    own = {"language": language_of(args), "train_config": args.base.stem}
    names = {line["name"] for line in map(json.loads, done) if line.items() >= own.items()}
    for name, changes in read_yaml(args.settings).items():
        if name not in names:
            record(args, name, dict(changes))


def language_of(args: argparse.Namespace) -> str:
    return DataDir.load(args.data / "valid").info["language"]


def record(args: argparse.Namespace, name: str, changes: dict) -> None:
    """Train one setting, and half its budget if it says ``half: true``; write what they score."""
    exp = args.expdir / args.base.stem / name
    kept = {"language": language_of(args), "train_config": args.base.stem, "name": name, "changes": dict(changes)}
    half = changes.pop("half", False)
    shutil.rmtree(exp, ignore_errors=True)  # of a call that was stopped, or with other settings
    begin(args, exp, changes)
    options = ["--config", str(exp / "train.yaml"), "--output_dir", str(exp), "--resume", "true"]
    facts = [kept | train(options) | rates(args, exp)]
    if half:
        more = {"name": f"{name}/half", "of": facts[0]["seconds"]}
        facts.append(kept | more | train([*options, "--half", "true"]) | rates(args, exp / HALF))
    with args.out.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in facts)


def begin(args: argparse.Namespace, exp: Path, changes: dict) -> None:
    """Write what the run ``exp`` trains, as stage 8 does."""
    system, seed = changes.pop("system"), changes.pop("seed", 1)
    own = exp.with_suffix(".yaml")
    write_yaml(own, merge(read_yaml(ROOT / f"conf/systems/{system}.yaml"), changes))
    tokens: list[object] = []
    for output in OUTPUTS:
        directory = next(path for name in (output, "joint") for path in (args.data / "tokens").glob(f"{name}_*"))
        tokens += [f"--{output}_tokens", directory, f"--{output}_token_type", directory.name.split("_", 1)[1]]
    call(
        configure.main, "--train_config", args.base, "--system", own, "--seed", seed,
        "--data", args.data, "--stats", args.stats, *tokens, "--out", exp,
    )  # fmt: skip


def train(options: list[str]) -> dict:
    """Train, and tell the CPU seconds."""
    start = time.process_time()
    L2DualTask.main(cmd=[*options, "--log_level", "WARNING"])
    return {"seconds": round(time.process_time() - start, 1)}


def rates(args: argparse.Namespace, exp: Path) -> dict:
    """The steps of a run, the size of its model, and the error rates of each search."""
    model = load_model(exp)
    checkpoint = torch.load(exp / "checkpoint.pth", weights_only=False)
    found = {"parameters": sum(p.numel() for p in model.parameters())}
    found["steps"] = checkpoint["schedulers"][0]["last_epoch"]
    data = DataDir.load(args.data / "valid")
    searches: dict[str, Callable] = {}
    if model.ctcs:
        searches["greedy"] = lambda *speech: greedy(model, *speech)
    for weight in args.searches if model.decoders else ():
        options = SearchOptions(ctc_weight=dict.fromkeys(model.outputs, weight))
        searches[f"joint {weight}"] = DualDecoder(model, options)
    for search, decode in searches.items():
        start = time.process_time()
        found[search] = error_rates(data, exp, model, decode)
        found[search]["seconds"] = round(time.process_time() - start, 1)
    return found


def call(command: Callable[[], None], *words: object) -> None:
    """Call a command of l2dual.bin with words of its command line."""
    before, sys.argv = sys.argv, ["grid", *map(str, words)]
    command()
    sys.argv = before


@torch.inference_mode()
def greedy(model: L2DualModel, speech: torch.Tensor, lengths: torch.Tensor) -> dict[str, list[list[str]]]:
    """The frames' best labels without blanks and repeats, of each output that has a CTC.

    Args:
        speech: samples, (B, T).
        lengths: (B,).
    """
    encoded, found = model.encode(speech, lengths), {}
    for output, ctc in model.ctcs.items():
        best = GreedyCTC(ctc, model.token_lists[output])(*encoded.of(output))
        found[output] = [hypotheses[0].tokens if hypotheses else [] for hypotheses in best]
    return found


def error_rates(data: DataDir, exp: Path, model: L2DualModel, decode: Callable) -> dict:
    """Percent of errors of each output: of all tokens, at the learner's tokens, at the others."""
    texts: dict[str, dict[str, str]] = {}
    for utts, speech, lengths in batches(data, BATCH):
        for output, found in decode(speech, lengths).items():
            to_text = tokens_to_text_of(exp, output)
            texts.setdefault(output, {}).update(zip(utts, map(to_text, found), strict=True))
    facts = dict.fromkeys((*COPIED, "data"), exp.name)
    scored = score(data, texts, run_of(facts | {"outputs": list(texts)}, exp.name, "development"))
    rates = {}
    for output in texts:
        table = scored.counts[output, units_of(data.info, output)[0]]
        count = dict(zip(COUNTS, table.sum(0), strict=True))
        wrong = count["substitutions"] + count["deletions"]
        others = count["n_ref"] - count["learner"], wrong - count["learner_errors"]
        rates[output] = {
            "cer": round(100 * sum(count[kind] for kind in ERRORS) / count["n_ref"], 2),
            "learner": round(100 * count["learner_errors"] / count["learner"], 2),
            "other": round(100 * others[1] / others[0], 2),
        }
    return rates


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    run(main)
