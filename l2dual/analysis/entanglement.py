"""How alike the encoders of the systems are, block by block: records of exp/cka.json.

Systems of the surface alone are compared with those of the meaning alone (task similarity), and each
dual-output encoder with both: its blocks on the path of that output, where each has one of its own.
l2dual.analysis.similarity says what stands beside each value.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from l2dual.analysis.activations import Activations, collect
from l2dual.analysis.kinds import Similarity
from l2dual.analysis.similarity import Side, Similarities
from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.models.dual import L2DualModel
from l2dual.models.search import SearchOptions
from l2dual.scoring.score import read_run
from l2dual.training.load import load_model, random_model

CORPUS = ("corpus", "language", "convention")
SAME_DATA = ("data", *CORPUS)
ENCODER_PARTS = "input_size init frontend normalize encoder sharing".split()


@dataclass(frozen=True)
class AnalysisOptions:
    """What to read, and how."""

    batch_size: int = 8
    max_utts: int | None = None  # of each split, by a fixed seed; not of probes and subspaces
    epochs: int = 10  # of a new decoder
    search: SearchOptions = field(default_factory=SearchOptions)


def analyse(data_dir: Path, exp_dirs: list[Path], options: AnalysisOptions) -> list[Similarity]:
    """Compare the encoders of trained runs, at most one per system and seed, on a split after stage 3.

    Returns:
        One record per pair of encoders and block; [] without two systems to compare.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, one system and seed twice, or encoders that give
            different numbers of frames.
    """
    runs = read_comparable(exp_dirs, data_dir)
    pairs = _pairs(runs)
    if not pairs:
        return []
    wanted = sorted({exp_dir for pair in pairs for exp_dir, _ in pair}, key=exp_dirs.index)
    data = DataDir.load(data_dir).sample(options.max_utts)

    def measure(model: L2DualModel, exp_dir: Path) -> dict[str, Activations]:
        try:
            samples = collect(model, data, options.batch_size)
        except (DataError, UsageError) as error:
            raise type(error)(f"{exp_dir}: {error}") from error
        print(f"progress: encoded with {exp_dir.name}", flush=True)
        return samples

    random, sides = RandomNetworks(measure), {}
    for exp_dir in wanted:
        found = _sides(exp_dir, runs[exp_dir], measure(load_model(exp_dir), exp_dir), random)
        sides |= found
        here, first = (next(iter(some.values())).sample.lengths for some in (found, sides))
        if not np.array_equal(here, first):
            raise UsageError(
                f"{exp_dir}: its encoder gives other numbers of frames than that of {wanted[0]}: "
                "compare encoders of one subsampling factor"
            )
    table = Similarities(data, sides)
    return [
        Similarity(**head_of_pair(runs[x[0]], runs[y[0]]), **block)
        for x, y in pairs
        for block in table.blocks(*(side if side in sides else (side[0], None) for side in (x, y)))
    ]


def _sides(
    exp_dir: Path, run: dict, samples: dict[str, Activations], random: "RandomNetworks"
) -> dict[tuple[Path, str | None], Side]:
    """The sides of one run, by run and output; one without output where all have one path."""
    system, seed = run["system"], run["seed"]
    if len({id(sample) for sample in samples.values()}) == 1:
        sample = next(iter(samples.values()))
        return {(exp_dir, None): Side(exp_dir, system, seed, sample, lambda s: next(iter(random(exp_dir, s).values())))}
    return {
        (exp_dir, output): Side(
            exp_dir, f"{system} {output}", seed, sample, lambda s, output=output: random(exp_dir, s)[output]
        )
        for output, sample in samples.items()
    }


def head_of_pair(x: dict, y: dict) -> dict:
    """The fields of a record that name two runs."""
    return {f"{key}_{side}": run[key] for side, run in (("x", x), ("y", y)) for key in ("system", "seed")}


class RandomNetworks:
    """What ``measure(model, exp_dir)`` gives of freshly initialized networks.

    It is measured once for all runs whose configurations agree on ``parts``.
    """

    def __init__(self, measure: Callable[[L2DualModel, Path], Any], parts: list[str] = ENCODER_PARTS):
        self.measure, self.parts, self.made = measure, parts, {}

    def __call__(self, exp_dir: Path, seed: int, *more: Hashable) -> Any:
        """Measure the network of a run and seed, or give what an equal one gave; ``more`` tells apart."""
        config = read_yaml(exp_dir / "config.yaml")
        parts = repr([(name, config.get(name), config.get(f"{name}_conf")) for name in self.parts])
        key = (parts, seed, *more)
        if key not in self.made:
            self.made[key] = self.measure(random_model(exp_dir, seed), exp_dir)
        return self.made[key]


def read_comparable(exp_dirs: list[Path], *data_dirs: Path) -> dict[Path, dict]:
    """The run.yaml of every run.

    Raises:
        DataError: a run.yaml is missing or broken.
        UsageError: runs on different data, ``data_dirs`` of another corpus or convention, or one
            system and seed twice.
    """
    runs = {exp_dir: read_run(exp_dir / "run.yaml") for exp_dir in exp_dirs}
    first, seen = next(iter(runs)), {}
    facts = [(exp_dir, run, SAME_DATA) for exp_dir, run in runs.items()]
    facts += [(path, read_yaml(path / "corpus.yaml"), CORPUS) for path in data_dirs]
    for where, found, keys in facts:
        for key in keys:
            if found[key] != runs[first][key]:
                raise UsageError(
                    f"{where}: {key} is {found[key]}, but {runs[first][key]} in {first}: "
                    "compare runs on the same data"
                )
    for exp_dir, run in runs.items():
        which = run["system"], run["seed"]
        if seen.setdefault(which, exp_dir) != exp_dir:
            raise UsageError(
                f"{exp_dir}: {which[0]} of seed {which[1]}, as {seen[which]} is: name one of them"
            )
    return runs


def _pairs(runs: dict[Path, dict]) -> list[tuple[tuple[Path, str], tuple[Path, str]]]:
    """Surface with meaning encoders, and dual-output ones with either, for every pair of seeds.

    Each with the output whose path is compared.
    """
    surface, meaning, dual = (
        sorted(
            (exp_dir for exp_dir, run in runs.items() if set(run["outputs"]) == outputs),
            key=lambda exp_dir: (runs[exp_dir]["system"], runs[exp_dir]["seed"]),
        )
        for outputs in ({"surface"}, {"meaning"}, {"surface", "meaning"})
    )
    pairs = [((x, "surface"), (y, "meaning")) for x, y in product(surface, meaning)]
    singles = [*((one, "surface") for one in surface), *((one, "meaning") for one in meaning)]
    return pairs + [((x, y[1]), y) for x, y in product(dual, singles)]
