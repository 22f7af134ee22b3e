"""How far the two decoders of one dual-output encoder read the same subspace of its output.

Records of exp/subspaces.json. A layer of a decoder reads the encoder's output x through a
cross-attention projection, keys or values: W x. With C the covariance of x over all frames,
W C^(1/2) says how much of each direction of the whitened output is read; the right singular vectors
that hold 90 % of it span what is read. The overlap of two decoders is the mean squared cosine of the
principal angles of their spans (Bjorck & Golub 1973), ``||V_s' V_m||_F^2 / rank``. 0: disjoint;
1: the same. Both spans have one rank, the larger of the two. Decoders that read states of their own, above
private blocks, have no space in common: nothing is measured.

    null        the meaning decoder's projection turned by a random rotation: the mean of 50
    floor       two randomly initialized decoders on the trained encoder's covariance
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from espnet2.asr.decoder.transformer_decoder import BaseTransformerDecoder
from scipy.stats import ortho_group

from l2dual.analysis.activations import SPACING, encoded
from l2dual.analysis.cka import jackknife_interval, too_few_clusters
from l2dual.analysis.entanglement import AnalysisOptions, read_comparable
from l2dual.analysis.kinds import Overlap
from l2dual.analysis.similarity import FRAMES_PER_DIM, RANDOM_SEEDS
from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, UsageError
from l2dual.models.dual import L2DualModel
from l2dual.systems import OUTPUTS
from l2dual.training.load import load_model, random_model

SHARE = 0.9  # of the variance that is read, held by the span
ROTATIONS = 50
APART = "each output reads states of its own, which have no subspace in common"
PROJECTIONS = {"key": "linear_k", "value": "linear_v"}


def overlaps(data_dir: Path, exp_dirs: list[Path], options: AnalysisOptions) -> list[Overlap]:
    """Records of every dual-output run, decoder layer and projection; [] without such a run.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, or a decoder without cross-attention.
    """
    runs = read_comparable(exp_dirs, data_dir)
    data, records = DataDir.load(data_dir), []
    for exp_dir, run in runs.items():
        if set(run["outputs"]) != set(OUTPUTS):
            continue
        model = load_model(exp_dir)
        moments = Moments.collect(model, data, options.batch_size)
        print(f"progress: encoded with {exp_dir.name}", flush=True)
        random = [random_model(exp_dir, seed) for seed in RANDOM_SEEDS]
        layers = range(min(len(sources(model, output)) for output in OUTPUTS))
        for layer, projection in product(layers, PROJECTIONS):
            trained, floor = (
                [weights(one, output, layer, projection) for one, output in zip(models, OUTPUTS, strict=True)]
                for models in ([model, model], random)
            )
            place = {"system": run["system"], "seed": run["seed"], "layer": layer + 1}
            values = _values(trained, floor, moments)
            records.append(Overlap(**place, projection=projection, **values))
    return records


def sources(model: torch.nn.Module, output: str) -> list[torch.nn.Module]:
    """The cross-attention of each layer of a decoder; UsageError if it is no Transformer."""
    decoder = model.decoders[output]
    layers = decoder.decoders if isinstance(decoder, BaseTransformerDecoder) else []
    found = [layer.src_attn for layer in layers if hasattr(layer, "src_attn")]
    if not found:
        raise UsageError(f"{type(decoder).__name__} has no cross-attention: use decoder: transformer")
    return found


def weights(model: torch.nn.Module, output: str, layer: int, projection: str) -> np.ndarray:
    """Projection (heads * d, D) through which a decoder's layer reads the encoder's output."""
    linear = getattr(sources(model, output)[layer], PROJECTIONS[projection])
    return linear.weight.detach().cpu().double().numpy()


@dataclass
class Moments:
    """Sums over the frames of each cluster (`DataDir.clusters`); every covariance follows from them."""

    counts: np.ndarray  # frames of each cluster, (C,)
    sums: np.ndarray  # (C, D)
    products: np.ndarray  # (C, D, D)

    @classmethod
    @torch.inference_mode()
    def collect(cls, model: L2DualModel, data: DataDir, batch_size: int) -> "Moments | None":
        """One pass over a split; the memory depends on its clusters, not its utterances.

        None where each output reads states of its own.

        Raises:
            DataError: values that are not finite.
        """
        clusters = sorted(set(data.clusters.values()))
        width = model.encoder.output_size()
        counts = np.zeros(len(clusters))
        sums = np.zeros((len(clusters), width))
        products = np.zeros((len(clusters), width, width))
        for names, read in encoded(model, data, batch_size):
            if not read.one:
                return None
            states, lengths = read.of(model.outputs[0])
            for name, frames, length in zip(names, states, lengths.tolist(), strict=True):
                x = frames[:length].double().cpu().numpy()
                row = clusters.index(data.clusters[name])
                counts[row] += length
                sums[row] += x.sum(0)
                products[row] += x.T @ x
        if not np.isfinite(products).all():
            raise DataError("the encoder gives values that are not finite: train it again (stage 8)")
        return cls(counts, sums, products)

    def covariance(self, left_out: int | None = None) -> np.ndarray:
        """Covariance (D, D) of all frames, or of all but one cluster's."""
        kept = np.arange(len(self.counts)) != (-1 if left_out is None else left_out)
        n = self.counts[kept].sum()
        mean = self.sums[kept].sum(0) / n
        return self.products[kept].sum(0) / n - np.outer(mean, mean)


