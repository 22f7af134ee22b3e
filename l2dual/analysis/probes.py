"""What a linear probe reads from each block of each encoder: records of exp/probes.json.

Targets
    surface  the surface token, from the mean of the block's output over the token's frames
    meaning  likewise the intended token: what text.canonical has in its place
    l1       first language, from the utterance's mean; speakers of the test fold are unseen, and
             where speakers share a synthesizer's voices, these
    speaker  from the utterance's mean; utterances of the test fold are unseen
Token probes are trained on one split (valid) and tested on another (test); the utterance probes
in 5 folds of the latter. Frames of tokens come from the CTC of a so_surface system (``aligner``) on
text.surface, for all encoders of one seed alike. They suit that system best, so it is one of another
seed where there is one; else so_surface is favoured. Spaces are left out.
``tokens`` says which tokens of the test split a record is on: ``all``, those where surface and
intended token are the ``same``, and those where they ``differ``: there entanglement must show.
Tokens that the learner dropped have no frames, those that were inserted have no intended token.

    value        accuracy;  ``other``: how often the probe says the other target's token instead
    unnamed      how often the surface probe says ``<err>``, which annotators write for what is wrong
                 and has no name: on tokens that are the ``same`` these are its false alarms
    chance       share of the commonest label in the test
    control      accuracy of the same probe on labels drawn at random for each type (Hewitt & Liang
                 2019, "Designing and Interpreting Probes with Control Tasks"), from the labels'
                 own distribution. Types are tokens with both neighbours, tested where seen in
                 training; l1 and speaker have none, for their types are not in training
    selectivity  accuracy on the control's tokens - control
    floor        accuracy from a randomly initialized encoder
    interval     95 % jackknife over speakers or voices of the value, the probe held fixed

Kind ``probe loss`` is entanglement (d): accuracy of the surface probe on so_surface of the same
seed minus that on this system, token by token, with a paired interval; on so_meaning it shows what
there is to lose. Its ``differ - same`` is what is lost where the outputs differ beyond what is lost
elsewhere. The probe is multinomial logistic regression on standardized features.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from l2dual.analysis.activations import finite, recorded_blocks
from l2dual.analysis.alignment import Aligned, align_texts
from l2dual.analysis.cka import jackknife_interval
from l2dual.analysis.comparison import MIN_CLUSTERS, RANDOM_SEEDS, too_few_clusters
from l2dual.analysis.entanglement import (
    ENCODER_CONFIG,
    Options,
    architecture,
    made_by,
    read_comparable,
)
from l2dual.analysis.positions import aligned
from l2dual.corpora.phones import ERROR
from l2dual.datadir import UNKNOWN, DataDir, has_surface
from l2dual.errors import DataError, UsageError
from l2dual.load import load_model, random_model, text_to_ids, vocabulary
from l2dual.model import L2DualModel
from l2dual.outputs import SINGLE
from l2dual.speech import batches
from l2dual.stats import next_seed

NONE = -1  # label of a token that a target does not have
MAX_TOKENS = 20000  # of a split; more are left out, by whole utterances
MIN_TRAIN = 200
MIN_TEST = 50
FOLDS = 5
PENALTY = 1e-3  # on the squared weights
TOKEN_SETS = ("all", "same", "differ")
BEYOND = "differ - same"


@dataclass
class Tokens:
    """The tokens of a split that are probed, and where they lie.

    Attributes:
        utts: utterances, (U,), and ``segments``, the frames of each one's tokens.
        rows: utterance of each token, (n,).
        labels: surface and intended token of each, (n,) by target; -1: none.
        types: the token with both neighbours, (n,).
        unnamed: label of ``<err>`` in the surface, None where no vocabulary has it.
    """

    utts: list[str]
    segments: dict[str, Aligned]
    rows: np.ndarray
    labels: dict[str, np.ndarray]
    types: list[tuple[int, int, int]]
    unnamed: int | None = None

    @property
    def sets(self) -> dict[str, np.ndarray]:
        """Which tokens each of ``TOKEN_SETS`` has, (n,) bool."""
        surface, meaning = self.labels["surface"], self.labels["meaning"]
        known = meaning != NONE
        same = known & (surface == meaning)
        return {"all": np.ones_like(known), "same": same, "differ": known & ~same}


def probe(data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: Options) -> list[dict]:
    """Probe the encoders of trained systems.

    Args:
        data_dir: split to test on, after stage 3.
        fit_dir: split to train token probes on.
        exp_dirs: directories of trained runs, at most one per system and seed.
        options: see :class:`Options`.

    Returns:
        Records of kinds ``probe`` and ``probe loss``; [] if there is no so_surface.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, or encoders that give different numbers of frames.
    """
    runs = read_comparable(exp_dirs, data_dir, fit_dir)
    references = {
        run["seed"]: path for path, run in runs.items() if run["system"] == SINGLE["surface"]
    }
    test, fit = DataDir.load(data_dir), DataDir.load(fit_dir)
    if not references or not has_surface(test.info):
        return []
    aligners = {
        exp_dir: references[next_seed(run["seed"], references)] for exp_dir, run in runs.items()
    }
    benches = {
        aligner: Bench((fit, test), [_tokens(data, aligner, options) for data in (fit, test)], options)
        for aligner in dict.fromkeys(aligners.values())
    }
    results = {
        exp_dir: benches[aligners[exp_dir]](load_model(exp_dir, options.checkpoint), exp_dir)
        for exp_dir in runs
    }
    records = []
    for exp_dir, run in runs.items():
        floor = benches[aligners[exp_dir]].random(exp_dir)
        head = {key: run[key] for key in ("corpus", "language", "convention", "system", "seed")}
        tail = {"aligner": str(aligners[exp_dir]), "fit_split": fit.path.name}
        tail |= made_by(test, runs, options, x=exp_dir)
        for place, result in results[exp_dir].items():
            floor_value = floor[place].values["value"] if place in floor else None
            values = result.values | {"floor": floor_value}
            records.append({"kind": "probe", **head, **place.facts(), **values, **tail})
        if run["seed"] in references and exp_dir != references[run["seed"]]:
            reference = references[run["seed"]]
            tail |= made_by(test, runs, options, x=exp_dir, reference=reference)
            records += [
                {"kind": "probe loss", **head, **place.facts(), **values, **tail}
                for place, values in _losses(results[reference], results[exp_dir])
            ]
    return records


@dataclass(frozen=True)
class Place:
    """What a probe is on."""

    layer: int  # from 1
    target: str
    tokens: str | None = None  # of TOKEN_SETS, or BEYOND

    def facts(self) -> dict:
        """Fields of a record."""
        return {"layer": self.layer, "target": self.target, "tokens": self.tokens}


@dataclass
class Result:
    """Values of one record, and which of its test tokens were read right, with their clusters."""

    values: dict
    correct: np.ndarray | None = None
    clusters: np.ndarray | None = None


def _losses(reference: dict, results: dict) -> Iterator[tuple[Place, dict]]:
    lost: dict[Place, Result] = {}
    for place, result in results.items():
        if place.target != "surface" or place not in reference:
            continue
        values = {"value": None, "interval": None, "reason": result.values["reason"]}
        values |= {key: result.values[key] for key in ("n_test", "n_clusters", "n_train")}
        lost[place] = Result(values, clusters=result.clusters)
        if result.correct is not None:
            lost[place].correct = reference[place].correct.astype(float) - result.correct
            values |= _mean(lost[place].correct, result.clusters)
        yield place, values
    for place, differ in lost.items():
        if place.tokens == "differ":
            same = lost[Place(place.layer, place.target, "same")]
            yield Place(place.layer, place.target, BEYOND), _beyond(differ, same)


def _beyond(differ: Result, same: Result) -> dict:
    """What is lost on tokens that differ, less what is lost on the others."""
    reason = differ.values["reason"] or same.values["reason"]
    found = differ.values | {"value": None, "interval": None, "reason": reason}
    if differ.correct is None or same.correct is None:
        return found
    names = np.union1d(differ.clusters, same.clusters)
    whole = differ.correct.mean() - same.correct.mean()
    if not reason:
        rest = [
            differ.correct[differ.clusters != name].mean() - same.correct[same.clusters != name].mean()
            for name in names
        ]
        # Clusters count alike: how many tokens each has is not the same in the two parts
        found["interval"] = jackknife_interval(np.array([whole, *rest]), np.ones(len(names)))
    return found | {"value": float(whole), "n_clusters": len(names)}


def _tokens(data: DataDir, aligner: Path, options: Options) -> Tokens:
    """Align the surface, and find the intended token of each of its tokens."""
    encode = text_to_ids(aligner, "surface")
    ids, intended = (
        {utt: encode(text) for utt, text in data[name].items()}
        for name in ("text.surface", "text.canonical")
    )
    names = vocabulary(aligner, "surface")
    space = [i for i, token in enumerate(names) if token == "<space>"]
    unnamed = names.index(ERROR) if ERROR in names else None
    spoken = {utt: [i for i, token in enumerate(own) if token not in space] for utt, own in ids.items()}
    drawn = _drawn({utt: len(places) for utt, places in spoken.items()})
    model = load_model(aligner, options.checkpoint).to(options.device)
    segments = align_texts(model, "surface", data.subset(drawn), ids, options.batch_size)
    print(f"progress: aligned {data.path.name} with {aligner.name}", flush=True)
    if not segments:
        raise DataError(f"{data.path}: the CTC of {aligner} can align no utterance: train it longer")
    utts, rows, surface, meaning, types, kept = [], [], [], [], [], {}
    for utt in filter(segments.__contains__, drawn):
        own, theirs = ids[utt], dict.fromkeys(range(len(ids[utt])), NONE)
        for i, j in aligned(own, intended[utt]):
            if i is not None and j is not None:
                theirs[i] = intended[utt][j]
        padded = [NONE, *own, NONE]
        rows += [len(utts)] * len(spoken[utt])
        surface += [own[i] for i in spoken[utt]]
        meaning += [theirs[i] for i in spoken[utt]]
        types += [tuple(padded[i : i + 3]) for i in spoken[utt]]
        found = segments[utt]
        kept[utt] = Aligned(found.length, [found.segments[i] for i in spoken[utt]])
        utts.append(utt)
    labels = {"surface": np.array(surface, dtype=int), "meaning": np.array(meaning, dtype=int)}
    return Tokens(utts, kept, np.array(rows, dtype=int), labels, types, unnamed)


def _drawn(counts: dict[str, int]) -> list[str]:
    """Utterances at random, as many as have ``MAX_TOKENS`` together."""
    utts = np.random.default_rng(0).permutation(sorted(counts)).tolist()
    total = np.cumsum([counts[utt] for utt in utts])
    return utts[: np.searchsorted(total, MAX_TOKENS, side="right")]


class Bench:
    """The same tokens, probed in one encoder after another.

    Args:
        datas: splits to train and to test on.
        splits: their tokens.
        options: see :class:`Options`.
    """

    def __init__(
        self, datas: tuple[DataDir, DataDir], splits: list[Tokens], options: Options
    ):
        self.datas, self.splits, self.options = datas, splits, options
        self.randoms: dict[str, dict[Place, Result]] = {}
        test, tokens = datas[1], splits[1]
        self.speakers = np.array([test["utt2spk"][utt] for utt in tokens.utts])
        self.clusters = np.array([test.clusters[utt] for utt in tokens.utts])
        self.controls = {target: self._control(target) for target in ("surface", "meaning")}

    def random(self, exp_dir: Path) -> dict[Place, Result]:
        """Results of a randomly initialized encoder, made once for all of one architecture."""
        key = architecture(exp_dir, ENCODER_CONFIG)
        if key not in self.randoms:
            self.randoms[key] = self(random_model(exp_dir, RANDOM_SEEDS[0]), exp_dir)
        return self.randoms[key]

    def __call__(self, model: L2DualModel, exp_dir: Path) -> dict[Place, Result]:
        """Train and test every probe of one encoder."""
        model.to(self.options.device)
        (fit, _), (test, pooled) = (
            token_states(model, data, tokens, self.options.batch_size, exp_dir)
            for data, tokens in zip(self.datas, self.splits, strict=True)
        )
        results = {}
        for layer in range(len(fit)):
            for target in ("surface", "meaning"):
                for name, result in self._token_probe(target, fit[layer], test[layer]).items():
                    results[Place(layer + 1, target, name)] = result
            for target in ("l1", "speaker"):
                results[Place(layer + 1, target)] = self._utterance_probe(target, pooled[layer])
        print(f"progress: probed {exp_dir.name}", flush=True)
        return results

    def _control(self, target: str) -> list[np.ndarray]:
        """Random label of each token's type in both splits; -1 where training has not the type."""
        fit, test = self.splits
        known = fit.labels[target][fit.labels[target] != NONE]
        seen = sorted(set(fit.types))
        drawn = np.random.default_rng(0).choice(known, len(seen)) if len(known) else []
        label = dict(zip(seen, drawn, strict=False))
        return [
            np.array([label.get(one, NONE) for one in split.types], dtype=int)
            for split in self.splits
        ]

    def _token_probe(self, target: str, fit_x: np.ndarray, test_x: np.ndarray) -> dict:
        fit, test = self.splits
        sets, labels = test.sets, test.labels[target]
        n_train = int((fit.labels[target] != NONE).sum())
        if n_train < MIN_TRAIN:
            reason = f"{n_train} tokens to train on; needs {MIN_TRAIN}"
            return {name: _nothing(reason, n_train, int(sets[name].sum())) for name in TOKEN_SETS}
        guess = _probe(fit_x, fit.labels[target], test_x)
        control_fit, control = self.controls[target]
        seen = control != NONE
        control_guess = _probe(fit_x, control_fit, test_x)
        other = test.labels["meaning" if target == "surface" else "surface"]
        results = {}
        for name in TOKEN_SETS:
            chosen = sets[name] & (labels != NONE)
            tested = int(chosen.sum())
            if tested < MIN_TEST:
                reason = f"{tested} tokens to test on; needs {MIN_TEST}"
                results[name] = _nothing(reason, n_train, tested)
                continue
            result = _result(guess, labels, chosen, self.clusters[test.rows], n_train)
            both = chosen & seen
            if both.any():
                accuracy = float((control_guess == control)[both].mean())
                gain = float((guess == labels)[both].mean()) - accuracy
                result.values |= {"control": accuracy, "selectivity": gain}
            if name == "differ":
                result.values["other"] = float((guess == other)[chosen].mean())
            if target == "surface" and test.unnamed is not None:
                said = _mean((guess == test.unnamed)[chosen], result.clusters)
                result.values |= {"unnamed": said["value"], "unnamed_interval": said["interval"]}
            results[name] = result
        return results

    def _utterance_probe(self, target: str, x: np.ndarray) -> Result:
        if target == "l1":
            table = self.datas[1]["utt2l1"]
            names = np.array([table[utt] for utt in self.splits[1].utts])
        else:
            names = self.speakers
        kept, folds, reason = _folds(target, names, self.clusters if target == "l1" else names)
        if reason:
            return _nothing(reason, 0, int(kept.sum()))
        _, labels = np.unique(names, return_inverse=True)
        guess = _cross_validated(x, labels, np.where(kept, folds, NONE))
        n_train = int(kept.sum()) - int(np.bincount(folds[kept]).max())
        return _result(guess, labels, kept, self.clusters, n_train)


