"""The dual-output model: one encoder, and a decoder, a CTC or both for each output."""

import logging
from collections.abc import Mapping

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize
from espnet2.legacy.nets.pytorch_backend.nets_utils import th_accuracy
from espnet2.legacy.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos
from espnet2.legacy.nets.pytorch_backend.transformer.label_smoothing_loss import (
    LabelSmoothingLoss,
)
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from rapidfuzz.distance import Levenshtein

from l2dual.errors import DataError, UsageError
from l2dual.models.loss_gradients import GradientCosines
from l2dual.sharing.mechanism import Encoded, Mechanism
from l2dual.systems import LossWeights, active_outputs

IGNORE_ID = -1


class L2DualModel(AbsESPnetModel):
    """Hybrid CTC/attention recognition with one or two outputs (Cho & Kim 2026, section 3).

    The loss is the weighted sum over outputs of the CTC and the attention loss
    (Watanabe et al. 2017); a loss whose weight is 0 is not built. A single-output system is the same
    class with one output.

    Args:
        token_lists: the tokens of each active output; the last one is the sos/eos symbol, the
            first the CTC blank.
        loss_weights: ``{output: {"ctc": float, "attention": float}}``.
        lsm_weight: label smoothing of the attention losses.
        length_normalized: divide each loss by the number of its target tokens in the batch, of
            all workers (True), or by the number of utterances, as ESPnet does by default (False).
        gradient_interval: training steps between two measurements of how far the outputs'
            gradients agree (:mod:`l2dual.models.loss_gradients`); 0 for none.
    """

    def __init__(
        self,
        token_lists: Mapping[str, list[str]],
        frontend: AbsFrontend | None,
        specaug: AbsSpecAug | None,
        normalize: AbsNormalize | None,
        encoder: AbsEncoder,
        decoders: Mapping[str, AbsDecoder],
        ctcs: Mapping[str, CTC],
        loss_weights: LossWeights,
        lsm_weight: float = 0.0,
        length_normalized: bool = True,
        gradient_interval: int = 100,
    ):
        super().__init__()
        self.outputs = active_outputs(loss_weights)
        self.loss_weights = loss_weights
        self.length_normalized = length_normalized
        self.gradient_cosines = GradientCosines(gradient_interval)
        self.token_lists = {output: list(token_lists[output]) for output in self.outputs}
        self.frontend = frontend
        self.specaug = specaug
        self.normalize = normalize
        self.encoder = encoder
        self.decoders = torch.nn.ModuleDict(decoders)
        self.ctcs = torch.nn.ModuleDict(ctcs)
        self.attention_losses = torch.nn.ModuleDict(
            {
                output: LabelSmoothingLoss(
                    size=len(self.token_lists[output]),
                    padding_idx=IGNORE_ID,
                    smoothing=lsm_weight,
                    normalize_length=length_normalized,
                )
                for output in self.decoders
            }
        )

    def sos_eos(self, output: str) -> int:
        """Id of the symbol that starts and ends a sequence of ``output``."""
        return len(self.token_lists[output]) - 1

    def statistics(self) -> list[str]:
        """Names of what :meth:`forward` reports, for checkpoint selection and plots."""
        names = ["loss", "acc"]
        for output in self.outputs:
            names.append(f"acc_{output}")
            if output in self.decoders:
                names.append(f"loss_att_{output}")
            if output in self.ctcs:
                names.append(f"loss_ctc_{output}")
        return names

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        utt_id: list[str] | None = None,
        **texts: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Weighted loss of a batch.

        Args:
            speech: samples, (B, T).
            speech_lengths: (B,).
            texts: ``surface`` (B, L) and ``surface_lengths`` (B,), likewise ``meaning``; padded
                with -1. Only the active outputs' texts are needed.

        Returns:
            The loss (), its statistics, and the batch size as weight ().

        Raises:
            DataError: a text of an active output is missing or empty.
        """
        encoded = self.encode(speech, speech_lengths)
        losses, stats = {}, {}
        for output in self.outputs:
            tokens, lengths = self._target(output, texts, utt_id)
            losses[output] = self._output_loss(
                output, *encoded.of(output), tokens, lengths, utt_id, stats
            )
        if self.training:
            stats |= self.gradient_cosines(losses, self.shared())
        loss = sum(losses.values())
        stats["acc"] = sum(stats[f"acc_{output}"] for output in self.outputs) / len(self.outputs)
        stats["loss"] = loss.detach()
        return force_gatherable((loss, stats, speech.size(0)), loss.device)

    def _target(
        self, output: str, texts: Mapping[str, torch.Tensor], utt_id: list[str] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if output not in texts:
            raise DataError(f"no text.{output} in the training data: this system needs it")
        lengths = texts[f"{output}_lengths"]
        if int(lengths.min()) == 0:
            where = utt_id[int(lengths.argmin())] if utt_id else "of the batch"
            raise DataError(f"utterance {where}: text.{output} is empty: run stage 4 to drop it")
        return texts[output][:, : int(lengths.max())], lengths

    def _output_loss(
        self,
        output: str,
        encoder_out: torch.Tensor,
        encoder_out_lens: torch.Tensor,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        utt_id: list[str] | None,
        stats: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        weights, loss = self.loss_weights[output], 0.0
        if output in self.decoders:
            attention, accuracy = self._attention_loss(
                output, encoder_out, encoder_out_lens, tokens, lengths
            )
            stats[f"loss_att_{output}"] = attention.detach()
            stats[f"acc_{output}"] = accuracy
            loss = weights["attention"] * attention
        if output in self.ctcs:
            _warn_unalignable(output, encoder_out_lens, tokens, lengths, utt_id)
            ctc = self._ctc_loss(output, encoder_out, encoder_out_lens, tokens, lengths)
            stats[f"loss_ctc_{output}"] = ctc.detach()
            loss = loss + weights["ctc"] * ctc
            if output not in self.decoders:
                best = self.ctcs[output].argmax(encoder_out)  # (B, T')
                stats[f"acc_{output}"] = _accuracy(best, encoder_out_lens, tokens, lengths)
        return loss

    def _attention_loss(
        self,
        output: str,
        encoder_out: torch.Tensor,
        encoder_out_lens: torch.Tensor,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sos_eos = self.sos_eos(output)
        ys_in, ys_out = add_sos_eos(tokens, sos_eos, sos_eos, IGNORE_ID)  # (B, L + 1)
        logits, _ = self.decoders[output](encoder_out, encoder_out_lens, ys_in, lengths + 1)
        loss = self.attention_losses[output](logits, ys_out)
        accuracy = th_accuracy(logits.flatten(0, 1), ys_out, ignore_label=IGNORE_ID)
        share = length_share(lengths + 1)
        return loss * share if self.length_normalized else loss, torch.tensor(accuracy) * share

    def _ctc_loss(
        self,
        output: str,
        encoder_out: torch.Tensor,
        encoder_out_lens: torch.Tensor,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
    ) -> torch.Tensor:
        per_batch = self.ctcs[output](encoder_out, encoder_out_lens, tokens, lengths)
        if self.length_normalized:
            return per_batch * tokens.size(0) / lengths.sum() * length_share(lengths)
        return per_batch

    def encode(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> Encoded:
        """What the decoder and the CTC of each output read of a batch.

        Args:
            speech: samples, (B, T).
            speech_lengths: (B,).
        """
        feats, feats_lengths = self._extract_feats(speech, speech_lengths)
        if self.specaug is not None and self.training:
            feats, feats_lengths = self.specaug(feats, feats_lengths)
        if self.normalize is not None:
            feats, feats_lengths = self.normalize(feats, feats_lengths)
        if isinstance(self.encoder, Mechanism):
            return self.encoder(feats, feats_lengths, self.ctcs)
        states, lengths, _ = self.encoder(feats, feats_lengths)
        return Encoded(dict.fromkeys(self.outputs, states), lengths)

    def shared(self) -> torch.nn.Module | None:
        """The part of the encoder that all outputs train; None where they have one each."""
        return self.encoder.shared() if isinstance(self.encoder, Mechanism) else self.encoder

    def blocks(self, output: str) -> list[torch.nn.Module]:
        """The blocks of the encoder that an output's states pass.

        Raises:
            UsageError: the encoder has no list of blocks.
        """
        if isinstance(self.encoder, Mechanism):
            return self.encoder.path(output)
        blocks = getattr(self.encoder, "encoders", None)
        if not isinstance(blocks, torch.nn.ModuleList | torch.nn.Sequential):
            kind = type(self.encoder).__name__
            raise UsageError(f"{kind} has no list `encoders` of blocks: use a Conformer-like encoder")
        return list(blocks)

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **unused: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Features before normalization, (B, F, D), for the statistics of stage 7."""
        feats, feats_lengths = self._extract_feats(speech, speech_lengths)
        return {"feats": feats, "feats_lengths": feats_lengths}

    def _extract_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        speech = speech[:, : int(speech_lengths.max())]
        if self.frontend is None:
            return speech, speech_lengths
        return self.frontend(speech, speech_lengths)


