"""What a fresh decoder learns on each frozen encoder: records of kind ``functional``.

The functional check beside cross-task decoders: is what an output needs in the encoder, for a
decoder that is trained for it? A fresh decoder and CTC of each output, with the losses of a
single-output system, are trained on the output of so_surface, so_meaning, the dual-output system
and a randomly initialized encoder (``floor``), all for the same epochs on the same utterances in
the same order, from the same initial weights. ``value`` is the error rate of beam search in
``unit``, ``interval`` its 95 % jackknife over speakers or voices; ``difference`` is to the encoder
of the single-output system of that output, if it is there, with the same jackknife of the two
paired by utterance; ``accuracy`` and ``loss`` are of the next token with teacher forcing. It costs a
training for each encoder and output, in exp/functional.json.
"""

from pathlib import Path

import numpy as np
import torch

from l2dual.analysis.comparison import RANDOM_SEEDS
from l2dual.analysis.entanglement import Options, made_by, read_comparable
from l2dual.analysis.swap import RANDOM, Tally, Texts, headless, on_states
from l2dual.datadir import DataDir, outputs_of
from l2dual.load import fresh_model, load_model, random_model
from l2dual.model import IGNORE_ID, L2DualModel
from l2dual.outputs import SINGLE
from l2dual.speech import batches

SEED = 900003  # of the fresh decoders and of their batches' order
BATCH = 16
LEARNING_RATE = 1e-3
MAX_NORM = 5.0  # of the gradient
MIN_UTTERANCES = 200
NUMBERS = ("value", "interval", "difference", "difference_interval", "floor", "accuracy", "loss")

States = list[tuple[str, torch.Tensor]]  # utterance and encoder output, (T', D) in half precision


def functional(data_dir: Path, fit_dir: Path, exp_dirs: list[Path], options: Options) -> list[dict]:
    """Train a fresh decoder of each output on each encoder of the lowest seed.

    Args:
        data_dir: split to test on, after stage 3.
        fit_dir: split to train on; its encoder outputs are held in memory (``max_utts``).
        exp_dirs: directories of trained runs, at most one per system and seed.
        options: see :class:`Options`.

    Returns:
        One record per encoder and output.

    Raises:
        DataError: a missing or broken run.yaml, config or checkpoint, or audio.
        UsageError: runs on different data.
    """
    runs = read_comparable(exp_dirs, data_dir, fit_dir)
    seed = min(run["seed"] for run in runs.values())
    dirs = {run["system"]: exp_dir for exp_dir, run in runs.items() if run["seed"] == seed}
    test, fit = (DataDir.load(path).sample(options.max_utts) for path in (data_dir, fit_dir))
    sources: dict[str, Path] = {}  # each output's decoder is that of its single-output system
    for exp_dir in sorted(dirs.values(), key=lambda one: _as_source(runs[one])):
        for output in runs[exp_dir]["outputs"]:
            if output in outputs_of(test.info):
                sources.setdefault(output, exp_dir)
    first = next(iter(dirs.values()))
    tallies: dict[tuple[str, str], Tally] = {}
    for name, exp_dir in {**dirs, RANDOM: first}.items():
        if name == RANDOM:
            model = random_model(exp_dir, RANDOM_SEEDS[0])
        else:
            model = load_model(exp_dir, options.checkpoint)
        states = [encoder_outputs(model.to(options.device), data, options) for data in (fit, test)]
        for output, source in sources.items():
            fresh = headless(fresh_model(exp_dir, source, output, SEED)).to(options.device)
            train(fresh, output, states[0], Texts(fit, source, output), options.epochs)
            tally = evaluate(fresh, output, states[1], Texts(test, source, output), options)
            tallies[name, output] = tally
            print(f"progress: trained {output} on the encoder of {name}", flush=True)
    reach = {  # the tally of each output on the encoder of its single-output system
        output: tallies[runs[source]["system"], output]
        for output, source in sources.items()
        if runs[source]["outputs"] == [output]
    }
    found = {
        (name, output): tally.values(test, output, reach.get(output))
        for (name, output), tally in tallies.items()
    }
    records = []
    for (name, output), values in found.items():
        if name == RANDOM:
            continue
        run = runs[dirs[name]]
        head = {key: run[key] for key in ("corpus", "language", "convention", "system", "seed")}
        values |= {"output": output, "floor": found[RANDOM, output]["value"]}
        del values["r2"], values["n_fit_frames"]
        n_fit = len(fit["wav.scp"])
        if n_fit < MIN_UTTERANCES:
            few = f"{n_fit} utterances to train on; needs {MIN_UTTERANCES}"
            values |= dict.fromkeys(NUMBERS) | {"reason": few}
        budget = {"n_fit_utts": n_fit, "epochs": options.epochs, "fit_split": fit.path.name}
        tail = made_by(test, runs, options, x=dirs[name])
        records.append({"kind": "functional", **head, **values, **budget} | tail)
    return records


def _as_source(run: dict) -> tuple:
    """Sorts so_surface and so_meaning first, then other single-output systems."""
    return run["system"] not in SINGLE.values(), len(run["outputs"]), run["system"]


@torch.no_grad()
def encoder_outputs(model: L2DualModel, data: DataDir, options: Options) -> States:
    """Encoder output of every utterance, longest first."""
    found = []
    for utts, speech, speech_lengths in batches(data, options.batch_size):
        states, lengths = model.encode(
            speech.to(options.device), speech_lengths.to(options.device)
        )
        for utt, frames, length in zip(utts, states, lengths.tolist(), strict=True):
            found.append((utt, frames[:length].half().cpu()))
    return found


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
    model: L2DualModel, output: str, states: States, texts: Texts, options: Options
) -> Tally:
    """Errors and teacher-forced scores of a headless model."""
    device, search, tally = next(model.parameters()).device, on_states(model, options), Tally(None)
    for start in range(0, len(states), BATCH):
        chunk = states[start : start + BATCH]
        given, lengths = (part.to(device) for part in _padded(chunk))
        tally.force(model, output, given, lengths, [texts.ids[utt] for utt, _ in chunk])
        found = search(given, lengths)[output]
        for (utt, _), tokens in zip(chunk, found, strict=True):
            tally.errors[utt] = texts.errors(utt, tokens)
    return tally


def _padded(chunk: States) -> tuple[torch.Tensor, torch.Tensor]:
    """States (B, T', D) padded with 0, and their lengths (B,)."""
    frames = [states.float() for _, states in chunk]
    lengths = torch.tensor([len(one) for one in frames])
    return torch.nn.utils.rnn.pad_sequence(frames, batch_first=True), lengths
