"""Whisper's decoder (Radford et al. 2023), frozen with low-rank adapters, or fine-tuned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.legacy.nets.pytorch_backend.nets_utils import make_pad_mask
from espnet2.legacy.nets.pytorch_backend.transformer.mask import subsequent_mask

from l2dual.data.weights import Weights, WhisperConfig, model_folder, pretrained_config, read_tokenizer
from l2dual.errors import DataError, UsageError
from l2dual.models.adapters import adapt, freeze
from l2dual.models.whisper import Undrawn

LANGUAGES = {"en": 50259, "ko": 50264}  # of the multilingual models, as all numbers here
FIRST, TRANSCRIBE = 50258, 50359
START, END = 50363, 50257  # no timestamps, behind which the text starts; end of text
INIT_STD = 0.02  # of Whisper's weights before its training
NEVER = -100.0  # score of the tokens that Whisper has not: blank and unknown
PARTS = {  # names in an ESPnet layer: in one of Whisper's
    **{
        f"{ours}.linear_{name}": f"{theirs}.{name}_proj"
        for ours, theirs in (("self_attn", "self_attn"), ("src_attn", "encoder_attn"))
        for name in ("q", "k", "v", "out")
    },
    "norm1": "self_attn_layer_norm",
    "norm2": "encoder_attn_layer_norm",
    "norm3": "final_layer_norm",
    "feed_forward.w_1": "fc1",
    "feed_forward.w_2": "fc2",
}


class WhisperDecoder(TransformerDecoder):
    """ESPnet's Transformer decoder with Whisper's weights.

    A text starts behind the prompt that Whisper expects. The vocabulary is a part of Whisper's:
    timestamps, languages and what the training texts' alphabet can't write need no suppression. Or it is
    another, as phones: its embeddings and its output layer start at random and are trained.

    Args:
        vocab_size: number of ``tokens``.
        encoder_output_size: width of what it reads, Whisper's.
        path: directory of the weights and of their tokenizer.json, in Hugging Face's format.
        rank: of the adapters, which alone are trained; None for none: all weights but the positions are trained.
        download: whether ``path`` may be a name on the Hugging Face hub.
        tokens: the part of Whisper's vocabulary; None for another one. `l2dual.models.build` gives it.
        language: of the texts, ``en`` or ``ko``; stage 8 gives that of the data.

    Attributes:
        prompt: ids of what stands before the start symbol.
        whole: whether all weights are trained.
        longest: tokens of a text at most, with its end.

    Raises:
        UsageError: no weights, no tokenizer, one that does not fit, states of another width, or
            another language.
    """

    def __init__(
        self,
        vocab_size: int,
        encoder_output_size: int,
        path: str = "",
        rank: int | None = 16,
        download: bool = False,
        tokens: Sequence[str] | None = None,
        language: str = "en",
    ):
        prompt = prompt_of(language)
        config = pretrained_config(path, download)
        if config.model_type != "whisper":
            raise UsageError(f"{path}: a {config.model_type} model has no decoder: give Whisper's weights")
        if encoder_output_size != config.d_model:
            raise UsageError(
                f"{path}: its decoder reads states of {config.d_model} values, and the encoder gives "
                f"{encoder_output_size}: take both from one model"
            )
        folder = model_folder(path, download)
        rows = None if tokens is None else torch.tensor(whisper_ids(folder, tokens))
        with Undrawn():
            super().__init__(
                vocab_size,
                encoder_output_size,
                attention_heads=config.decoder_attention_heads,
                linear_units=config.decoder_ffn_dim,
                num_blocks=config.decoder_layers,
                dropout_rate=0.0,
                positional_dropout_rate=0.0,
            )
        self.prompt = tuple(range(vocab_size, vocab_size + len(prompt)))
        self.longest = config.most_subwords + 1
        self.whole = rank is None
        self._take(Weights(folder, "decoder"), config, rows, prompt)
        if not self.whole:
            own = [] if rows is None else [self.embed, self.output_layer]
            for part in (self.decoders, self.after_norm, *own):
                freeze(part)
            adapt(self.decoders, rank)

    def _take(
        self, whisper: Weights, config: WhisperConfig, rows: torch.Tensor | None, prompt: tuple[int, ...]
    ) -> None:
        """Take Whisper's weights, and of its vocabulary the ``rows`` (V,), if any, and those of the ``prompt``."""
        table = whisper.get("embed_tokens.weight", (config.vocab_size, config.d_model))
        places = whisper.get("embed_positions.weight", (config.max_target_positions, config.d_model))
        if rows is None:
            out = torch.randn(self.output_layer.weight.shape) * table.std()  # (V, D)
            bias = torch.zeros(len(out))
        else:
            known = rows >= 0
            out = table[rows.clamp(min=0)].masked_fill_(~known[:, None], 0.0)
            bias = torch.zeros(len(out)).masked_fill(~known, NEVER)
        embedding = torch.nn.Embedding.from_pretrained(torch.cat((out[:-1], table[[START, *prompt]])), freeze=False)
        self.embed = torch.nn.Sequential(embedding, Positions(places))
        state = {"embed.0.weight": embedding.weight, "output_layer.weight": out, "output_layer.bias": bias}
        for name, like in self.state_dict().items():
            if name.endswith(".linear_k.bias"):
                state[name] = torch.zeros(like.shape)  # Whisper has none
            elif name not in state:
                state[name] = whisper.get(_theirs(name), like.shape)
        self.load_state_dict(state, assign=True)
        for part in self.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.eps = 1e-5
        for layer in self.decoders:
            layer.feed_forward.activation = torch.nn.GELU()

    def forget(self, seed: int) -> None:
        """Draw weights that are trained again, as before the pretraining."""
        if not self.whole:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for part in self.modules():
                if isinstance(part, torch.nn.Linear | torch.nn.Embedding):
                    torch.nn.init.normal_(part.weight, std=INIT_STD)
                elif isinstance(part, torch.nn.LayerNorm):
                    part.reset_parameters()
                if isinstance(part, torch.nn.Linear):
                    torch.nn.init.zeros_(part.bias)

    def forward(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        ys_in_pad: torch.Tensor,
        ys_in_lens: torch.Tensor,
        return_all_hs: bool = False,
    ) -> tuple[Any, torch.Tensor]:
        """Scores before the softmax, (B, L, V), and lengths (B,).

        Args:
            hs_pad: Whisper's last states, (B, T, D).
            hlens: (B,).
            ys_in_pad: ids from the start symbol on, (B, L).
            ys_in_lens: (B,).
            return_all_hs: whether, beside the scores, to give the states of each layer, (B, L, D), as ESPnet's does.

        Raises:
            DataError: a text is longer than Whisper writes.
        """
        if ys_in_pad.size(1) > self.longest:
            raise DataError(
                f"a text of {ys_in_pad.size(1) - 1} tokens: Whisper writes at most {self.longest - 1}: "
                "correct it, or leave it out by a lower --max_seconds"
            )
        prompt = torch.tensor(self.prompt, device=ys_in_pad.device).expand(len(ys_in_pad), -1)
        x = self.embed(torch.cat((prompt, ys_in_pad), 1))
        past = subsequent_mask(x.size(1), device=x.device)[None]  # padding comes after a text
        inside = ~make_pad_mask(hlens, maxlen=hs_pad.size(1))[:, None].to(x.device)  # (B, 1, T)
        states = []
        for layer in self.decoders:
            x, *_ = layer(x, past, hs_pad, inside)
            states.append(x[:, len(self.prompt) :])
        scores = self.output_layer(self.after_norm(states[-1]))
        return (scores, states) if return_all_hs else scores, ys_in_lens


