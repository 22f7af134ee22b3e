"""Similarity of networks on one sample, block by block, by the protocol that all records share.

Every value stands beside
    null     the same with utterances permuted within deciles of length, the mean of 20
    floor    two randomly initialized networks on the same sample, or where both sides are of one
             network, that network randomly initialized; the mean of two draws
    ceiling  same task, other seed; across tasks the geometric mean of both tasks' ceilings;
             ``ceiling_without`` each seed in turn, for a jackknife over seeds
and ``normalized`` is (cka - null) / (ceiling - null). Two systems of one seed start from the same
encoder (l2dual.task) and share the order of the data, so their CKA is 1 before training and may
exceed a ceiling measured across seeds: it is normalized only where the seeds differ.

``interval`` (of cka) and ``normalized_interval`` are 95 % jackknife intervals over speakers or voices
(:func:`l2dual.analysis.cka.jackknife_interval`); they hold the networks and the null fixed, so they
say nothing of other seeds. ``procrustes`` and ``procrustes_null`` are a second opinion
(l2dual.analysis.similarity). Blocks count from 1.

``cka_across``, ``null_across``, ``ceiling_across``, ``normalized_across``, ``interval_across`` and
``normalized_interval_across`` are the same of this block of x with each block of y. The ceiling of
two unlike blocks is that of one task's two seeds at these two blocks, either way round.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from l2dual.analysis.activations import Activations, shuffled_pairs
from l2dual.analysis.cka import (
    centre,
    cosine,
    debiased_cka,
    hsic,
    jackknife_interval,
    leave_one_out_hsic,
    sums,
)
from l2dual.analysis.similarity import procrustes_distance
from l2dual.datadir import DataDir

FRAMES_PER_DIM = 4
PERMUTATIONS = 20
MIN_UTTERANCES = 20  # two in each decile of length
MIN_CLUSTERS = 10
MIN_SPAN = 0.1
ACROSS = "cka null ceiling normalized interval normalized_interval".split()
RANDOM_SEEDS = (900001, 900002)  # of the floor's networks, unlike any training's seed


@dataclass(frozen=True)
class Side:
    """One trained network on the sample.

    Attributes:
        network: whose sides of one name are parts of one network.
        task: what it was trained for; sides of one task and two seeds make a ceiling.
        seed: of its training.
        sample: its activations.
        random: the sample of the same architecture, freshly initialized by a seed.
    """

    network: str
    task: str
    seed: int
    sample: Activations
    random: Callable[[int], Activations]


class Comparison:
    """The sides that share one sample, and what they have in common.

    Args:
        data: the split that the sample is of.
        sides: by name; all samples have the same rows.
    """

    def __init__(self, data: DataDir, sides: dict[str, Side]):
        self.sides = sides
        self.frames = next(iter(sides.values())).sample
        self.groups, self.n_clusters = clusters_of(data, self.frames)
        self.sizes = np.bincount(self.groups, minlength=self.n_clusters)
        self.own: dict[tuple[str, int], np.ndarray] = {}
        self.pairs: dict[tuple[str, int, int], list[tuple[set[int], np.ndarray]]] = {}
        self.shuffled_own: dict[tuple[str, int, int], list[float]] = {}

    @cached_property
    def permutations(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs of shuffled rows; none where there are too few utterances."""
        if len(self.frames.utts) < MIN_UTTERANCES:
            return []
        rng = np.random.default_rng(0)
        return [shuffled_pairs(self.frames, rng) for _ in range(PERMUTATIONS)]

    def blocks(self, x: str, y: str) -> list[dict]:
        """The numbers of one pair of sides, one dict per block that both have."""
        layers = [self.sides[side].sample.layers for side in (x, y)]
        dim = max(layer.shape[1] for side in layers for layer in side)
        n_frames, least = len(self.frames.rows), FRAMES_PER_DIM * dim
        reason = f"{n_frames} frames; needs {least}, four a dimension"
        facts = {
            "n_frames": n_frames,
            "n_utts": len(self.frames.utts),
            "n_clusters": self.n_clusters,
            "dim": dim,
        }
        found = []
        for layer in range(min(map(len, layers))):
            values = self._values(x, y, layer) if n_frames >= least else _no_values(reason)
            found.append({"layer_x": layer + 1, "layer_y": layer + 1, **facts, **values})
        return found

    def _values(self, x: str, y: str, layer: int) -> dict:
        """Every number of one record, and the reasons for those that are None."""
        others = range(len(self.sides[y].sample.layers))
        cells = [self._cell(x, y, layer, other) for other in others]
        own = cells[layer]
        if own["cka"] is None:
            return _no_values(own["reason"])
        left, right = self._layer(x, layer), self._layer(y, layer)
        return {
            **own,
            **{f"{name}_across": [_short(cell[name]) for cell in cells] for name in ACROSS},
            "procrustes_null": self._procrustes_null(left, right),
            "floor": self._floor(x, y, layer),
            "ceiling_without": self._ceiling_without(x, y, layer),
            "procrustes": procrustes_distance(left, right),
        }

    def _cell(self, x: str, y: str, layer_x: int, layer_y: int) -> dict:
        """What is known of one block with one block, and the reasons for what is None."""
        similarity = self._similarity(x, y, layer_x, layer_y)
        if not np.isfinite(similarity[0]):
            reason = "the activations of one side do not vary over the frames"
            return {**dict.fromkeys((*ACROSS, "null_sd")), "reason": reason}
        nulls, reasons = self._nulls(x, y, layer_x, layer_y)
        ceiling, missing = self._ceiling(x, y, layer_x, layer_y)
        normalized, why = self._normalized(x, y, similarity, nulls["null"], ceiling)
        few = too_few_clusters(self.n_clusters)
        reasons += [*missing, *why, *([few] if few else [])]
        return {
            "cka": float(similarity[0]),
            **nulls,
            "ceiling": None if ceiling is None else float(ceiling[0]),
            "normalized": None if normalized is None else float(normalized[0]),
            "interval": self._interval(similarity),
            "normalized_interval": self._interval(normalized),
            "reason": "; ".join(reasons) or None,
        }

    def _normalized(
        self, x: str, y: str, cka: np.ndarray, null: float | None, ceiling: np.ndarray | None
    ) -> tuple[np.ndarray | None, list[str]]:
        """(cka - null) / (ceiling - null), (1 + clusters,), or why there is none."""
        if ceiling is None or null is None:
            return None, []
        if self.sides[x].seed == self.sides[y].seed:
            return None, ["normalized only where the seeds differ"]
        if not ceiling[0] - null >= MIN_SPAN:
            return None, [f"not normalized: ceiling - null is below {MIN_SPAN}"]
        return (cka - null) / (ceiling - null), []

    def _interval(self, values: np.ndarray | None) -> list[float] | None:
        if values is None or too_few_clusters(self.n_clusters):
            return None
        return jackknife_interval(values, self.sizes)

    def _similarity(self, x: str, y: str, layer_x: int, layer_y: int) -> np.ndarray:
        """CKA of all frames, then without each cluster, (1 + clusters,)."""
        left, right = self._centred(x, layer_x), self._centred(y, layer_y)
        both = leave_one_out_hsic(left, right, self.groups)
        return cosine(both, self._own(x, layer_x), self._own(y, layer_y))

    def _layer(self, side: str, layer: int) -> np.ndarray:
        return self.sides[side].sample.layers[layer]

    def _centred(self, side: str, layer: int) -> np.ndarray:
        return centre(self._layer(side, layer))

    def _own(self, side: str, layer: int) -> np.ndarray:
        """HSIC of a layer with itself, (1 + clusters,)."""
        if (side, layer) not in self.own:
            x = self._centred(side, layer)
            self.own[side, layer] = leave_one_out_hsic(x, x, self.groups)
        return self.own[side, layer]

    def _nulls(self, x: str, y: str, layer_x: int, layer_y: int) -> tuple[dict, list[str]]:
        if not self.permutations:
            found = len(self.frames.utts)
            nulls = dict.fromkeys(("null", "null_sd"))
            return nulls, [f"null needs {MIN_UTTERANCES} utterances (has {found})"]
        found = self._shuffled(x, y, layer_x, layer_y)
        return {"null": float(np.mean(found)), "null_sd": float(np.std(found, ddof=1))}, []

    def _shuffled(self, x: str, y: str, layer_x: int, layer_y: int) -> np.ndarray:
        """Debiased CKA under each permutation; HSIC of one side with itself is worked out once."""
        left, right = self._centred(x, layer_x), self._centred(y, layer_y)
        both = [hsic(sums(left[i], right[j])) for i, j in self.permutations]
        return cosine(both, self._shuffled_own(x, layer_x, 0), self._shuffled_own(y, layer_y, 1))

    def _shuffled_own(self, side: str, layer: int, which: int) -> list[float]:
        key = (side, layer, which)
        if key not in self.shuffled_own:
            x = self._centred(side, layer)
            parts = (x[pair[which]] for pair in self.permutations)
            self.shuffled_own[key] = [hsic(sums(part, part)) for part in parts]
        return self.shuffled_own[key]

    def _procrustes_null(self, left: np.ndarray, right: np.ndarray) -> float | None:
        found = [procrustes_distance(left[i], right[j]) for i, j in self.permutations]
        return float(np.mean(found)) if found else None

    def _floor(self, x: str, y: str, layer: int) -> float | None:
        one, other = RANDOM_SEEDS
        draws = [(one, other), (other, one)]
        if self.sides[x].network == self.sides[y].network:
            draws = [(one, one), (other, other)]
        floors = [
            debiased_cka(
                self.sides[x].random(of_x).layers[layer], self.sides[y].random(of_y).layers[layer]
            )
            for of_x, of_y in draws
        ]
        return float(np.mean(floors)) if np.isfinite(floors).all() else None

    def _ceiling(
        self, x: str, y: str, layer_x: int, layer_y: int, without: int | None = None
    ) -> tuple[np.ndarray | None, list[str]]:
        """Geometric mean of both tasks' ceilings, (1 + clusters,); or None, with the reason.

        ``without`` is a seed whose pairs are left out.
        """
        tasks = dict.fromkeys(self.sides[side].task for side in (x, y))
        if max(layer_x, layer_y) >= min(len(self.sides[side].sample.layers) for side in (x, y)):
            return None, ["no ceiling: one of the networks has not both blocks"]
        ceilings = {task: self._same_task(task, layer_x, layer_y, without) for task in tasks}
        lacking = [task for task, ceiling in ceilings.items() if ceiling is None]
        if lacking:
            return None, [f"ceiling needs a second seed of {' and '.join(lacking)}"]
        product = np.prod([ceilings[self.sides[side].task] for side in (x, y)], axis=0)
        if not all(ceiling[0] > 0 for ceiling in ceilings.values()):
            return None, ["no ceiling: the seeds of one task are not alike at all"]
        return np.sqrt(np.maximum(product, 0)), []

    def _same_task(
        self, task: str, layer_x: int, layer_y: int, without: int | None
    ) -> np.ndarray | None:
        """Mean CKA over the pairs of seeds of one task, of two blocks either way round."""
        key = (task, *sorted((layer_x, layer_y)))
        if key not in self.pairs:
            names = [name for name, side in self.sides.items() if side.task == task]
            layers = dict.fromkeys([(layer_x, layer_y), (layer_y, layer_x)])
            self.pairs[key] = [
                ({self.sides[side].seed for side in pair}, self._similarity(*pair, *both))
                for pair in itertools.combinations(names, 2)
                for both in layers
            ]
        kept = [cka for seeds, cka in self.pairs[key] if without not in seeds]
        return np.mean(kept, axis=0) if kept else None

    def _ceiling_without(self, x: str, y: str, layer: int) -> dict[str, float | None]:
        """The ceiling without each seed in turn, for a jackknife over seeds."""
        found = {}
        for seed in sorted({side.seed for side in self.sides.values()}):
            ceiling, _ = self._ceiling(x, y, layer, layer, seed)
            found[str(seed)] = None if ceiling is None else float(ceiling[0])
        return found


def too_few_clusters(count: int) -> str | None:
    """Why so many speakers or voices are too few for a jackknife; None if they are enough."""
    if count >= MIN_CLUSTERS:
        return None
    return f"interval needs {MIN_CLUSTERS} speakers or voices (has {count})"


def clusters_of(data: DataDir, sample: Activations) -> tuple[np.ndarray, int]:
    """Number of the cluster of each row, (n,), and how many clusters there are."""
    clusters = [data.clusters[utt] for utt in sample.utts]
    names, by_utt = np.unique(clusters, return_inverse=True)
    return by_utt[sample.rows], len(names)


def _short(value: float | list[float] | None) -> float | list[float] | None:
    return None if value is None else np.round(value, 4).tolist()


def _no_values(reason: str) -> dict:
    names = (
        "cka null null_sd procrustes_null floor ceiling ceiling_without normalized "
        "interval normalized_interval procrustes"
    ).split() + [f"{name}_across" for name in ACROSS]
    return {**dict.fromkeys(names), "reason": reason}
