"""How alike the encoders of the systems are, block by block: records of exp/cka.json.

Task similarity compares so_surface with so_meaning; pull compares a dual-output encoder with
each of the two. Every value stands beside
    null     the same with utterances permuted within deciles of length, the mean of 20
    floor    two randomly initialized encoders on the same frames
    ceiling  same task, other seed; across tasks the geometric mean of both tasks' ceilings
and ``normalized`` is (cka - null) / (ceiling - null). Two systems of one seed start from the same
encoder (l2dual.task) and share the order of the data, so their CKA is 1 before training and may
exceed a ceiling measured across seeds: it is normalized only where the seeds differ.

``interval`` (of cka) and ``normalized_interval`` are 95 % jackknife intervals over speakers, see
:func:`l2dual.analysis.cka.jackknife_interval`; they hold the encoders and the null fixed, so they
say nothing of other seeds. Blocks count from 1.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from l2dual.analysis.activations import Activations, collect, shuffled_pairs, thin
from l2dual.analysis.cka import (
    MIN_FRAMES,
    centre,
    cosine,
    debiased_cka,
    jackknife_interval,
    leave_one_out_hsic,
)
from l2dual.datadir import DataDir
from l2dual.errors import DataError, UsageError
from l2dual.load import CHECKPOINT, load_model, random_model
from l2dual.runs import read_yaml
from l2dual.score import read_run

FRAMES_PER_DIM = 4
PERMUTATIONS = 20
MIN_UTTERANCES = 20  # two in each decile of length
MIN_SPEAKERS = 10
MIN_SPAN = 0.1
RANDOM_SEEDS = (900001, 900002)  # of the floor's encoders, unlike any training's seed
SAME_DATA = ("data", "corpus", "language", "convention")
ENCODER_CONFIG = "input_size init frontend normalize encoder".split()


@dataclass(frozen=True)
class Options:
    """What to read, and how.

    Attributes:
        checkpoint: file in each experiment directory.
        batch_size: utterances in a batch.
        max_frames: keep whole utterances up to so many sampled frames; None for all.
        device: torch device of the encoders.
    """

    checkpoint: str = CHECKPOINT
    batch_size: int = 8
    max_frames: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Encoder:
    """One trained encoder on the sampled frames."""

    exp_dir: Path
    run: dict
    sample: Activations
    own: list[np.ndarray]  # HSIC with itself per block, (1 + speakers,); [] if frames are too few

    @property
    def system(self) -> str:
        return self.run["system"]

    @property
    def seed(self) -> int:
        return self.run["seed"]


def analyse(data_dir: Path, exp_dirs: list[Path], options: Options) -> list[dict]:
    """Compare the encoders of trained systems.

    Args:
        data_dir: one split, after stage 3.
        exp_dirs: directories of trained runs, at most one per system and seed.
        options: see :class:`Options`.

    Returns:
        One record per pair of encoders and block; ``cka_across`` is a row of the block x block
        matrix: this block of x with each block of y. A value that can't be had is None, with the
        reason. The list is empty where no two systems are to be compared.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, one system and seed twice, or encoders that give
            different numbers of frames.
    """
    runs = {exp_dir: read_run(exp_dir / "run.yaml") for exp_dir in exp_dirs}
    _check_comparable(runs)
    comparisons = _comparisons(runs)
    if not comparisons:
        return []
    wanted = sorted({exp_dir for _, *pair in comparisons for exp_dir in pair}, key=exp_dirs.index)
    data = DataDir.load(data_dir)
    samples: dict[Path, Activations] = {}
    for exp_dir in wanted:
        model = load_model(exp_dir, options.checkpoint)
        samples[exp_dir] = _sample(model, exp_dir, data, options)
        _check_frames(exp_dir, samples[exp_dir], wanted[0], samples[wanted[0]])
    table = Comparison(data, {exp_dir: runs[exp_dir] for exp_dir in wanted}, samples, options)
    return [record for name, x, y in comparisons for record in table.records(name, x, y)]


def _sample(model, exp_dir: Path, data: DataDir, options: Options) -> Activations:
    try:
        sample = collect(model.to(options.device), data, options.batch_size)
    except (DataError, UsageError) as error:
        raise type(error)(f"{exp_dir}: {error}") from error
    print(f"progress: encoded with {exp_dir.name}", flush=True)
    return sample if options.max_frames is None else thin(sample, options.max_frames)


def _check_comparable(runs: dict[Path, dict]) -> None:
    first, *others = runs
    seen = {(runs[first]["system"], runs[first]["seed"]): first}
    for exp_dir in others:
        run = runs[exp_dir]
        for key in SAME_DATA:
            if run[key] != runs[first][key]:
                raise UsageError(
                    f"{exp_dir}: {key} is {run[key]}, but {runs[first][key]} in {first}: "
                    "compare runs on the same data"
                )
        which = run["system"], run["seed"]
        if which in seen:
            raise UsageError(
                f"{exp_dir}: {which[0]} of seed {which[1]}, as {seen[which]} is: name one of them"
            )
        seen[which] = exp_dir


def _check_frames(exp_dir: Path, sample: Activations, first_dir: Path, first: Activations) -> None:
    if not np.array_equal(sample.lengths, first.lengths):
        raise UsageError(
            f"{exp_dir}: its encoder gives other numbers of frames than that of {first_dir}: "
            "compare encoders of one subsampling factor"
        )


def _comparisons(runs: dict[Path, dict]) -> list[tuple[str, Path, Path]]:
    """(comparison, x, y) for every pair of seeds."""
    surface, meaning, dual = (
        sorted(
            (exp_dir for exp_dir, run in runs.items() if set(run["outputs"]) == outputs),
            key=lambda exp_dir: (runs[exp_dir]["system"], runs[exp_dir]["seed"]),
        )
        for outputs in ({"surface"}, {"meaning"}, {"surface", "meaning"})
    )
    similarity = [("task similarity", x, y) for x in surface for y in meaning]
    return similarity + [("pull", x, y) for x in dual for y in (*surface, *meaning)]


class Comparison:
    """All that the records of one set of encoders have in common."""

    def __init__(
        self,
        data: DataDir,
        runs: dict[Path, dict],
        samples: dict[Path, Activations],
        options: Options,
    ):
        self.data, self.options = data, options
        self.frames = next(iter(samples.values()))
        speakers = [data["utt2spk"][utt] for utt in self.frames.utts]
        names, by_utt = np.unique(speakers, return_inverse=True)
        self.groups = by_utt[self.frames.rows]  # speaker of each frame, (n,)
        self.n_speakers = len(names)
        self.sizes = np.bincount(self.groups, minlength=self.n_speakers)
        rng = np.random.default_rng(0)
        self.permutations = []
        if len(self.frames.utts) >= MIN_UTTERANCES:
            self.permutations = [shuffled_pairs(self.frames, rng) for _ in range(PERMUTATIONS)]
        self.encoders = {
            exp_dir: Encoder(exp_dir, runs[exp_dir], sample, self._own(sample))
            for exp_dir, sample in samples.items()
        }
        self.random: dict[tuple, Activations] = {}
        self.ceilings: dict[tuple[str, int], np.ndarray | None] = {}

    def _own(self, sample: Activations) -> list[np.ndarray]:
        if len(sample.rows) < MIN_FRAMES:
            return []
        centred = (centre(layer) for layer in sample.layers)
        return [leave_one_out_hsic(x, x, self.groups) for x in centred]

    def records(self, comparison: str, x_dir: Path, y_dir: Path) -> list[dict]:
        """Records of one pair of encoders, one per block."""
        x, y = self.encoders[x_dir], self.encoders[y_dir]
        dim = max(layer.shape[1] for layer in (*x.sample.layers, *y.sample.layers))
        n_frames, least = len(self.frames.rows), FRAMES_PER_DIM * dim
        enough = n_frames >= least
        reason = f"{n_frames} frames; needs {least}, four a dimension"
        head = {
            "comparison": comparison,
            **{key: x.run[key] for key in ("corpus", "language", "convention")},
            "system_x": x.system,
            "system_y": y.system,
            "seed_x": x.seed,
            "seed_y": y.seed,
        }
        facts = {
            "n_frames": n_frames,
            "n_utts": len(self.frames.utts),
            "n_speakers": self.n_speakers,
            "dim": dim,
        }
        made_by = {
            "split": self.data.path.name,
            "data": x.run["data"],
            "exp_x": str(x_dir),
            "exp_y": str(y_dir),
            "checkpoint": self.options.checkpoint,
            "commit_x": x.run["commit"],
            "commit_y": y.run["commit"],
        }
        records = []
        for layer in range(min(len(x.sample.layers), len(y.sample.layers))):
            values = self._values(x, y, layer) if enough else _no_values(reason)
            place = {"layer_x": layer + 1, "layer_y": layer + 1}
            records.append({"kind": "cka", **head, **place, **facts, **values, **made_by})
        return records

    def _values(self, x: Encoder, y: Encoder, layer: int) -> dict:
        """Every number of one record, and the reasons for those that are None."""
        similarity = self._similarity(x, y, layer, layer)
        if not np.isfinite(similarity[0]):
            return _no_values("the activations of one encoder do not vary over the frames")
        null, null_sd, reasons = self._null(x, y, layer)
        ceiling, missing = self._ceiling(x, y, layer)
        reasons += missing
        values = {
            "cka": float(similarity[0]),
            "cka_across": self._across(x, y, layer),
            "null": null,
            "null_sd": null_sd,
            "floor": self._floor(x, y, layer),
            "ceiling": None if ceiling is None else float(ceiling[0]),
            "normalized": None,
            "interval": None,
            "normalized_interval": None,
        }
        normalized = None
        if ceiling is not None and null is not None:
            if x.seed == y.seed:
                reasons.append("normalized only where the seeds differ")
            elif not ceiling[0] - null >= MIN_SPAN:
                reasons.append(f"not normalized: ceiling - null is below {MIN_SPAN}")
            else:
                normalized = (similarity - null) / (ceiling - null)
                values["normalized"] = float(normalized[0])
        if self.n_speakers < MIN_SPEAKERS:
            reasons.append(f"interval needs {MIN_SPEAKERS} speakers (has {self.n_speakers})")
        else:
            values["interval"] = jackknife_interval(similarity, self.sizes)
            if normalized is not None:
                values["normalized_interval"] = jackknife_interval(normalized, self.sizes)
        return {**values, "reason": "; ".join(reasons) or None}

    def _similarity(self, x: Encoder, y: Encoder, layer_x: int, layer_y: int) -> np.ndarray:
        """CKA of all frames, then without each speaker, (1 + speakers,)."""
        left, right = centre(x.sample.layers[layer_x]), centre(y.sample.layers[layer_y])
        both = leave_one_out_hsic(left, right, self.groups)
        return cosine(both, x.own[layer_x], y.own[layer_y])

    def _across(self, x: Encoder, y: Encoder, layer: int) -> list[float | None]:
        """CKA of one block of x with each block of y."""
        blocks = range(len(y.sample.layers))
        row = [float(self._similarity(x, y, layer, other)[0]) for other in blocks]
        return [round(value, 4) if np.isfinite(value) else None for value in row]

    def _null(
        self, x: Encoder, y: Encoder, layer: int
    ) -> tuple[float | None, float | None, list[str]]:
        if not self.permutations:
            found = len(self.frames.utts)
            return None, None, [f"null needs {MIN_UTTERANCES} utterances (has {found})"]
        left, right = x.sample.layers[layer], y.sample.layers[layer]
        draws = [debiased_cka(left[i], right[j]) for i, j in self.permutations]
        return float(np.mean(draws)), float(np.std(draws, ddof=1)), []

    def _floor(self, x: Encoder, y: Encoder, layer: int) -> float | None:
        left, right = (
            self._random(encoder.exp_dir, seed).layers[layer]
            for encoder, seed in zip((x, y), RANDOM_SEEDS, strict=True)
        )
        floor = debiased_cka(left, right)
        return floor if np.isfinite(floor) else None

    def _random(self, exp_dir: Path, seed: int) -> Activations:
        """Activations of a random encoder of the same architecture, made once for all alike."""
        config = read_yaml(exp_dir / "config.yaml")
        parts = [(key, config.get(key), config.get(f"{key}_conf")) for key in ENCODER_CONFIG]
        key = repr((parts, seed))
        if key not in self.random:
            model = random_model(exp_dir, seed)
            self.random[key] = _sample(model, exp_dir, self.data, self.options)
        return self.random[key]

    def _ceiling(self, x: Encoder, y: Encoder, layer: int) -> tuple[np.ndarray | None, list[str]]:
        """Geometric mean of both systems' ceilings, (1 + speakers,); or None, with the reason."""
        ceilings = {e.system: self._same_task(e.system, layer) for e in (x, y)}
        lacking = [system for system, ceiling in ceilings.items() if ceiling is None]
        if lacking:
            return None, [f"ceiling needs a second seed of {' and '.join(lacking)}"]
        product = np.prod(list(ceilings.values()), axis=0)
        if not product[0] > 0:
            return None, ["no ceiling: the seeds of one system are not alike at all"]
        return np.sqrt(np.maximum(product, 0)), []

    def _same_task(self, system: str, layer: int) -> np.ndarray | None:
        """Mean CKA over the pairs of seeds of one system."""
        if (system, layer) not in self.ceilings:
            seeds = [e for e in self.encoders.values() if e.system == system]
            pairs = [
                self._similarity(one, other, layer, layer)
                for index, one in enumerate(seeds)
                for other in seeds[:index]
            ]
            self.ceilings[system, layer] = np.mean(pairs, axis=0) if pairs else None
        return self.ceilings[system, layer]


def _no_values(reason: str) -> dict:
    names = "cka cka_across null null_sd floor ceiling normalized interval normalized_interval"
    return {**dict.fromkeys(names.split()), "reason": reason}
