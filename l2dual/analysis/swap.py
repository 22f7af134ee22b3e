"""Trained decoders on other systems' encoders: records of kind ``swap`` in exp/swap.json.

Is what a decoder needs in another encoder's output, in a form that a linear map gives? Least
squares on training frames maps the output of encoder A to that of encoder B; then a decoder of B
(with its CTC) reads A through the map. A frame of B is made of the frames of A around it, as two
trainings may write a token some frames apart. ``r2`` is the share of the variance of B's output, on
test frames, that the map explains. Systems of one seed start from the same weights, which makes the
map between them easier: A is of the next seed (``encoder_seed``), whatever its system.

``own`` is the decoder's error rate on its own encoder, without a map; ``ceiling`` on its own
system's encoder of the next seed: what a map costs where the task is the same; ``floor`` on a
randomly initialized encoder.

``accuracy`` and ``loss`` (cross entropy in nats) are of the next token with teacher forcing,
``value`` is the error rate of beam search, in ``unit``; ``interval`` its 95 % jackknife over
speakers or voices, the map held fixed. ``difference`` is value - ceiling: what the other task
costs; its interval is the same jackknife of the two paired by utterance.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from espnet2.legacy.nets.pytorch_backend.nets_utils import make_pad_mask

from l2dual.analysis.cka import jackknife_interval
from l2dual.analysis.comparison import MIN_UTTERANCES, RANDOM_SEEDS, too_few_clusters
from l2dual.analysis.decoders import teacher_forcing
from l2dual.analysis.entanglement import Options, made_by, read_comparable, set_beside
from l2dual.datadir import DataDir
from l2dual.decode import DualDecoder
from l2dual.errors import UsageError
from l2dual.load import load_model, random_model, text_to_ids, tokens_to_text_of
from l2dual.model import IGNORE_ID, L2DualModel
from l2dual.score import kind_of
from l2dual.speech import batches
from l2dual.stats import next_seed
from l2dual.text import UNITS, align, normalize

RANDOM = "random"
CONTEXT = 2  # frames on either side that the map hears
FRAMES_PER_DIM = 10  # of the training frames for each input of the map
RIDGE = 1e-6  # of the mean square: keeps directions that do not vary from exploding
NUMBERS = "value interval difference difference_interval accuracy loss r2 n_fit_frames".split()


def swap(data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: Options) -> list[dict]:
    """Put every decoder on the encoders of the next seed: of its own system and of those it is set beside.

    Args:
        data_dir: split to test on, after stage 3.
        fit_dir: split to fit the maps on.
        exp_dirs: directories of trained runs, at most one per system and seed.
        options: see :class:`Options`.

    Returns:
        One record per decoder and system that it hears; null for the encoder of a system with one seed.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data, or encoders that give different numbers of frames.
    """
    runs = read_comparable(exp_dirs, data_dir, fit_dir)
    test, fit = (DataDir.load(path).sample(options.max_utts) for path in (data_dir, fit_dir))
    systems = list(dict.fromkeys(run["system"] for run in runs.values()))
    records = []
    for seed in sorted({run["seed"] for run in runs.values()}):
        dirs = {run["system"]: exp_dir for exp_dir, run in runs.items() if run["seed"] == seed}
        others = of_next_seed(runs, seed)
        models = {name: load_model(path, options.checkpoint) for name, path in dirs.items()}
        models[RANDOM] = random_model(next(iter(dirs.values())), RANDOM_SEEDS[0])
        for name, path in others.items():
            models[again(name)] = load_model(path, options.checkpoint)
        for model in models.values():
            model.to(options.device)
        maps = fit_maps(models, dirs, fit, options)
        heard = {name: [one for one in systems if set_beside(name, one)] for name in dirs}
        for (name, output), on in swapped(models, dirs, heard, maps, test, options).items():
            run = runs[dirs[name]]
            head = {key: run[key] for key in ("corpus", "language", "convention")}
            for system, values in on_each(on, name, heard[name], test, output).items():
                place = {"decoder": name, "output": output, "encoder": system, "seed": seed}
                place["encoder_seed"] = None
                sides = {"decoder": dirs[name]}
                if system in others:
                    place["encoder_seed"] = runs[others[system]]["seed"]
                    sides["encoder"] = others[system]
                tail = {"fit_split": fit.path.name, **made_by(test, runs, options, **sides)}
                records.append({"kind": "swap", **head, **place, **values, **tail})
    return records


def of_next_seed(runs: dict[Path, dict], seed: int) -> dict[str, Path]:
    """The run of each system with the next seed, for the systems that have another."""
    found = {}
    for system in dict.fromkeys(run["system"] for run in runs.values()):
        seeds = {run["seed"]: path for path, run in runs.items() if run["system"] == system}
        if (other := next_seed(seed, seeds)) != seed:
            found[system] = seeds[other]
    return found


def again(system: str) -> str:
    """Name the encoder that a system has with the next seed."""
    return f"{system} again"


def on_each(
    on: dict[str, "Tally"], decoder: str, systems: Iterable[str], data: DataDir, output: str
) -> dict[str, dict]:
    """The numbers of one decoder's tallies, ``on`` each encoder, by the encoder's system."""
    names = {"own": decoder, "ceiling": again(decoder), "floor": RANDOM}
    rates = {
        key: on[name].values(data, output)["value"] if name in on else None
        for key, name in names.items()
    }
    found = {}
    for system in systems:
        if tally := on.get(again(system)):
            values = tally.values(data, output, on.get(again(decoder)))
            if again(decoder) not in on and values["reason"] is None:
                values["reason"] = f"no ceiling: {decoder} has no second seed"
        else:
            reason = f"{system} has no second seed, and encoders of one seed start alike"
            values = on[decoder].values(data, output) | dict.fromkeys(NUMBERS) | {"reason": reason}
        found[system] = values | rates
    return found


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
class LinearMap:
    """``windows(x) @ weight`` for the states x of an encoder, and the frames that it was fitted on."""

    weight: np.ndarray
    n_frames: int

    @property
    def least(self) -> int:
        """Frames that the fit needs: ten for each input."""
        return FRAMES_PER_DIM * len(self.weight)


def windows(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each frame of (B, T', D) with its neighbours, zeros beyond the ends, and a one: (B, T', I)."""
    states = states.masked_fill(make_pad_mask(lengths, states, 1), 0)
    padded = torch.nn.functional.pad(states, (0, 0, CONTEXT, CONTEXT))
    around = padded.unfold(1, 2 * CONTEXT + 1, 1).flatten(2)
    return torch.cat([around, torch.ones_like(states[..., :1])], dim=-1)


