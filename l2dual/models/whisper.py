"""Whisper's encoder (Radford et al. 2023, "Robust Speech Recognition via Large-Scale Weak Supervision", ICML).

Its parts have the names that Hugging Face's files and our checkpoints give them.
"""

import logging
import math
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from espnet2.legacy.nets.pytorch_backend.nets_utils import make_pad_mask
from torch.nn.functional import dropout, gelu, pad, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from torch.overrides import TorchFunctionMode
from torchaudio.functional import melscale_fbanks

from l2dual.data.frames import RATE
from l2dual.data.weights import Weights, WhisperConfig, read_json
from l2dual.errors import UsageError
from l2dual.models.adapters import adapt, freeze

WINDOW, HOP = 400, 160  # samples


def log_mel(wave: torch.Tensor, bins: int) -> torch.Tensor:
    """Whisper's features (C, M) of samples (T,): M = T // 160, so 100 frames a second.

    The logarithms reach 8 powers of ten down from the loudest (section 2.2 of the paper, and its code).
    """
    with torch.autocast(wave.device.type, enabled=False):
        wave = wave.float()
        frames = len(wave) // HOP
        wave = pad(wave, (0, max(0, WINDOW // 2 + 1 - len(wave))))  # as much as its reflection takes
        window = torch.hann_window(WINDOW, device=wave.device)
        spectrum = torch.stft(wave, WINDOW, HOP, window=window, return_complex=True)[:, :frames]
        mel = (_filters(bins).to(wave.device) @ spectrum.abs().square()).clamp(min=1e-10).log10()
        return (mel.maximum(mel.max() - 8.0) + 4.0) / 4.0


@cache
def _filters(bins: int) -> torch.Tensor:
    """(C, 201), as Slaney's Auditory Toolbox (1998) has them."""
    return melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, bins, RATE, norm="slaney", mel_scale="slaney").T


class Undrawn(TorchFunctionMode):
    """A context in which modules are made with whatever their memory holds: their weights are not drawn."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Pass over the functions of torch.nn.init."""
        kwargs = kwargs or {}
        return kwargs["tensor"] if getattr(func, "__module__", "") == "torch.nn.init" else func(*args, **kwargs)


class SelfAttention(torch.nn.Module):
    """Attention of frames to the frames of their utterance."""

    def __init__(self, config: WhisperConfig):
        super().__init__()
        width, self.heads, self.dropout = config.d_model, config.encoder_attention_heads, config.attention_dropout
        self.q_proj = torch.nn.Linear(width, width)
        self.k_proj = torch.nn.Linear(width, width, bias=False)
        self.v_proj = torch.nn.Linear(width, width)
        self.out_proj = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
        """(B, F, D) to (B, F, D); ``inside`` is False in padding, (B, 1, 1, F), and None without."""
        parts = (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)  # (B, H, F, d)
        rate = self.dropout if self.training else 0.0
        read = scaled_dot_product_attention(q, k, v, inside, rate)
        return self.out_proj(read.transpose(1, 2).flatten(2))


class WhisperBlock(torch.nn.Module):
    """Attention and two linear layers, each behind a normalization."""

    def __init__(self, config: WhisperConfig):
        super().__init__()
        self.rates = config.dropout, config.activation_dropout
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = torch.nn.LayerNorm(config.d_model)
        self.fc1 = torch.nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = torch.nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.final_layer_norm = torch.nn.LayerNorm(config.d_model)

    def forward(self, x: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
        """See :class:`SelfAttention`."""
        rate, within = self.rates
        x = x + dropout(self.self_attn(self.self_attn_layer_norm(x), inside), rate, self.training)
        hidden = dropout(gelu(self.fc1(self.final_layer_norm(x))), within, self.training)
        return x + dropout(self.fc2(hidden), rate, self.training)


class WhisperEncoder(torch.nn.Module):
    """Samples to the states of all layers.

    Whisper takes 30 s: longer speech passes in equal pieces of at most that, and their states are joined.
    Padding does not change what an utterance gives: it is masked.

    Args:
        config: of the model, whose weights are drawn as before its training.
    """

    def __init__(self, config: WhisperConfig):
        super().__init__()
        self.config = config
        self.conv1 = torch.nn.Conv1d(config.num_mel_bins, config.d_model, 3, padding=1)
        self.conv2 = torch.nn.Conv1d(config.d_model, config.d_model, 3, stride=2, padding=1)
        self.embed_positions = torch.nn.Embedding(config.max_source_positions, config.d_model)
        self.layers = torch.nn.ModuleList(WhisperBlock(config) for _ in range(config.encoder_layers))
        self.layer_norm = torch.nn.LayerNorm(config.d_model)
        for part in self.modules():
            if isinstance(part, torch.nn.Linear | torch.nn.Conv1d):
                torch.nn.init.normal_(part.weight, std=config.init_std)
                if part.bias is not None:
                    torch.nn.init.zeros_(part.bias)
        self.embed_positions.requires_grad_(False)
        self.embed_positions.weight.copy_(_sinusoids(config.max_source_positions, config.d_model))

    @classmethod
    def of(cls, config: WhisperConfig, folder: Path) -> "WhisperEncoder":
        """The encoder of ``config`` with the weights of a directory.

        Raises:
            UsageError: there are none, or of another model, or it takes other features.
        """
        _check_features(folder / "preprocessor_config.json", config.num_mel_bins)
        with Undrawn():
            encoder = cls(config)
        weights = Weights(folder, "encoder")
        state = {name: weights.get(name, like.shape) for name, like in encoder.state_dict().items()}
        encoder.load_state_dict(state, assign=True)
        return encoder

    def forward(
        self, speech: torch.Tensor, lengths: torch.Tensor, depth: int | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """See :class:`l2dual.models.pretrained.Upstream`."""
        waves = (wave[:length] for wave, length in zip(speech, lengths, strict=True))
        pieces = [self._pieces(log_mel(wave, self.config.num_mel_bins)) for wave in waves]
        mels = [piece for each in pieces for piece in each]  # (C, M)
        frames = torch.tensor([mel.size(1) for mel in mels])
        states = pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2)  # (B, C, M)
        padded = bool((frames < states.size(2)).any())
        frames = frames.to(speech.device)
        states = gelu(self.conv1(states))
        if padded:
            states = states.masked_fill(make_pad_mask(frames, states, 2), 0.0)
        states = gelu(self.conv2(states)).transpose(1, 2)  # (B, F, D)
        frames = (frames + 1) // 2
        states = states + self.embed_positions.weight[: states.size(1)]
        states = dropout(states, self.config.dropout, self.training)
        found = [states, *_passed(self.layers[:depth], states, frames)]
        if len(found) > len(self.layers):
            found[-1] = self.layer_norm(found[-1])
        counts = [len(each) for each in pieces]
        return _joined(found, frames, counts) if sum(counts) > len(counts) else (found, frames)

    def _pieces(self, mel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The log-mel frames (C, M) of an utterance in as few equal pieces as Whisper takes."""
        most = 2 * self.config.max_source_positions  # two of them make a position
        number = max(1, -(-mel.size(1) // most))
        if number > 1:
            seconds = mel.size(1) // 100
            logging.warning("Whisper takes %d s of speech in %d equal pieces", seconds, number)
        return mel.split(2 * -(-mel.size(1) // (2 * number)), dim=1)


class AdaptedBlocks(torch.nn.Module):
    """Whisper's last blocks, frozen, with low-rank adapters, which are all that is trained.

    Args:
        config: of the model.
        folder: of its weights.
        layer: number of the layer whose states the first of them takes, less than the encoder has blocks.
        rank: of the adapters; 0 for none.

    Raises:
        UsageError: there are no weights, or of another model.
    """

    def __init__(self, config: WhisperConfig, folder: Path, layer: int, rank: int):
        super().__init__()
        self.most = config.max_source_positions
        with Undrawn():
            numbers = range(layer, config.encoder_layers)
            self.layers = torch.nn.ModuleDict({str(number): WhisperBlock(config) for number in numbers})
            self.layer_norm = torch.nn.LayerNorm(config.d_model)
        weights = Weights(folder, "encoder")
        state = {name: weights.get(name, like.shape) for name, like in self.state_dict().items()}
        self.load_state_dict(state, assign=True)
        freeze(self)
        adapt(self.layers, rank)

    @property
    def encoders(self) -> list[torch.nn.Module]:
        """The blocks, as ESPnet's encoders name them."""
        return list(self.layers.values())

    def forward(self, states: torch.Tensor, frames: torch.Tensor) -> list[torch.Tensor]:
        """States (B, F, D) of each block, the last after the final normalization.

        Args:
            states: of the layer below, (B, F, D). More than 30 s pass in the pieces in which that had passed.
            frames: (B,).
        """
        counts = [max(1, -(-length // self.most)) for length in frames.tolist()]
        if max(counts) == 1:
            found = _passed(self.encoders, states, frames)
        else:
            whole = zip(states, frames.tolist(), counts, strict=True)
            pieces = [piece for each, length, count in whole for piece in each[:length].split(-(-length // count))]
            sizes = torch.tensor([len(piece) for piece in pieces], device=frames.device)
            found, _ = _joined(_passed(self.encoders, pad_sequence(pieces, batch_first=True), sizes), sizes, counts)
        return [*found[:-1], self.layer_norm(found[-1])]


def _passed(blocks: Iterable[torch.nn.Module], states: torch.Tensor, frames: torch.Tensor) -> list[torch.Tensor]:
    """States (B, F, D) of each block, of what the first takes (B, F, D) and the frames (B,) that are no padding."""
    padded = bool((frames < states.size(1)).any())
    inside = ~make_pad_mask(frames, states[:, :, 0], 1)[:, None, None] if padded else None
    found = []
    for block in blocks:
        states = block(states, inside)
        found.append(states)
    return found


def _check_features(file: Path, bins: int) -> None:
    """UsageError if a file says that a model takes other features than `log_mel` gives."""
    said = read_json(file) if file.is_file() else {}
    ours = {"feature_size": bins, "sampling_rate": RATE, "n_fft": WINDOW, "hop_length": HOP, "dither": 0.0}
    for name, value in ours.items():
        if said.get(name, value) != value:
            raise UsageError(f"{file}: {name} is {said[name]}, and for this model Whisper's is {value}: get it again")


def _sinusoids(length: int, width: int) -> torch.Tensor:
    """Positions (L, D): sines, then cosines, of wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017)."""
    half = width // 2
    angles = torch.arange(length)[:, None] * torch.exp(torch.arange(half) * -math.log(10000) / (half - 1))
    return torch.cat((angles.sin(), angles.cos()), 1)


def _joined(
    states: list[torch.Tensor], frames: torch.Tensor, counts: list[int]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Join states (P, F, D) and frames (P,) of pieces, given their number per utterance."""
    found = []
    for state in states:
        pieces = iter([piece[:length] for piece, length in zip(state, frames, strict=True)])
        whole = [torch.cat(list(islice(pieces, count))) for count in counts]
        found.append(pad_sequence(whole, batch_first=True))
    return found, torch.stack([part.sum() for part in frames.split(counts)])
