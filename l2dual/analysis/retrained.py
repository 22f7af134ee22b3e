"""What a new decoder learns on each frozen encoder: records of exp/retrained.json.

Is what an output needs in the encoder, for a decoder that is trained for it? A new decoder and CTC of each
output, with the losses of a single-output system, are trained on what that output reads of each system's
encoder (a single-output one has one path for both) and of a randomly initialized one (``floor``): the same
epochs, utterances, order and initial weights. ``value`` is the error rate of beam search in ``unit``,
``difference`` is to the encoder of the single-output system of that output (`l2dual.systems.reference`),
paired by utterance.
"""

from pathlib import Path

import numpy as np
import torch

from l2dual.analysis.activations import encoded
from l2dual.analysis.cka import ratio_interval, too_few_clusters
from l2dual.analysis.entanglement import AnalysisOptions, read_comparable
from l2dual.analysis.kinds import Retrained
from l2dual.analysis.similarity import MIN_UTTERANCES, RANDOM_SEEDS
from l2dual.data.datadir import DataDir, outputs_of
from l2dual.models.dual import IGNORE_ID, L2DualModel
from l2dual.models.search import DualDecoder
from l2dual.systems import from_run, reference
from l2dual.text.units import UNITS, align, normalize
from l2dual.training.load import (
    fresh_model,
    load_model,
    random_model,
    text_to_ids,
    tokens_to_text_of,
)

RANDOM = "random"
SEED = 900003  # of the new decoders and of their batches' order
BATCH = 16
LEARNING_RATE = 1e-3
MAX_NORM = 5.0  # of the gradient
MIN_FIT = 200  # utterances

States = list[tuple[str, torch.Tensor]]  # utterance and encoder output, (T', D) in half precision
Errors = dict[str, tuple[int, int]]  # of each utterance: errors, tokens of its reference


def retrain(
    data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: AnalysisOptions
) -> list[Retrained]:
    """Train a new decoder of each output on each encoder of the lowest seed.

    Arguments and errors as of `l2dual.analysis.entanglement.analyse`; ``fit_dir`` is the split to
    train on, whose encoder outputs are held in memory (``max_utts``).

    Returns:
        One record per encoder and output.
    """
    runs = read_comparable(exp_dirs, data_dir, fit_dir)
    seed = min(run["seed"] for run in runs.values())
    dirs = {run["system"]: exp_dir for exp_dir, run in runs.items() if run["seed"] == seed}
    test, fit = (DataDir.load(path).sample(options.max_utts) for path in (data_dir, fit_dir))
    systems = {name: from_run(runs[exp_dir]) for name, exp_dir in dirs.items()}
    sources: dict[str, Path] = {}  # each output's decoder is that of its first single-output system
    for exp_dir in sorted(dirs.values(), key=lambda one: systems[runs[one]["system"]].place):
        for output in runs[exp_dir]["outputs"]:
            if output in outputs_of(test.info):
                sources.setdefault(output, exp_dir)
    errors = {
        (name, output): found
        for name in [*dirs, RANDOM]
        for output, found in _on_encoder(name, dirs, sources, (fit, test), options).items()
    }
    records = []
    for (name, output), found in errors.items():
        if name == RANDOM:
            continue
        single = (reference(systems[name], output, systems.values()), output)
        if (n_fit := len(fit["wav.scp"])) < MIN_FIT:
            values = {"reason": f"{n_fit} utterances to train on; needs {MIN_FIT}"}
        else:
            values = _values(found, errors[RANDOM, output], errors.get(single), test)
        unit = UNITS[test.info[f"{output}_unit"]][0]
        head = {"system": name, "seed": seed, "output": output, "unit": unit, "n_fit_utts": n_fit}
        head |= {"epochs": options.epochs, "n_utts": len(found)}
        clusters = len({test.clusters[utt] for utt in found})
        records.append(Retrained(**head, n_clusters=clusters, **values))
    return records


def _on_encoder(
    name: str,
    dirs: dict[str, Path],
    sources: dict[str, Path],
    splits: tuple[DataDir, DataDir],
    options: AnalysisOptions,
) -> dict[str, Errors]:
    """Errors of a new decoder of each output on one encoder, on the second split."""
    exp_dir = dirs.get(name, next(iter(dirs.values())))
    if name == RANDOM:
        model = random_model(exp_dir, RANDOM_SEEDS[0])
    else:
        model = load_model(exp_dir)
    found = {}
    fit, test = (encoder_outputs(model, data, options) for data in splits)
    for output, source in sources.items():
        path = output if output in model.outputs else model.outputs[0]
        new = headless(fresh_model(exp_dir, source, output, SEED))
        train(new, output, fit[path], Texts(splits[0], source, output), options.epochs)
        found[output] = evaluate(new, output, test[path], Texts(splits[1], source, output), options)
        print(f"progress: trained {output} on the encoder of {name}", flush=True)
    return found