@torch.inference_mode()
def fit_maps(
    models: dict[str, L2DualModel], targets: Collection[str], data: DataDir, options: Options
) -> dict[tuple[str, str], LinearMap]:
    """Least-squares maps from the outputs of all other encoders to the targets', from one pass.

    The sums of products are all that is kept of the frames.
    """
    sources = [name for name in models if name not in targets]
    squares = dict.fromkeys(sources, 0.0)
    products = dict.fromkeys(((source, target) for source in sources for target in targets), 0.0)
    n_frames = 0
    for _, states, lengths in encoded(models, data, options):
        heard = {name: _frames(windows(states[name], lengths), lengths) for name in sources}
        wanted = {name: _frames(states[name], lengths) for name in targets}
        for source, x in heard.items():
            squares[source] += x.T @ x
            for target, y in wanted.items():
                products[source, target] += x.T @ y
        n_frames += int(lengths.sum())
    print(f"progress: mapped {', '.join(models)}", flush=True)
    return {
        (source, target): LinearMap(_solve(squares[source], product), n_frames)
        for (source, target), product in products.items()
    }


def _frames(states: torch.Tensor, lengths: torch.Tensor) -> np.ndarray:
    """The frames within the utterances of a batch, (N, D) of (B, T', D)."""
    return states[~make_pad_mask(lengths, states[..., 0], 1)].double().cpu().numpy()