def root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root of a covariance (D, D)."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def rank(weight: np.ndarray, whitener: np.ndarray) -> int:
    """How many directions hold 90 % of the variance of what ``weight`` (d, D) reads."""
    held = np.linalg.svd(weight @ whitener, compute_uv=False) ** 2
    return int(np.searchsorted(np.cumsum(held), SHARE * held.sum()) + 1)


def span_overlap(one: np.ndarray, other: np.ndarray, whitener: np.ndarray, size: int) -> float:
    """Mean squared cosine of the principal angles of the two spans of ``size`` dimensions.

    Args:
        one, other: projections, (d, D).
        whitener: square root of the covariance of what they read, (D, D).
        size: rank of both spans.
    """
    spans = [np.linalg.svd(weight @ whitener)[2][:size] for weight in (one, other)]
    return float(((spans[0] @ spans[1].T) ** 2).sum() / size)


def _values(trained: list[np.ndarray], floor: list[np.ndarray], moments: Moments | None) -> dict:
    """The numbers of a record, and the reason for those that are None."""
    if moments is None:
        return {"n_frames": 0, "n_clusters": 0, "dim": trained[0].shape[1], "reason": APART}
    frames, dim, n_clusters = int(moments.counts.sum()), trained[0].shape[1], len(moments.counts)
    values = {"n_frames": frames, "n_clusters": n_clusters, "dim": dim}
    if frames < (least := FRAMES_PER_DIM * SPACING * dim):
        reason = f"{frames} adjacent frames; needs {least}, four times {SPACING} a dimension"
        return values | {"reason": reason}
    whitener = root(moments.covariance())
    size = max(rank(weight, whitener) for weight in trained)
    rng, (surface, meaning) = np.random.default_rng(0), trained
    turns = ortho_group.rvs(dim, ROTATIONS, rng)
    turned = [span_overlap(surface, meaning @ turn, whitener, size) for turn in turns]
    values |= {"rank": size, "value": span_overlap(*trained, whitener, size)}
    values |= {"null": float(np.mean(turned)), "floor": span_overlap(*floor, whitener, size)}
    if few := too_few_clusters(n_clusters):
        return values | {"reason": few}
    rest = [
        span_overlap(*trained, root(moments.covariance(cluster)), size) for cluster in range(n_clusters)
    ]
    interval = jackknife_interval(np.array([values["value"], *rest]), moments.counts)
    return values | {"interval": interval}