def _values(errors: Errors, floor: Errors, single: Errors | None, data: DataDir) -> dict:
    """The numbers of a record, and the reason for those that are None."""
    if len(errors) < MIN_UTTERANCES:
        return {"reason": f"{len(errors)} utterances; needs {MIN_UTTERANCES}"}
    utts = sorted(errors)
    clusters = np.array([data.clusters[utt] for utt in utts])
    wrong, n_ref = np.array([errors[utt] for utt in utts]).T
    values = {"floor": float(sum(floor[utt][0] for utt in utts) / n_ref.sum())}
    values["value"], values["interval"] = ratio_interval(wrong, n_ref, clusters)
    values["reason"] = too_few_clusters(len(np.unique(clusters)))
    if single:
        more = wrong - np.array([single[utt][0] for utt in utts])
        values["difference"], values["difference_interval"] = ratio_interval(more, n_ref, clusters)
        if single is errors:
            values["difference_interval"] = None
    return values


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
    """``model`` without its encoder and what precedes it: its speech is then an encoder's output."""
    model.encoder = Given(model.encoder.output_size())
    model.frontend = model.specaug = model.normalize = None
    return model


class Texts:
    """The texts of one output: as token ids, and to count errors against."""

    def __init__(self, data: DataDir, exp_dir: Path, output: str):
        encode = text_to_ids(exp_dir, output)
        self.texts = data[f"text.{output}"]
        self.ids = {utt: encode(text) for utt, text in self.texts.items()}
        self.unit = UNITS[data.info[f"{output}_unit"]][0]
        self.write = tokens_to_text_of(exp_dir, output)

    def errors(self, utt: str, tokens: list[str]) -> tuple[int, int]:
        """Errors of a hypothesis, and tokens of its reference."""
        pairs = align(normalize(self.texts[utt]), normalize(self.write(tokens)), self.unit)
        return sum(one != other for one, other in pairs), sum(one is not None for one, _ in pairs)


@torch.no_grad()
def encoder_outputs(model: L2DualModel, data: DataDir, options: AnalysisOptions) -> dict[str, States]:
    """What each output reads of every utterance, longest first; one list where all read the same."""
    found: dict[str, States] = {}
    for utts, read in encoded(model, data, options.batch_size):
        for output in model.outputs[:1] if read.one else model.outputs:
            states, lengths = read.of(output)
            for utt, frames, length in zip(utts, states, lengths.tolist(), strict=True):
                found.setdefault(output, []).append((utt, frames[:length].half().cpu()))
    return {output: found.get(output, found[model.outputs[0]]) for output in model.outputs}


def train(model: L2DualModel, output: str, states: States, texts: Texts, epochs: int) -> None:
    """Train a headless model with Adam; batches of like length, in a seeded order."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    chunks = [states[start : start + BATCH] for start in range(0, len(states), BATCH)]
    rng = np.random.default_rng(SEED)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for _ in range(epochs):
            for index in rng.permutation(len(chunks)):
                given, lengths = _padded(chunks[index])
                tokens = [torch.tensor(texts.ids[utt]) for utt, _ in chunks[index]]
                target = {
                    output: torch.nn.utils.rnn.pad_sequence(tokens, True, IGNORE_ID).to(device),
                    f"{output}_lengths": torch.tensor([len(one) for one in tokens], device=device),
                }
                loss, _, _ = model(given.to(device), lengths.to(device), **target)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                optimizer.step()
    model.eval()


@torch.inference_mode()
def evaluate(
    model: L2DualModel, output: str, states: States, texts: Texts, options: AnalysisOptions
) -> Errors:
    """Errors of a headless model's beam search."""
    device, search, found = next(model.parameters()).device, DualDecoder(model, options.search), {}
    for start in range(0, len(states), BATCH):
        chunk = states[start : start + BATCH]
        given, lengths = (part.to(device) for part in _padded(chunk))
        for (utt, _), tokens in zip(chunk, search(given, lengths)[output], strict=True):
            found[utt] = texts.errors(utt, tokens)
    return found


def _padded(chunk: States) -> tuple[torch.Tensor, torch.Tensor]:
    """States (B, T', D) padded with 0, and their lengths (B,)."""
    frames = [states.float() for _, states in chunk]
    lengths = torch.tensor([len(one) for one in frames])
    return torch.nn.utils.rnn.pad_sequence(frames, batch_first=True), lengths