def _solve(squares: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Ridge regression from x'x and x'y; the last input, a one, is not held small."""
    held = np.append(np.ones(len(squares) - 1), 0)
    ridge = RIDGE * np.trace(squares) / len(squares) * np.diag(held)
    return np.linalg.solve(squares + ridge, product)


@torch.inference_mode()
def swapped(
    models: dict[str, L2DualModel],
    dirs: dict[str, Path],
    heard: dict[str, list[str]],
    maps: dict[tuple[str, str], LinearMap],
    data: DataDir,
    options: Options,
) -> dict[tuple[str, str], dict[str, "Tally"]]:
    """Every decoder, by system and output, on its own encoder and on others through the maps.

    ``heard`` are the systems whose encoders of the next seed a system's decoders are put on.
    """
    searches = {name: on_states(models[name], options) for name in dirs}
    encoders = {
        name: [name, *(again(one) for one in heard[name] if again(one) in models), RANDOM]
        for name in dirs
    }
    decoders = [(name, output) for name in dirs for output in models[name].outputs]
    texts = {(name, output): Texts(data, dirs[name], output) for name, output in decoders}
    tallies = {
        (name, output): {encoder: Tally(maps.get((encoder, name))) for encoder in encoders[name]}
        for name, output in decoders
    }
    done = 0
    for utts, states, lengths in encoded(models, data, options):
        for name, search in searches.items():
            for encoder in encoders[name]:
                mapping = maps.get((encoder, name))
                given = states[encoder]
                if mapping is not None:
                    given = through(mapping, given, lengths)
                hypotheses = search(given, lengths)
                for output, found in hypotheses.items():
                    tally, text = tallies[name, output][encoder], texts[name, output]
                    tally.compare(given, states[name], lengths)
                    tally.force(models[name], output, given, lengths, [text.ids[u] for u in utts])
                    for utt, tokens in zip(utts, found, strict=True):
                        tally.errors[utt] = text.errors(utt, tokens)
        done += len(utts)
        print(f"progress: swapped for {done} of {len(data['wav.scp'])} utterances", flush=True)
    return tallies


def through(mapping: LinearMap, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """States (B, T', D) mapped to another encoder's."""
    return windows(states, lengths) @ torch.from_numpy(mapping.weight).to(states)


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

    def __init__(self, mapping: LinearMap | None):
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
        given, wanted, token_lengths = teacher_forcing(model, output, ids, states.device)
        logits, _ = model.decoders[output](states, lengths, given, token_lengths)
        counted = wanted != IGNORE_ID
        self.tokens += int(counted.sum())
        self.hits += int((logits.argmax(-1) == wanted)[counted].sum())
        self.nats += float(
            torch.nn.functional.cross_entropy(logits[counted], wanted[counted], reduction="sum")
        )

    def values(self, data: DataDir, output: str, reference: "Tally | None" = None) -> dict:
        """The numbers of a record; ``reference``: the tally that ``difference`` is to."""
        utts = sorted(self.errors)
        clusters = np.array([data.clusters[utt] for utt in utts])
        n_clusters = len(np.unique(clusters))
        wrong, n_ref = np.array([self.errors[utt] for utt in utts]).T
        more = wrong - np.array([(reference or self).errors[utt][0] for utt in utts])
        numbers = {
            "value": float(wrong.sum() / n_ref.sum()),
            "difference": float(more.sum() / n_ref.sum()) if reference else None,
            "accuracy": self.hits / self.tokens,
            "loss": self.nats / self.tokens,
            "r2": self._r2(),
        }
        intervals = {"interval": None, "difference_interval": None}
        if reason := self._too_few(utts):
            numbers = dict.fromkeys(numbers)
        elif not (reason := too_few_clusters(n_clusters)):
            intervals["interval"] = _rate_interval(wrong, n_ref, clusters)
            if reference and self is not reference:
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
