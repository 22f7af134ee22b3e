"""Similarity of networks on one sample, block by block, by the protocol that all records share.

Every value stands beside
    null     the same with utterances permuted within deciles of length, the mean of 20
    floor    two randomly initialized networks on the same sample, or where both sides are of one
             network, that network randomly initialized; the mean of two draws
    ceiling  same task, other seed; across tasks the geometric mean of both tasks' ceilings;
             ``ceiling_without`` each seed in turn, for a jackknife over seeds
Systems of one seed start alike, so their CKA may exceed a ceiling, which is measured across seeds.
``interval`` (of cka) is a 95 % jackknife interval over speakers or voices
(:func:`l2dual.analysis.cka.jackknife_interval`); it holds the networks fixed. Blocks count from 1.
"""

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from l2dual.analysis import cka
from l2dual.analysis.activations import Activations, shuffled_pairs
from l2dual.data.datadir import DataDir

FRAMES_PER_DIM = 4
PERMUTATIONS = 20
MIN_UTTERANCES = 20  # two in each decile of length
RANDOM_SEEDS = (900001, 900002)  # of the floor's networks, unlike any training's seed


@dataclass(frozen=True)
class Side:
    """One trained network on the sample."""

    network: Hashable  # sides of one name are parts of one network
    task: str  # what it was trained for; sides of one task and two seeds make a ceiling
    seed: int
    sample: Activations
    random: Callable[[int], Activations]  # of the same architecture, freshly initialized by a seed


class Similarities:
    """The sides, by name, that share one sample of a split: the same rows."""

    def __init__(self, data: DataDir, sides: dict[Hashable, Side]):
        self.sides = sides
        self.frames = next(iter(sides.values())).sample
        clusters = [data.clusters[utt] for utt in self.frames.utts]
        names, by_utt = np.unique(clusters, return_inverse=True)
        self.groups, self.n_clusters = by_utt[self.frames.rows], len(names)
        self.sizes = np.bincount(self.groups, minlength=self.n_clusters)
        self.made: dict[Hashable, Any] = {}

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    @cached_property
    def permutations(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs of shuffled rows; none where there are too few utterances."""
        if len(self.frames.utts) < MIN_UTTERANCES:
            return []
        rng = np.random.default_rng(0)
        return [shuffled_pairs(self.frames, rng) for _ in range(PERMUTATIONS)]

    def blocks(self, x: Hashable, y: Hashable) -> list[dict]:
        """The numbers of one pair of sides, one dict per block that both have."""
        layers = [self.sides[side].sample.layers for side in (x, y)]
        dim = max(layer.shape[1] for side in layers for layer in side)
        n_frames, least = len(self.frames.rows), FRAMES_PER_DIM * dim
        facts = {
            "n_frames": n_frames,
            "n_utts": len(self.frames.utts),
            "n_clusters": self.n_clusters,
            "dim": dim,
        }
        few = f"{n_frames} frames; needs {least}, four a dimension"
        return [
            {"layer": layer + 1, **facts}
            | (self._values(x, y, layer) if n_frames >= least else {"reason": few})
            for layer in range(min(map(len, layers)))
        ]

    def _values(self, x: Hashable, y: Hashable, layer: int) -> dict:
        """Every number of one block, and the reasons for those that are None."""
        similarity = self._similarity(x, y, layer)
        if not np.isfinite(similarity[0]):
            return {"reason": "the activations of one side do not vary over the frames"}
        null = self._null(x, y, layer)
        ceiling, missing = self._ceiling(x, y, layer)
        few = cka.too_few_clusters(self.n_clusters)
        reasons = [missing, few]
        if null is None:
            found = len(self.frames.utts)
            reasons.insert(0, f"null needs {MIN_UTTERANCES} utterances (has {found})")
        return {
            "cka": float(similarity[0]),
            "null": null,
            "floor": self._floor(x, y, layer),
            "ceiling": ceiling,
            "ceiling_without": {
                str(seed): self._ceiling(x, y, layer, seed)[0]
                for seed in sorted({side.seed for side in self.sides.values()})
            },
            "interval": None if few else cka.jackknife_interval(similarity, self.sizes),
            "reason": "; ".join(filter(None, reasons)) or None,
        }

    def _similarity(self, x: Hashable, y: Hashable, layer: int) -> np.ndarray:
        """CKA of all frames, then without each cluster, (1 + clusters,)."""
        both = cka.leave_one_out_hsic(self._centred(x, layer), self._centred(y, layer), self.groups)
        return cka.normalized(both, self._own(x, layer), self._own(y, layer))

    def _centred(self, side: Hashable, layer: int) -> np.ndarray:
        return cka.centre(self.sides[side].sample.layers[layer])

    def _own(self, side: Hashable, layer: int) -> np.ndarray:
        """HSIC of a layer with itself, (1 + clusters,)."""
        x = self._centred(side, layer)
        return self._once((side, layer), lambda: cka.leave_one_out_hsic(x, x, self.groups))

    def _null(self, x: Hashable, y: Hashable, layer: int) -> float | None:
        """Mean of CKA over the permutations; None without one."""
        if not self.permutations:
            return None
        left, right = self._centred(x, layer), self._centred(y, layer)
        both = [cka.hsic(cka.sums(left[i], right[j])) for i, j in self.permutations]
        own = self._shuffled_own(x, layer, 0), self._shuffled_own(y, layer, 1)
        return float(np.mean(cka.normalized(both, *own)))

    def _shuffled_own(self, side: Hashable, layer: int, which: int) -> list[float]:
        x = self._centred(side, layer)
        parts = (x[pair[which]] for pair in self.permutations)
        return self._once((side, layer, which), lambda: [cka.hsic(cka.sums(part, part)) for part in parts])

    def _floor(self, x: Hashable, y: Hashable, layer: int) -> float | None:
        one, other = RANDOM_SEEDS
        draws = [(one, other), (other, one)]
        if self.sides[x].network == self.sides[y].network:
            draws = [(one, one), (other, other)]
        floors = [
            cka.debiased_cka(
                self.sides[x].random(of_x).layers[layer], self.sides[y].random(of_y).layers[layer]
            )
            for of_x, of_y in draws
        ]
        return float(np.mean(floors)) if np.isfinite(floors).all() else None

    def _ceiling(
        self, x: Hashable, y: Hashable, layer: int, without: int | None = None
    ) -> tuple[float | None, str | None]:
        """Geometric mean of both tasks' ceilings; or None, with the reason.

        ``without`` is a seed whose pairs are left out.
        """
        tasks = [self.sides[side].task for side in (x, y)]
        ceilings = {task: self._same_task(task, layer, without) for task in tasks}
        lacking = [task for task, ceiling in ceilings.items() if ceiling is None]
        if lacking:
            return None, f"ceiling needs a second seed of {' and '.join(lacking)}"
        if not all(ceiling > 0 for ceiling in ceilings.values()):
            return None, "no ceiling: the seeds of one task are not alike at all"
        return float(np.sqrt(np.prod([ceilings[task] for task in tasks]))), None

    def _same_task(self, task: str, layer: int, without: int | None) -> float | None:
        """Mean CKA over the pairs of seeds of one task."""
        names = [name for name, side in self.sides.items() if side.task == task]
        kept = [
            self._once((*pair, layer), lambda pair=pair: self._similarity(*pair, layer)[0])
            for pair in itertools.combinations(names, 2)
            if without not in {self.sides[side].seed for side in pair}
        ]
        return float(np.mean(kept)) if kept else None