def _accuracy(
    best: torch.Tensor, frames: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """1 less the token error rate of the frames' best labels (B, T'), blanks and repeats left out."""
    edits = 0
    for row, end, target, length in zip(best, frames, tokens, lengths, strict=True):
        labels = [label for label in row[:end].unique_consecutive().tolist() if label]
        edits += Levenshtein.distance(labels, target[:length].tolist())
    return (1 - edits / lengths.sum()) * length_share(lengths)


def _warn_unalignable(
    output: str,
    frames: torch.Tensor,
    tokens: torch.Tensor,
    lengths: torch.Tensor,
    utt_id: list[str] | None,
) -> None:
    """Say which utterances CTC can't align: torch gives them a loss of 0 and says nothing."""
    repeats = ((tokens[:, 1:] == tokens[:, :-1]) & (tokens[:, 1:] != IGNORE_ID)).sum(1)
    for index in torch.nonzero(lengths + repeats > frames).flatten().tolist():
        logging.warning(
            "CTC ignores utterance %s: text.%s has %d tokens, more than its %d encoder frames",
            utt_id[index] if utt_id else index,
            output,
            int(lengths[index]),
            int(frames[index]),
        )


def length_share(lengths: torch.Tensor) -> torch.Tensor | float:
    """Mean of ``lengths``, (B,), over their mean in the batches of all workers; 1.0 for one worker.

    ESPnet takes the mean of the workers' losses weighted by their utterances, B_r of B. A sum S_r
    over utterances that each worker divides by the N_r tokens of its own batch needs this factor
    to count every token alike: sum_r B_r/B * S_r/N_r * (N_r/B_r)/(N/B) = sum_r S_r / N.
    """
    if not torch.distributed.is_initialized():
        return 1.0
    here = torch.stack([lengths.sum(), lengths.new_tensor(len(lengths))]).float()
    everywhere = here.clone()
    torch.distributed.all_reduce(everywhere)
    tokens, utterances = (here / everywhere).unbind()
    return tokens / utterances
