"""Pretrained speech encoders: Whisper (Radford et al. 2023), wav2vec 2.0 and XLS-R (Baevski et al.
2020; Babu et al. 2022), HuBERT (Hsu et al. 2021), WavLM (Chen et al. 2022).

Two places in a model can hold one, by configuration alone: the front-end, frozen or fine-tuned,
with a trainable encoder above it that the outputs share; or the shared encoder itself, fine-tuned.
The weights are a local directory in Hugging Face's format (config.json, preprocessor_config.json,
model.safetensors); a hub is asked only where the configuration says so.
"""

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend

from l2dual.data.frames import RATE
from l2dual.data.weights import model_folder, pretrained_config
from l2dual.errors import DataError, UsageError
from l2dual.models.whisper import AdaptedBlocks, WhisperEncoder

Layers = str | int | list[int]


class Upstream(torch.nn.Module):
    """A pretrained encoder that gives the hidden states of its layers.

    Padding does not change what an utterance gives: Whisper's convolutions and attention are masked; so is
    the attention of the others, but the group normalization over time of the base wav2vec 2.0 and HuBERT
    models is not (they were trained so): there a batch differs from single utterances, which is why
    :class:`PretrainedFrontend` passes them one by one where it is frozen.

    Args:
        path: directory of the weights, or with ``download`` a name on the Hugging Face hub.
        download: whether the hub may be asked.

    Raises:
        UsageError: no weights there, or of another kind of model.
    """

    def __init__(self, path: str, download: bool = False):
        super().__init__()
        config = pretrained_config(path, download)
        self.is_whisper = config.model_type == "whisper"
        self.width = config.hidden_size
        if self.is_whisper:
            self.encoder = WhisperEncoder.of(config, model_folder(path, download))
        else:
            self.extract, self.encoder = _of_transformers(path, download)

    def forget(self, seed: int) -> None:
        """Initialize all weights again, as before the pretraining."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = type(self.encoder)(self.encoder.config)

    @property
    def blocks(self) -> torch.nn.ModuleList:
        """The Transformer blocks, from the input on."""
        return self.encoder.layers if self.is_whisper else self.encoder.encoder.layers

    def forward(
        self, speech: torch.Tensor, lengths: torch.Tensor, depth: int | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Hidden states of a batch of samples (B, T), lengths (B,); of Whisper, those of ``depth`` blocks.

        Returns:
            One (B, F, D) for what enters the first block and one for each block, the last after
            the final normalization; padding is not zeroed. Lengths in frames (B,).
        """
        if self.is_whisper:
            return self.encoder(speech, lengths, depth)
        waves = [self._normalized(wave[:length]) for wave, length in zip(speech, lengths, strict=True)]
        waves = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).to(speech.device)
        inside = torch.arange(waves.size(1), device=waves.device) < lengths.to(waves.device)[:, None]
        mask = inside if len(waves) > 1 else None
        output = self.encoder(waves, attention_mask=mask, output_hidden_states=True)
        frames = self.encoder._get_feat_extract_output_lengths(lengths)
        found = [*output.hidden_states[:-1], output.last_hidden_state]
        return found, frames.to(speech.device)

    def _normalized(self, wave: torch.Tensor) -> torch.Tensor:
        """Samples (T,) as the model takes them."""
        given = self.extract(wave.detach().cpu().numpy(), sampling_rate=RATE, return_tensors="pt")
        return given["input_values"][0]


def _of_transformers(path: str, download: bool) -> tuple:
    """What prepares the samples for an encoder that takes them, and the encoder, which is a model of its own."""
    from transformers import AutoFeatureExtractor, AutoModel  # takes seconds
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        local = {"local_files_only": not download}
        extract = AutoFeatureExtractor.from_pretrained(path, **local)
        model = AutoModel.from_pretrained(path, dtype=torch.float32, **local)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {str(error).splitlines()[0]}") from error
    model.config.apply_spec_augment = False  # its own augmentation, which single-output systems would not share
    model.config.layerdrop = 0.0
    for name, parameter in model.named_parameters():
        parameter.requires_grad &= name != "masked_spec_embed"  # of that, so unused
    return extract, model


