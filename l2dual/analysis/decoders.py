"""How alike the decoders of all systems are, layer by layer: records of exp/decoders.json.

Every decoder, forced on the text of its own output by its own encoder, gives a representation for
each token that it is to predict (Cho & Kim 2026, Table 4). `comparable` says where they are compared.
The floor are random systems on the same texts: shared tokens alone make decoders alike.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from espnet2.asr.decoder.transformer_decoder import BaseTransformerDecoder
from espnet2.legacy.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos

from l2dual.analysis.activations import Activations, encoded, finite_array, frame_positions
from l2dual.analysis.entanglement import (
    ENCODER_PARTS,
    AnalysisOptions,
    RandomNetworks,
    head_of_pair,
    read_comparable,
)
from l2dual.analysis.kinds import Similarity
from l2dual.analysis.similarity import Side, Similarities
from l2dual.data.datadir import DataDir, has_surface
from l2dual.errors import UsageError
from l2dual.models.dual import IGNORE_ID, L2DualModel
from l2dual.systems import OUTPUTS, from_run
from l2dual.training.load import load_model, text_to_ids, vocabulary

TOKEN_SPACING = 8  # letters; about the second that 25 encoder frames last
Ids = dict[str, dict[str, list[int]]]  # of each output, token ids of each utterance


def compare_decoders(data_dir: Path, exp_dirs: list[Path], options: AnalysisOptions) -> list[Similarity]:
    """Compare the decoders of trained systems, pair by pair and layer by layer.

    Arguments and errors as of `analyse`, and UsageError for one output in two vocabularies or
    decoders that are no Transformers.

    Returns:
        One record per pair of decoders and layer; [] without a pair, or if no run has one of the
        outputs.
    """
    runs = read_comparable(exp_dirs, data_dir)
    data = DataDir.load(data_dir).sample(options.max_utts)
    sides = [(exp_dir, output) for exp_dir, run in runs.items() for output in run["outputs"]]
    if not has_surface(data.info) or {output for _, output in sides} != set(OUTPUTS):
        return []
    records = []
    for outputs, positions in comparable(*token_ids(data, runs)):
        if positions:
            among = [side for side in sides if side[1] in outputs]
            records += _records(among, runs, ForcedDecoders(data, positions, outputs, options))
    return records


def _records(
    sides: list[tuple[Path, str]], runs: dict[Path, dict], forced: "ForcedDecoders"
) -> list[Similarity]:
    """Records of all pairs of some decoders, on one set of positions."""
    exp_dirs = dict.fromkeys(exp_dir for exp_dir, _ in sides)
    random = RandomNetworks(forced, [*ENCODER_PARTS, "decoder"])
    samples = {
        exp_dir: forced(load_model(exp_dir), exp_dir) for exp_dir in exp_dirs
    }
    table = Similarities(
        forced.data,
        {
            (exp_dir, output): Side(
                exp_dir,
                f"{runs[exp_dir]['system']} {output}",
                runs[exp_dir]["seed"],
                samples[exp_dir][output],
                lambda seed, exp_dir=exp_dir, output=output: random(
                    exp_dir, seed, *runs[exp_dir]["outputs"]
                )[output],
            )
            for exp_dir, output in sides
        },
    )
    return [
        Similarity(**head_of_pair(runs[x[0]], runs[y[0]]), output_x=x[1], output_y=y[1], **block)
        for x, y in _pairs(sides, runs)
        for block in table.blocks(x, y)
    ]


def _pairs(sides: list[tuple[Path, str]], runs: dict[Path, dict]) -> list[tuple]:
    """Every two sides but those of one task, which make the ceiling, and of two dual systems."""
    system = {side: from_run(runs[side[0]]) for side in sides}
    return [
        (x, y)
        for x, y in itertools.combinations(sides, 2)
        if (x[1] != y[1] if system[x] == system[y] else system[x].single or system[y].single)
    ]


def token_ids(data: DataDir, runs: dict[Path, dict]) -> tuple[Ids, bool]:
    """Token ids of both outputs' texts, and whether the outputs share one vocabulary.

    Raises:
        UsageError: two systems write one output in two vocabularies.
    """
    ids: Ids = {}
    vocabularies: dict[str, tuple[list[str], Path]] = {}
    for exp_dir, run in runs.items():
        for output in run["outputs"]:
            own = vocabulary(exp_dir, output)
            tokens, first = vocabularies.setdefault(output, (own, exp_dir))
            if own != tokens:
                raise UsageError(
                    f"{exp_dir}: another vocabulary of {output} than {first}: compare systems "
                    "of one token type and list"
                )
            if output not in ids:
                encode = text_to_ids(exp_dir, output)
                texts = data[f"text.{output}"]
                ids[output] = {utt: encode(text) for utt, text in texts.items()}
    surface, meaning = (vocabularies[output][0] for output in OUTPUTS)
    return ids, surface == meaning


def comparable(ids: Ids, shared: bool) -> list[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
    """Where decoders may be compared: outputs, and every 8th position of each utterance.

    Under one vocabulary both outputs, where their texts are the same (divergence 0); else each
    output's decoders with each other only, on all utterances.
    """

    def spaced(output: str, utts: list[str]) -> dict[str, np.ndarray]:
        texts = ids[output]
        return {utt: frame_positions(len(texts[utt]), TOKEN_SPACING) for utt in utts if texts[utt]}

    if not shared:
        return [((output,), spaced(output, list(ids[output]))) for output in OUTPUTS]
    same = [utt for utt, surface in ids["surface"].items() if surface == ids["meaning"][utt]]
    return [(OUTPUTS, spaced("surface", same))]


class ForcedDecoders:
    """The decoders of one model after another on the same positions of each utterance."""

    def __init__(
        self, data: DataDir, positions: dict[str, np.ndarray], outputs: tuple[str, ...], options: AnalysisOptions
    ):
        self.data, self.positions = data, positions
        self.outputs, self.options = outputs, options

    @torch.inference_mode()
    def __call__(self, model: L2DualModel, exp_dir: Path) -> dict[str, Activations]:
        """Samples of a model's decoders, by output."""
        outputs = [output for output in model.outputs if output in self.outputs]
        encode = {output: text_to_ids(exp_dir, output) for output in outputs}
        kept: dict[str, list[list[np.ndarray]]] = {output: [] for output in outputs}
        names, lengths_of = [], []
        for utts, states in encoded(model, self.data, self.options.batch_size):
            chosen = [(index, utt) for index, utt in enumerate(utts) if utt in self.positions]
            if not chosen:
                continue
            for output in outputs:
                ids = [encode[output](self.data[f"text.{output}"][utt]) for utt in utts]
                layers = force(model, output, *states.of(output), ids)
                picked = [
                    [finite_array(layer[index, self.positions[utt]], utt) for index, utt in chosen]
                    for layer in layers
                ]
                kept[output].append([np.concatenate(layer) for layer in picked])
            names += [utt for _, utt in chosen]
            lengths_of += [len(ids[index]) for index, _ in chosen]
        print(f"progress: forced the decoders of {exp_dir.name}", flush=True)
        rows = np.repeat(np.arange(len(names)), [len(self.positions[utt]) for utt in names])
        layers = {output: list(map(np.concatenate, zip(*parts, strict=True))) for output, parts in kept.items()}
        return {
            output: Activations(tuple(names), np.array(lengths_of), rows, states)
            for output, states in layers.items()
        }


def force(
    model: L2DualModel,
    output: str,
    states: torch.Tensor,
    lengths: torch.Tensor,
    ids: list[list[int]],
) -> list[torch.Tensor]:
    """What every layer of the decoder of ``output`` gives when it is forced on a text.

    Args:
        states: encoder output, (B, T', D), and its ``lengths`` (B,).
        ids: target tokens of each utterance; position i is where token i is to be predicted.

    Returns:
        (B, L + 1, D) for each layer; the last position of an utterance predicts its end.

    Raises:
        UsageError: the decoder is no Transformer.
    """
    decoder = model.decoders[output]
    if not isinstance(decoder, BaseTransformerDecoder):
        raise UsageError(f"{type(decoder).__name__} gives no layers: use decoder: transformer")
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(one, dtype=torch.long) for one in ids], True, IGNORE_ID
    )
    sos_eos = model.sos_eos(output)
    given, _ = add_sos_eos(tokens.to(states.device), sos_eos, sos_eos, IGNORE_ID)
    token_lengths = torch.tensor([len(one) + 1 for one in ids], device=states.device)
    (_, layers), _ = decoder(states, lengths, given, token_lengths, return_all_hs=True)
    return layers