class Positions(torch.nn.Module):
    """Learned positions, with the names of ESPnet's sinusoids.

    Args:
        table: of the positions, (L, D).
    """

    xscale = 1.0

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.register_buffer("pe", table[None], persistent=False)

    def extend_pe(self, x: torch.Tensor) -> None:
        """There are no more."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, L, D) with their positions."""
        return x + self.pe[:, : x.size(1)]


def prompt_of(language: str) -> tuple[int, ...]:
    """Whisper's ids of what stands before "no timestamps": start, language, transcribe.

    Raises:
        UsageError: a language that l2dual has not.
    """
    if language not in LANGUAGES:
        raise UsageError(f"decoder_conf: language: {language}: use {' or '.join(LANGUAGES)}")
    return FIRST, LANGUAGES[language], TRANSCRIBE


def whisper_ids(folder: Path, tokens: Sequence[str]) -> list[int]:
    """Whisper's id of each token, the end's for sos/eos, -1 for blank and unknown.

    Raises:
        UsageError: see :func:`read_tokenizer`; or the ``tokens`` are no subwords of Whisper.
    """
    ids = read_tokenizer(folder)["model"]["vocab"]
    strange = [token for token in tokens[2:-1] if token not in ids]
    if strange:
        raise UsageError(
            f"{folder / 'tokenizer.json'}: has no token {strange[0]}: give the output the token type whisper, or a "
            "surface phn, and run stage 5 again"
        )
    return [-1, -1, *(ids[token] for token in tokens[2:-1]), END]


def _theirs(name: str) -> str:
    """Whisper's name of what ESPnet's decoder names so."""
    part, _, kind = name.rpartition(".")
    if part == "after_norm":
        return f"layer_norm.{kind}"
    _, number, part = part.split(".", 2)
    return f"layers.{number}.{PARTS[part]}.{kind}"