def _folds(
    target: str, names: np.ndarray, whose: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Which utterances count, the fold of each, and why there is none.

    For ``l1`` a speaker, or voice, is in one fold; a ``speaker`` is in every one. Folds take the
    speakers of each first language in turn, as far as voices that several share allow.
    """
    folds = np.zeros(len(names), dtype=int)
    if target == "l1":
        found = {(l1, one) for l1, one in zip(names, whose, strict=True) if l1 != UNKNOWN}
        l1s = [l1 for l1, _ in found]
        usable = {(l1, one) for l1, one in found if l1s.count(l1) >= 2}
        ones = list(dict.fromkeys(one for _, one in sorted(usable)))
        fold = {one: index % FOLDS for index, one in enumerate(ones)}
        kept = np.array([pair in usable for pair in zip(names, whose, strict=True)], dtype=bool)
        folds[kept] = [fold[one] for one in whose[kept]]
        few = len({l1 for l1, _ in usable}) < 2 or len(ones) < MIN_CLUSTERS
        reason = f"needs two first languages and {MIN_CLUSTERS} speakers or voices" if few else None
    else:
        for one in set(whose):
            own = np.flatnonzero(whose == one)
            folds[own] = np.arange(len(own)) % FOLDS
        counts = {one: int((whose == one).sum()) for one in set(whose)}
        kept = np.array([counts[one] >= FOLDS for one in whose], dtype=bool)
        few = len(set(whose[kept])) < 2
        reason = f"needs two speakers of {FOLDS} utterances" if few else None
    if reason is None and kept.sum() < MIN_TRAIN:
        reason = f"{int(kept.sum())} utterances; needs {MIN_TRAIN}"
    return kept, folds, reason


def _result(
    guess: np.ndarray, labels: np.ndarray, chosen: np.ndarray, clusters: np.ndarray, n_train: int
) -> Result:
    correct = (guess == labels)[chosen]
    chance = float(np.bincount(labels[chosen]).max() / chosen.sum())
    values = _nothing(None, n_train, int(chosen.sum())).values | {"chance": chance}
    return Result(values | _mean(correct, clusters[chosen]), correct, clusters[chosen])


def _mean(values: np.ndarray, clusters: np.ndarray) -> dict:
    """Mean, and its jackknife interval over clusters."""
    names = np.unique(clusters)
    found = {"value": float(values.mean()), "interval": None, "n_clusters": len(names)}
    if reason := too_few_clusters(len(names)):
        return found | {"reason": reason}
    rest = [values[clusters != name].mean() for name in names]
    sizes = np.array([(clusters == name).sum() for name in names])
    interval = jackknife_interval(np.array([values.mean(), *rest]), sizes)
    return found | {"interval": interval, "reason": None}


def _nothing(reason: str | None, n_train: int, n_test: int) -> Result:
    names = "value other unnamed unnamed_interval chance control selectivity interval n_clusters"
    counts = {"n_train": n_train, "n_test": n_test, "reason": reason}
    return Result(dict.fromkeys(names.split()) | counts)


@torch.inference_mode()
def token_states(
    model: L2DualModel, data: DataDir, tokens: Tokens, batch_size: int, exp_dir: Path
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Mean of every block over the frames of each token, (n, d), and of each utterance, (U, d).

    Raises:
        UsageError: the encoder gives other numbers of frames than the aligner's.
        DataError: values that are not finite.
    """
    device = next(model.parameters()).device
    by_token: list[dict[str, np.ndarray]] = []
    by_utt: list[dict[str, np.ndarray]] = []
    with recorded_blocks(model) as outputs:
        for utts, speech, speech_lengths in batches(data.subset(tokens.utts), batch_size):
            _, lengths = model.encode(speech.to(device), speech_lengths.to(device))
            by_token = by_token or [{} for _ in outputs]
            by_utt = by_utt or [{} for _ in outputs]
            for index, (utt, length) in enumerate(zip(utts, lengths.tolist(), strict=True)):
                found = tokens.segments[utt]
                if length != found.length:
                    raise UsageError(
                        f"{exp_dir}: {length} frames of {utt}, but {found.length} in the aligner: "
                        "compare encoders of one subsampling factor"
                    )
                for layer, output in enumerate(outputs):
                    frames = finite(output[index, :length], utt)
                    by_utt[layer][utt] = frames.mean(0)
                    means = [frames[start : end + 1].mean(0) for start, end in found.segments]
                    by_token[layer][utt] = np.array(means).reshape(-1, frames.shape[1])
    return (
        [np.concatenate([layer[utt] for utt in tokens.utts]) for layer in by_token],
        [np.stack([layer[utt] for utt in tokens.utts]) for layer in by_utt],
    )


def _probe(fit_x: np.ndarray, labels: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Labels that a probe trained on ``fit_x`` (n, d) gives to ``test_x`` (m, d)."""
    known = labels != NONE
    return fit_probe(fit_x[known], labels[known])(test_x)


def _cross_validated(x: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Labels (n,) that probes give to the fold that each was not trained on; -1 without a fold."""
    guess = np.full(len(x), NONE)
    for fold in range(FOLDS):
        train, test = (folds != fold) & (folds != NONE), folds == fold
        if test.any():
            guess[test] = fit_probe(x[train], labels[train])(x[test])
    return guess


def fit_probe(x: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Multinomial logistic regression on standardized features, by L-BFGS.

    Args:
        x: features, (n, d).
        labels: integers >= 0, (n,).

    Returns:
        A function from features (m, d) to labels (m,).
    """
    classes, target = (torch.from_numpy(part) for part in np.unique(labels, return_inverse=True))
    mean, scale = x.mean(0), x.std(0) + 1e-6
    features = torch.from_numpy((x - mean) / scale).float()
    weight = torch.zeros(features.shape[1], len(classes), requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        entropy = torch.nn.functional.cross_entropy(features @ weight + bias, target)
        value = entropy + PENALTY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    slope, offset = weight.detach().numpy(), bias.detach().numpy()
    return lambda y: classes.numpy()[((y - mean) / scale @ slope + offset).argmax(1)]
