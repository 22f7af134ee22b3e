"""What a linear probe reads from each block of each encoder: records of exp/probes.json.

A probe is multinomial logistic regression on the mean of a block's output over the frames of a token of
text.surface; it is to tell that token (``surface``), or what text.canonical has in its place (``meaning``),
from the blocks on the path of that output. Tokens that the learner dropped have no frames, those that were
inserted no intended token; spaces are left out. docs/analysis.md says how tokens are aligned, and what
records hold.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from l2dual.analysis.activations import encoded, finite_array, recorded_blocks
from l2dual.analysis.alignment import Aligned, align_texts
from l2dual.analysis.cka import ratio_interval, too_few_clusters
from l2dual.analysis.entanglement import AnalysisOptions, RandomNetworks, read_comparable
from l2dual.analysis.kinds import Probe
from l2dual.analysis.similarity import RANDOM_SEEDS
from l2dual.data.datadir import DataDir, has_surface
from l2dual.errors import DataError, UsageError
from l2dual.models.dual import L2DualModel
from l2dual.systems import OUTPUTS, from_run, reference
from l2dual.text.units import align
from l2dual.training.load import load_model, text_to_ids, vocabulary

NONE = -1  # label of a token that a target does not have
MAX_TOKENS = 20000  # of a split; more are left out, by whole utterances
MIN_TRAIN = 200
MIN_TEST = 50
PENALTY = 1e-3  # on the squared weights, beside the mean cross entropy
STEPS = 100  # of L-BFGS
TOKEN_SETS = ("all", "same", "differ")


@dataclass
class Tokens:
    """The tokens of a split that are probed, and where they lie."""

    utts: list[str]  # (U,)
    segments: dict[str, Aligned]  # frames of each utterance's tokens
    rows: np.ndarray  # utterance of each token, (n,)
    labels: dict[str, np.ndarray]  # surface and intended token, (n,) by target; -1: none

    @property
    def sets(self) -> dict[str, np.ndarray]:
        """Which tokens each of ``TOKEN_SETS`` has, (n,) bool."""
        surface, meaning = self.labels["surface"], self.labels["meaning"]
        known = meaning != NONE
        same = known & (surface == meaning)
        return {"all": np.ones_like(known), "same": same, "differ": known & ~same}


Guesses = dict[tuple[int, str], np.ndarray]  # by layer (from 1) and target: labels of the test tokens


def probe(
    data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: AnalysisOptions
) -> list[Probe]:
    """Probe the encoders of trained systems.

    Arguments and errors as of `l2dual.analysis.entanglement.analyse`; ``fit_dir`` is the split to
    train probes on.

    Returns:
        One record per run, block, target and set of tokens; [] without a system of the surface alone.
    """
    runs = read_comparable(exp_dirs, data_dir, fit_dir)
    systems = {path: from_run(run) for path, run in runs.items()}
    singles = sorted((one for one in systems.values() if one.outputs == ("surface",)), key=lambda one: one.place)
    test, fit = DataDir.load(data_dir), DataDir.load(fit_dir)
    if not singles or not has_surface(test.info):
        return []
    paths = {(run["system"], run["seed"]): path for path, run in runs.items()}
    aligning = {seed: path for (name, seed), path in paths.items() if name == singles[0].name}
    aligners = {path: aligning[other_seed(run["seed"], aligning)] for path, run in runs.items()}
    benches = {
        aligner: Bench((fit, test), [read_tokens(data, aligner, options) for data in (fit, test)], options)
        for aligner in dict.fromkeys(aligners.values())
    }
    guesses = {
        path: benches[aligners[path]](load_model(path), path) for path in runs
    }
    records = []
    for path, run in runs.items():
        bench = benches[aligners[path]]
        beside = paths.get((reference(systems[path], "surface", systems.values()), run["seed"]))
        floor = bench.random(path, RANDOM_SEEDS[0])
        for place in sorted(guesses[path], key=lambda one: (one[0], OUTPUTS.index(one[1]))):
            single = guesses[beside].get(place) if beside not in (None, path) else None
            head = {"system": run["system"], "seed": run["seed"], "layer": place[0], "target": place[1]}
            for name in TOKEN_SETS:
                values = bench.values(place[1], name, guesses[path][place], floor.get(place), single)
                records.append(Probe(**head, tokens=name, **values))
    return records


def other_seed(seed: int, seeds: dict[int, Path]) -> int:
    """The next of ``seeds`` above a seed, or the lowest after the highest: where alone, itself."""
    return min(seeds, key=lambda other: (other <= seed, other))


def read_tokens(data: DataDir, aligner: Path, options: AnalysisOptions) -> Tokens:
    """Align the surface of a split, and find the intended token of each of its tokens."""
    encode = text_to_ids(aligner, "surface")
    ids, intended = (
        {utt: encode(text) for utt, text in data[name].items()}
        for name in ("text.surface", "text.canonical")
    )
    space = {i for i, token in enumerate(vocabulary(aligner, "surface")) if token == "<space>"}
    spoken = {utt: [i for i, token in enumerate(own) if token not in space] for utt, own in ids.items()}
    drawn = draw({utt: len(places) for utt, places in spoken.items()})
    model = load_model(aligner)
    segments = align_texts(model, "surface", data.subset(drawn), ids, options.batch_size)
    print(f"progress: aligned {data.path.name} with {aligner.name}", flush=True)
    if not segments:
        raise DataError(f"{data.path}: the CTC of {aligner} can align no utterance: train it longer")
    utts, rows, labels, kept = [], [], {output: [] for output in OUTPUTS}, {}
    for utt in filter(segments.__contains__, drawn):
        theirs = intended_tokens(ids[utt], intended[utt])
        rows += [len(utts)] * len(spoken[utt])
        labels["surface"] += [ids[utt][i] for i in spoken[utt]]
        labels["meaning"] += [theirs[i] for i in spoken[utt]]
        found = segments[utt]
        kept[utt] = Aligned(found.length, [found.segments[i] for i in spoken[utt]])
        utts.append(utt)
    arrays = {output: np.array(found, dtype=int) for output, found in labels.items()}
    return Tokens(utts, kept, np.array(rows, dtype=int), arrays)


def intended_tokens(surface: list[int], canonical: list[int]) -> list[int]:
    """The canonical token in the place of each surface token; NONE for an inserted one."""
    steps = align(" ".join(map(str, surface)), " ".join(map(str, canonical)), "word")
    return [NONE if theirs is None else int(theirs) for own, theirs in steps if own is not None]


def draw(counts: dict[str, int]) -> list[str]:
    """Utterances at random, as many as have ``MAX_TOKENS`` together."""
    utts = np.random.default_rng(0).permutation(sorted(counts)).tolist()
    total = np.cumsum([counts[utt] for utt in utts])
    return utts[: np.searchsorted(total, MAX_TOKENS, side="right")]


class Bench:
    """The same tokens of the splits to train and to test on, probed in one encoder after another."""

    def __init__(self, datas: tuple[DataDir, DataDir], splits: list[Tokens], options: AnalysisOptions):
        self.datas, self.splits, self.options = datas, splits, options
        self.random = RandomNetworks(self)
        test, tokens = datas[1], splits[1]
        self.clusters = np.array([test.clusters[utt] for utt in tokens.utts])[tokens.rows]

    def n_train(self, target: str) -> int:
        """Training tokens that have a label."""
        return int((self.splits[0].labels[target] != NONE).sum())

    def __call__(self, model: L2DualModel, exp_dir: Path) -> Guesses:
        """Train every probe of one encoder, and let it label the test tokens."""
        fit, test = (
            token_states(model, data, tokens, self.options.batch_size, exp_dir)
            for data, tokens in zip(self.datas, self.splits, strict=True)
        )
        guesses = {}
        for target in OUTPUTS:
            for layer, (fit_x, test_x) in enumerate(zip(fit[target], test[target], strict=True), 1):
                guesses[layer, target] = np.full(len(test_x), NONE)
                if self.n_train(target) >= MIN_TRAIN:
                    guesses[layer, target] = fit_probe(fit_x, self.splits[0].labels[target], test_x)
        print(f"progress: probed {exp_dir.name}", flush=True)
        return guesses

    def values(
        self,
        target: str,
        name: str,
        guess: np.ndarray,
        floor: np.ndarray | None,
        single: np.ndarray | None,
    ) -> dict:
        """The numbers of one record from guesses, (n,) each, on one of ``TOKEN_SETS``."""
        test = self.splits[1]
        labels, other = (test.labels[one] for one in (target, *set(OUTPUTS) - {target}))
        chosen = test.sets[name] & (labels != NONE)
        n_train, n_test = self.n_train(target), int(chosen.sum())
        values = {"n_train": n_train, "n_test": n_test}
        if n_train < MIN_TRAIN:
            return values | {"reason": f"{n_train} tokens to train on; needs {MIN_TRAIN}"}
        if n_test < MIN_TEST:
            return values | {"reason": f"{n_test} tokens to test on; needs {MIN_TEST}"}
        correct, clusters = (guess == labels)[chosen], self.clusters[chosen]
        values["n_clusters"] = len(np.unique(clusters))
        values["reason"] = too_few_clusters(values["n_clusters"])
        values["value"], values["interval"] = ratio_interval(correct, np.ones(n_test), clusters)
        values["chance"] = float(np.bincount(labels[chosen]).max() / n_test)
        if floor is not None:
            values["floor"] = float((floor == labels)[chosen].mean())
        if name == "differ":
            values["other"] = float((guess == other)[chosen].mean())
        if single is not None and target == "surface":
            lost = (single == labels)[chosen].astype(float) - correct
            values["loss"], values["loss_interval"] = ratio_interval(lost, np.ones(n_test), clusters)
        return values


@torch.inference_mode()
def token_states(
    model: L2DualModel, data: DataDir, tokens: Tokens, batch_size: int, exp_dir: Path
) -> dict[str, list[np.ndarray]]:
    """Mean of every block over the frames of each token, (n, d), on the path of each output.

    An output that the model has not is read where its other one is.

    Raises:
        UsageError: the encoder gives other numbers of frames than the aligner's.
        DataError: values that are not finite.
    """
    found: dict[torch.nn.Module, dict[str, np.ndarray]] = {}
    with recorded_blocks(model) as given:
        for utts, states in encoded(model, data.subset(tokens.utts), batch_size):
            for index, (utt, length) in enumerate(zip(utts, states.lengths.tolist(), strict=True)):
                aligned_to = tokens.segments[utt]
                if length != aligned_to.length:
                    raise UsageError(
                        f"{exp_dir}: {length} frames of {utt}, but {aligned_to.length} in the "
                        "aligner: compare encoders of one subsampling factor"
                    )
                for block, values in given.items():
                    frames = finite_array(values[index, :length], utt)
                    means = [frames[start : end + 1].mean(0) for start, end in aligned_to.segments]
                    found.setdefault(block, {})[utt] = np.array(means).reshape(-1, frames.shape[1])
    by_block = {block: np.concatenate([own[utt] for utt in tokens.utts]) for block, own in found.items()}
    paths = {output: output if output in model.outputs else model.outputs[0] for output in OUTPUTS}
    return {output: [by_block[block] for block in model.blocks(path)] for output, path in paths.items()}


def fit_probe(x: np.ndarray, labels: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Labels (m,) that a probe gives to ``test_x`` (m, d).

    It is trained on ``x`` (n, d) where ``labels`` (n,) are not -1.
    """
    known = labels != NONE
    if len(np.unique(labels[known])) == 1:
        return np.full(len(test_x), labels[known][0])
    regression = LogisticRegression(C=1 / (2 * PENALTY * known.sum()), max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), regression).fit(x[known], labels[known]).predict(test_x)
