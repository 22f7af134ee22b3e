"""Trained decoders on other systems' encoders: records of kind ``swap`` in exp/swap.json.

Is what a decoder needs in another encoder's output, in a form that a linear map gives? Least
squares on training frames maps the output of encoder A to that of encoder B; then a decoder of B
(with its CTC) reads A through the map. ``r2`` is the share of the variance of B's output, on test
frames, that the map explains. On B's own encoder there is no map: the value to reach, ``own``.
``floor`` is the same for a randomly initialized encoder A, and ``ceiling`` for the encoder of B's own
system trained from the next seed: what a map costs where the task is the same.

``accuracy`` and ``loss`` (cross entropy in nats) are of the next token with teacher forcing,
``value`` is the error rate of beam search, in ``unit``; ``interval`` its 95 % jackknife over
speakers or voices, the map held fixed; ``difference`` is value - own, with the same jackknife of the
two paired by utterance. Encoders are paired within a seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from espnet2.legacy.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos

from l2dual.analysis.cka import jackknife_interval
from l2dual.analysis.comparison import MIN_UTTERANCES, RANDOM_SEEDS, too_few_clusters
from l2dual.analysis.entanglement import Options, made_by, next_seed, read_comparable
from l2dual.datadir import DataDir
from l2dual.decode import DualDecoder
from l2dual.errors import UsageError
from l2dual.load import load_model, random_model, text_to_ids, tokens_to_text_of
from l2dual.model import IGNORE_ID, L2DualModel
from l2dual.score import kind_of
from l2dual.speech import batches
from l2dual.text import UNITS, align, normalize

RANDOM = "random"
FRAMES_PER_DIM = 10  # of the training frames for each input of the map
RIDGE = 1e-6  # of the mean variance: keeps directions that do not vary from exploding


def swap(data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: Options) -> list[dict]:
    """Put every decoder on every encoder of its seed.

    Args:
        data_dir: split to test on, after stage 3.
        fit_dir: split to fit the maps on.
        exp_dirs: directories of trained runs, at most one per system and seed.
        options: see :class:`Options`.

    Returns:
        One record per decoder and encoder.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, or encoders that give different numbers of frames.
    """
    runs = read_comparable(exp_dirs)
    test, fit = (subset(DataDir.load(path), options.max_utts) for path in (data_dir, fit_dir))
    records = []
    for seed in sorted({run["seed"] for run in runs.values()}):
        dirs = {run["system"]: exp_dir for exp_dir, run in runs.items() if run["seed"] == seed}
        models = {name: load_model(path, options.checkpoint) for name, path in dirs.items()}
        models[RANDOM] = random_model(next(iter(dirs.values())), RANDOM_SEEDS[0])
        for name in dirs:
            trained = {run["seed"]: path for path, run in runs.items() if run["system"] == name}
            if len(trained) > 1:
                path = trained[next_seed(seed, trained)]
                models[again(name)] = load_model(path, options.checkpoint)
        for model in models.values():
            model.to(options.device)
        maps = fit_maps(models, fit, options)
        tallies = swapped(models, dirs, maps, test, options)
        values = {
            (decoder, output, encoder): tally.values(
                test, output, tallies[decoder, output, decoder]
            )
            for (decoder, output, encoder), tally in tallies.items()
        }
        for (decoder, output, encoder), found in values.items():
            if encoder not in dirs:
                continue
            run = runs[dirs[decoder]]
            head = {key: run[key] for key in ("corpus", "language", "convention")}
            place = {"decoder": decoder, "output": output, "encoder": encoder, "seed": seed}
            found |= {"own": values[decoder, output, decoder]["value"]}
            found |= {"floor": values[decoder, output, RANDOM]["value"]}
            same_task = values.get((decoder, output, again(decoder)), {"value": None})
            found |= {"ceiling": same_task["value"]}
            tail = made_by(test, runs, options, decoder=dirs[decoder], encoder=dirs[encoder])
            records.append(
                {"kind": "swap", **head, **place, **found, "fit_split": fit.path.name} | tail
            )
    return records


def again(system: str) -> str:
    """Name the encoder of a system from another seed."""
    return f"{system} again"


def subset(data: DataDir, max_utts: int | None) -> DataDir:
    """A seeded random part of a split."""
    utts = sorted(data["wav.scp"])
    return data.subset(np.random.default_rng(0).permutation(utts)[:max_utts].tolist())


def encoded(
    models: dict[str, L2DualModel], data: DataDir, options: Options
) -> Iterator[tuple[list[str], dict[str, torch.Tensor], torch.Tensor]]:
    """Batches of utterances through every encoder: (B, T', D) by name, and their lengths (B,).

    Raises:
        UsageError: the encoders give different numbers of frames.
    """
    for utts, speech, speech_lengths in batches(data, options.batch_size):
        speech, speech_lengths = speech.to(options.device), speech_lengths.to(options.device)
        states, first = {}, None
        for name, model in models.items():
            states[name], lengths = model.encode(speech, speech_lengths)
            first = lengths if first is None else first
            if not torch.equal(lengths, first):
                raise UsageError(
                    f"the encoder of {name} gives other numbers of frames than the others: "
                    "compare encoders of one subsampling factor"
                )
        yield utts, states, first


@dataclass(frozen=True)
class Affine:
    """x -> x @ weight + bias; its fit's frames, and why there is none."""

    weight: np.ndarray
    bias: np.ndarray
    n_frames: int

    @property
    def least(self) -> int:
        """Frames that the fit needs: ten a dimension."""
        return FRAMES_PER_DIM * len(self.weight)


@torch.inference_mode()
def fit_maps(
    models: dict[str, L2DualModel], data: DataDir, options: Options
) -> dict[tuple[str, str], Affine]:
    """Least-squares maps between the outputs of all encoders, from one pass over ``data``.

    The sums of products are all that is kept of the frames.
    """
    names = list(models)
    widths = [models[name].encoder.output_size() for name in names]
    ends = np.cumsum(widths)
    part = {name: slice(end - width, end) for name, end, width in zip(names, ends, widths)}
    products, sums, n = np.zeros((ends[-1], ends[-1])), np.zeros(ends[-1]), 0
    for _, states, lengths in encoded(models, data, options):
        both = torch.cat([states[name] for name in names], dim=-1)  # (B, T', sum of D)
        for frames, length in zip(both, lengths.tolist(), strict=True):
            x = frames[:length].double().cpu().numpy()
            products, sums, n = products + x.T @ x, sums + x.sum(0), n + length
    mean = sums / n
    covariance = products / n - np.outer(mean, mean)
    maps = {}
    for source in names:
        own = covariance[part[source], part[source]]
        ridge = RIDGE * np.trace(own) / len(own) * np.eye(len(own))
        for target in names:
            if source != target:
                weight = np.linalg.solve(own + ridge, covariance[part[source], part[target]])
                bias = mean[part[target]] - mean[part[source]] @ weight
                maps[source, target] = Affine(weight, bias, n)
    print(f"progress: mapped {', '.join(names)}", flush=True)
    return maps


@torch.inference_mode()
def swapped(
    models: dict[str, L2DualModel],
    dirs: dict[str, Path],
    maps: dict[tuple[str, str], Affine],
    data: DataDir,
    options: Options,
) -> dict[tuple[str, str, str], "Tally"]:
    """Every decoder on every encoder, by (decoder's system, output, encoder's system).

    On the encoder of a system `again` is none but that system's decoder.
    """
    searches = {name: on_states(models[name], options) for name in dirs}
    texts = {
        (name, output): Texts(data, dirs[name], output)
        for name in dirs
        for output in models[name].outputs
    }
    encoders = {
        name: [one for one in models if one not in map(again, dirs) or one == again(name)]
        for name in dirs
    }
    tallies = {
        (name, output, encoder): Tally(maps.get((encoder, name)))
        for name, output in texts
        for encoder in encoders[name]
    }
    done = 0
    for utts, states, lengths in encoded(models, data, options):
        for name, search in searches.items():
            for encoder in encoders[name]:
                mapping = maps.get((encoder, name))
                given = states[encoder] if mapping is None else through(mapping, states[encoder])
                hypotheses = search(given, lengths)
                for output, found in hypotheses.items():
                    tally, text = tallies[name, output, encoder], texts[name, output]
                    tally.compare(given, states[name], lengths)
                    tally.force(models[name], output, given, lengths, [text.ids[u] for u in utts])
                    for utt, tokens in zip(utts, found, strict=True):
                        tally.errors[utt] = text.errors(utt, tokens)
        done += len(utts)
        print(f"progress: swapped for {done} of {len(data['wav.scp'])} utterances", flush=True)
    return tallies


def through(mapping: Affine, states: torch.Tensor) -> torch.Tensor:
    """States (B, T', D) mapped to another encoder's."""
    weight = torch.from_numpy(mapping.weight).to(states)
    return states @ weight + torch.from_numpy(mapping.bias).to(states)


class Given(torch.nn.Module):
    """In an encoder's place where its output is given."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, states: torch.Tensor, lengths: torch.Tensor) -> tuple:
        """Return the states (B, T', D) and their lengths (B,) as an ESPnet encoder does."""
        return states, lengths, None

    def output_size(self) -> int:
        """Width D."""
        return self.width


def headless(model: L2DualModel) -> L2DualModel:
    """The decoders and CTCs of ``model`` as a model whose speech is an encoder's output."""
    found = L2DualModel(
        token_lists=model.token_lists,
        frontend=None,
        specaug=None,
        normalize=None,
        encoder=Given(model.encoder.output_size()),
        decoders=model.decoders,
        ctcs=model.ctcs,
        loss_weights=model.loss_weights,
        length_normalized=model.length_normalized,
    )
    found.attention_losses = model.attention_losses  # with their label smoothing
    return found.train(model.training)


def on_states(model: L2DualModel, options: Options) -> DualDecoder:
    """Both searches of ``model``, on an encoder's output instead of speech."""
    return DualDecoder(headless(model), options.search)


class Texts:
    """The texts of one output: as token ids, and to count errors against."""

    def __init__(self, data: DataDir, exp_dir: Path, output: str):
        encode = text_to_ids(exp_dir, output)
        self.texts = data[f"text.{output}"]
        self.ids = {utt: encode(text) for utt, text in self.texts.items()}
        self.unit = unit_of(data, output)
        self.write = tokens_to_text_of(exp_dir, output)

    def errors(self, utt: str, tokens: list[str]) -> tuple[int, int]:
        """Errors of a hypothesis, and tokens of its reference."""
        pairs = align(normalize(self.texts[utt]), normalize(self.write(tokens)), self.unit)
        wrong = sum(kind_of(*pair) != "hits" for pair in pairs)
        return wrong, sum(left is not None for left, _ in pairs)


class Tally:
    """What one decoder makes of one encoder.

    Args:
        mapping: through which it reads the encoder; None: its own.
    """

    def __init__(self, mapping: Affine | None):
        self.mapping = mapping
        self.errors: dict[str, tuple[int, int]] = {}  # of each utterance: errors, reference tokens
        self.tokens, self.hits, self.nats = 0, 0, 0.0
        self.frames, self.sum, self.squares, self.residual = 0, 0.0, 0.0, 0.0

    def compare(self, given: torch.Tensor, wanted: torch.Tensor, lengths: torch.Tensor) -> None:
        """Count how far what is given is from the own encoder's output, (B, T', D) each."""
        for one, other, length in zip(given, wanted, lengths.tolist(), strict=True):
            one, other = one[:length].double(), other[:length].double()
            self.frames += length
            self.sum = self.sum + other.sum(0)
            self.squares += float(other.square().sum())
            self.residual += float((one - other).square().sum())

    def force(
        self,
        model: L2DualModel,
        output: str,
        states: torch.Tensor,
        lengths: torch.Tensor,
        ids: list[list[int]],
    ) -> None:
        """Force the decoder on a batch of texts, and count what it would have said."""
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(one, dtype=torch.long) for one in ids], True, IGNORE_ID
        ).to(states.device)
        ys_in, ys_out = add_sos_eos(
            tokens, model.sos_eos(output), model.sos_eos(output), IGNORE_ID
        )
        token_lengths = torch.tensor([len(one) + 1 for one in ids], device=states.device)
        logits, _ = model.decoders[output](states, lengths, ys_in, token_lengths)
        counted = ys_out != IGNORE_ID
        self.tokens += int(counted.sum())
        self.hits += int((logits.argmax(-1) == ys_out)[counted].sum())
        self.nats += float(
            torch.nn.functional.cross_entropy(logits[counted], ys_out[counted], reduction="sum")
        )

    def values(self, data: DataDir, output: str, own: "Tally | None") -> dict:
        """The numbers of a record; ``own``: the tally to reach, if there is one."""
        utts = sorted(self.errors)
        clusters = np.array([data.clusters[utt] for utt in utts])
        n_clusters = len(np.unique(clusters))
        wrong, n_ref = np.array([self.errors[utt] for utt in utts]).T
        more = wrong - np.array([(own or self).errors[utt][0] for utt in utts])
        numbers = {
            "value": float(wrong.sum() / n_ref.sum()),
            "difference": float(more.sum() / n_ref.sum()) if own else None,
            "accuracy": self.hits / self.tokens,
            "loss": self.nats / self.tokens,
            "r2": self._r2(),
        }
        intervals = {"interval": None, "difference_interval": None}
        if reason := self._too_few(utts):
            numbers = dict.fromkeys(numbers)
        elif not (reason := too_few_clusters(n_clusters)):
            intervals["interval"] = _rate_interval(wrong, n_ref, clusters)
            if own and self is not own:
                intervals["difference_interval"] = _rate_interval(more, n_ref, clusters)
        return {
            **numbers,
            **intervals,
            "unit": unit_of(data, output),
            "n_fit_frames": self.mapping.n_frames if self.mapping else None,
            "n_ref": int(n_ref.sum()),
            "n_utts": len(utts),
            "n_clusters": n_clusters,
            "reason": reason,
        }

    def _too_few(self, utts: list[str]) -> str | None:
        """Why there are no numbers, or None."""
        if self.mapping and self.mapping.n_frames < self.mapping.least:
            return f"{self.mapping.n_frames} frames to fit the map on; needs {self.mapping.least}"
        if len(utts) < MIN_UTTERANCES:
            return f"{len(utts)} utterances; needs {MIN_UTTERANCES}"
        return None

    def _r2(self) -> float | None:
        """Share of the variance of the own encoder's output that is explained."""
        if self.mapping is None:
            return None
        variance = self.squares - float(self.sum.square().sum()) / self.frames
        return 1 - self.residual / variance


def _rate_interval(counts: np.ndarray, n_ref: np.ndarray, clusters: np.ndarray) -> list[float]:
    """95 % jackknife over clusters of the sum of counts over that of reference tokens, (N,) each."""
    _, index = np.unique(clusters, return_inverse=True)
    wrong, sizes = np.bincount(index, counts), np.bincount(index, n_ref)
    rest = (wrong.sum() - wrong) / (sizes.sum() - sizes)
    return jackknife_interval(np.array([wrong.sum() / sizes.sum(), *rest]), sizes)


def unit_of(data: DataDir, output: str) -> str:
    """The unit in which an output is scored here: characters or phones."""
    return UNITS[data.info[f"{output}_unit"]][0]
