"""How well raters that were trained agree with those who taught them: a table of the test set (stage 10).

    python -m l2dual.bin.agreement exp/STUDY/*/rater --data dump/TAG/test --out exp/STUDY/agreement.json

Raters of one system with several seeds are one column. docs/rating.md explains each number.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np

from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, run
from l2dual.files import atomic_write
from l2dual.inference.card import RATED
from l2dual.scoring.agreement import WORD_SCORES, Agreement, Judged, correlation, detection, limit_of, written

PHONES = {"goodness": "goodness", "rater": "phones"}  # keys of scored.json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raters", type=Path, nargs="+", metavar="RATER", help="directories that rate has made")
    parser.add_argument("--data", type=Path, required=True, help="the test set")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = DataDir.load(args.data)
    systems = defaultdict(list)
    for path in args.raters:
        systems[path.resolve().parent.name.rpartition(".seed")[0] or path.resolve().parent.name].append(read(path))
    found = []
    for system, scored in systems.items():
        if len({one.get("folds", 0) for one in scored}) > 1:
            raise DataError(f"raters of {system}: of unlike --rater_folds: run stages 8 to 10 for all its seeds")
        rated = set.intersection(*(set(one["utterances"]) for one in scored))
        for group, utts in groups(data, rated).items():
            about = {"system": system, "seeds": len(scored), "group": group, "utterances": len(utts)}
            found += [about | {"measure": name} | asdict(one) for name, one in measures(data, utts, scored)]
    with atomic_write(args.out) as stream:
        json.dump(found, stream, indent=1)
    print("\n".join(table(found)))
    print(f"\nall measures: {args.out.name.removesuffix('.tmp')}")


def read(folder: Path) -> dict:
    """scored.json of a rater."""
    file = folder / "scored.json"
    if not file.is_file():
        raise DataError(f"{file}: no such file: train the rater first (python -m l2dual.bin.rate)")
    return json.loads(file.read_text(encoding="utf-8"))


def groups(data: DataDir, rated: set[str]) -> dict[str, list[str]]:
    """Those of the utterances ``rated``: all, and each group of speakers where the corpus has them."""
    utts = sorted(rated & data["wav.scp"].keys())
    of = data.tables.get("utt2group", {})
    names = sorted({of[utt] for utt in utts if of})
    return {"all": utts} | {name: [utt for utt in utts if of[utt] == name] for name in names}


def measures(data: DataDir, utts: list[str], seeds: list[dict]) -> Iterator[tuple[str, Agreement]]:
    """All of one system, on some utterances."""
    for name, key in PHONES.items():
        phones = [scored(data, utts, [seed["utterances"][utt][key] for utt in utts], "phones") for seed in seeds]
        yield f"{name}: phone PCC", correlation(phones)
        for marked, suffix in ((False, ""), (True, " (marked)")):
            limits = [limit_of(seed["chances"][name + suffix]) for seed in seeds]
            for measure, one in detection(phones, limits, marked).items():
                yield f"{name}: errors{suffix}, {measure.replace('_', ' ')}", one
    some = seeds[0]["utterances"][utts[0]]
    for name in some["words"]:
        each = [[seed["utterances"][utt]["words"][name] for utt in utts] for seed in seeds]
        yield f"word {name} PCC", correlation([scored(data, utts, one, WORD_SCORES[name]) for one in each])
    for name in some["whole"]:
        each = [[[seed["utterances"][utt]["whole"][name]] for utt in utts] for seed in seeds]
        yield f"utterance {name} PCC", correlation([scored(data, utts, one, name) for one in each])


def scored(data: DataDir, utts: list[str], machine: list[list[float]], key: str) -> Judged:
    """A machine's scores of each utterance beside those of the raters."""
    raters, speakers = [], []
    for utt, own in zip(utts, machine, strict=True):
        given = json.loads(data["utt2scores"][utt])[key]
        flat = np.atleast_1d(list(chain(*given)) if key == "phones" else given)
        if len(flat) != len(own):
            raise DataError(f"{data.path}, {utt}: {len(flat)} marks, {len(own)} scores: rate these data again")
        raters.append(flat)
        speakers += [data["utt2spk"][utt]] * len(own)
    return Judged(np.concatenate(machine).astype(float), np.concatenate(raters).astype(float), np.array(speakers))


def table(found: list[dict]) -> Iterator[str]:
    """Lines of Markdown, a table for each system, of the measures that a model card has."""
    for system in dict.fromkeys(one["system"] for one in found):
        own = [one for one in found if one["system"] == system]
        names = list(dict.fromkeys(one["group"] for one in own))
        sizes = {one["group"]: one["utterances"] for one in own}
        seeds = "1 seed" if own[0]["seeds"] == 1 else f"{own[0]['seeds']} seeds"
        yield f"\n| {system}, {seeds} | " + " | ".join(f"{name} ({sizes[name]})" for name in names) + " |"
        yield "| --- |" + " ---: |" * len(names)
        for measure, name in RATED.items():
            cells = [" ".join(written(one, 1, 2)).rstrip() for one in own if one["measure"] == measure]
            if cells:
                yield f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    run(main)