class PretrainedFrontend(AbsFrontend):
    """Hidden states of a pretrained encoder as features.

    A frozen one is no part of the model's state: checkpoints don't hold it, and where its states
    are cached (stage 7 of a recipe, ``--cache_features true``) it is not even loaded.

    Args:
        path: see :class:`Upstream`.
        frozen: False trains it with the model.
        layers: ``last``, ``all``, a number or a list of numbers (0 is what enters the first
            block). More than one are summed with learned weights (Yang et al. 2021, SUPERB).
        stack: number of neighbouring frames joined into one (2: 25 frames of 2 D a second).
        mix: False leaves several layers side by side, as the encoder `layered` takes them.
        download: see :class:`Upstream`.
    """

    def __init__(
        self,
        path: str,
        frozen: bool = True,
        layers: Layers = "last",
        stack: int = 1,
        mix: bool = True,
        download: bool = False,
        fs: int = RATE,
    ):
        super().__init__()
        if fs != RATE:
            raise UsageError(
                f"frontend_conf: pretrained encoders take {RATE} Hz, not {fs}"
            )
        if stack > 1 and not mix:
            raise UsageError("frontend_conf: stack: with mix: false the encoder joins frames, not the front-end")
        self.path, self.download, self.frozen, self.stack, self.mix = path, download, frozen, stack, mix
        self.__dict__["_frozen_upstream"] = None  # out of sight of state_dict()
        if not frozen:
            self.trained_upstream = Upstream(path, download)
        self.width, n_blocks = self._size()
        self.layers = _layer_numbers(layers, n_blocks)
        if mix and len(self.layers) > 1:
            self.layer_weights = torch.nn.Parameter(torch.zeros(len(self.layers)))

    def _size(self) -> tuple[int, int]:
        if not self.frozen:
            return self.trained_upstream.width, len(self.trained_upstream.blocks)
        config = pretrained_config(self.path, self.download)
        return config.hidden_size, config.num_hidden_layers

    def output_size(self) -> int:
        """Features per frame."""
        return self.width * self.stack * (1 if self.mix else len(self.layers))

    @property
    def upstream(self) -> Upstream:
        """The pretrained encoder; a frozen one is loaded when it is first asked for."""
        if not self.frozen:
            return self.trained_upstream
        if self._frozen_upstream is None:
            self.__dict__["_frozen_upstream"] = Upstream(self.path, self.download).eval()
        return self._frozen_upstream

    def adapted(self, rank: int) -> AdaptedBlocks:
        """Whisper's blocks above the last of the layers that this gives, with adapters of a rank.

        Raises:
            UsageError: there are none, or they can't have adapters.
        """
        config = pretrained_config(self.path, self.download)
        if config.model_type != "whisper" or not self.frozen:
            raise UsageError("encoder_conf: rank: adapters are for blocks of a Whisper with `frozen: true`")
        if self.layers[-1] == config.encoder_layers:
            raise UsageError(
                f"encoder_conf: rank: frontend_conf names layer {self.layers[-1]} of {config.encoder_layers} last, "
                "and adapted are the blocks above it: name lower layers"
            )
        return AdaptedBlocks(config, model_folder(self.path, self.download), self.layers[-1], rank)

    @torch.no_grad()
    def frozen_states(self, speech: torch.Tensor, lengths: torch.Tensor):
        """States (B, F, N * D) of the chosen layers side by side, of samples (B, T); lengths (B,).

        Utterances pass one by one, so that they give the same alone and in any batch.
        """
        upstream = self.upstream.to(speech.device)
        each = []
        for wave, length in zip(speech, lengths, strict=True):
            states, _ = upstream(wave[None, :length], length[None], max(self.layers))
            each.append(torch.cat([states[number][0] for number in self.layers], dim=1))
        frames = torch.tensor([len(states) for states in each], device=speech.device)
        return torch.nn.utils.rnn.pad_sequence(each, batch_first=True), frames

    def forward(
        self, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, F, D * stack) and their lengths (B,).

        Args:
            speech: samples (B, T), or cached states (B, F, N * D) of the chosen layers.
            lengths: (B,), of either.
        """
        if speech.dim() == 2 and self.frozen:
            speech, lengths = self.frozen_states(speech, lengths)
        elif speech.dim() == 2:
            states, lengths = self.upstream(speech, lengths)
            speech = torch.cat([states[number] for number in self.layers], dim=2)
        if speech.size(2) != self.width * len(self.layers):
            raise DataError(
                f"cached features have {speech.size(2)} values a frame, the front-end needs "
                f"{len(self.layers)} layers of {self.width}: run stage 7 with this configuration"
            )
        return self._stack(self._weighted(speech), lengths)

    def _weighted(self, states: torch.Tensor) -> torch.Tensor:
        if len(self.layers) == 1 or not self.mix:
            return states
        by_layer = states.unflatten(2, (len(self.layers), self.width))  # (B, F, N, D)
        return torch.einsum("n,bfnd->bfd", self.layer_weights.softmax(0), by_layer)

    def _stack(self, states, lengths):
        batch, frames, width = states.shape
        frames -= frames % self.stack
        stacked = states[:, :frames].reshape(batch, frames // self.stack, width * self.stack)
        return stacked, lengths // self.stack


def _layer_numbers(layers: Layers, n_blocks: int) -> list[int]:
    """The numbers of the chosen layers, 0 to ``n_blocks``."""
    if layers == "last":
        return [n_blocks]
    if layers == "all":
        return list(range(n_blocks + 1))
    numbers = [layers] if isinstance(layers, int) else layers
    if not isinstance(numbers, list) or not numbers or not set(numbers) <= {*range(n_blocks + 1)}:
        raise UsageError(
            f"frontend_conf: layers: {layers} is neither `last`, `all`, nor numbers from 0 to "
            f"{n_blocks}"
        )
    return numbers


class WaveformFrontend(AbsFrontend):
    """No front-end: samples as they are, for an encoder that takes them."""

    def output_size(self) -> int:
        """Values per sample."""
        return 1

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor):
        """Samples (B, T) and lengths (B,), unchanged."""
        return speech, lengths


class PretrainedEncoder(AbsEncoder):
    """A pretrained encoder as the shared encoder, fine-tuned; it takes ``frontend: waveform``.

    Args:
        input_size: unused; ESPnet gives it to every encoder.
        path: see :class:`Upstream`.
        freeze_blocks: number of first blocks that are not trained, with all layers before them.
        download: see :class:`Upstream`.
    """

    def __init__(self, input_size: int, path: str, freeze_blocks: int = 0, download: bool = False):
        super().__init__()
        self.upstream = Upstream(path, download)
        if not 0 <= freeze_blocks <= len(self.encoders):
            raise UsageError(f"encoder_conf: freeze_blocks: there are {len(self.encoders)} blocks")
        if freeze_blocks:
            kept = {id(p) for block in self.encoders[freeze_blocks:] for p in block.parameters()}
            for parameter in self.upstream.parameters():
                parameter.requires_grad &= id(parameter) in kept

    @property
    def encoders(self) -> torch.nn.ModuleList:
        """The blocks, as ESPnet's encoders name them."""
        return self.upstream.blocks

    def output_size(self) -> int:
        """Width of the representation."""
        return self.upstream.width

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor, prev_states: None = None):
        """Samples (B, T) and lengths (B,) to states (B, F, D), lengths (B,), and None."""
        states, frames = self.upstream(speech, lengths)
        return states[-1], frames, None
