"""Both transcriptions of a recording, by a trained model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch

from l2dual.data.frames import chain_of, encoder_frames, rate_of
from l2dual.data.tokens import tokens_to_text
from l2dual.errors import DataError, UsageError
from l2dual.inference.borrowed import with_times
from l2dual.inference.differences import differences, due_of, steps, unit_of
from l2dual.inference.guidance import guidance_of
from l2dual.inference.joining import chained, joined
from l2dual.inference.listening import Heard, Recording, listen, pieces
from l2dual.inference.rater import FOLDER, Raters
from l2dual.inference.result import Difference, Recognized, Step, Transcription
from l2dual.inference.shelf import open_model
from l2dual.inference.timing import Clock, letters, spans
from l2dual.models.beam import Hypothesis
from l2dual.models.dual import L2DualModel
from l2dual.models.guide import Guidance
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.sharing.mechanism import Encoded
from l2dual.text.lexicon import Lexicon
from l2dual.training.load import config_of, load_model, run_facts, search_options

Texts = dict[str, Transcription]  # by output
TOGETHER = 160.0  # seconds of speech in one batch at most, padding counted


class Piece(NamedTuple):
    """A part of a recording that is recognized at once."""

    recording: int  # its number
    start: int  # sample
    samples: np.ndarray


class DualSpeech2Text:
    """A model that gives the surface and the meaning of second-language speech.

    Attributes:
        model: in evaluation mode.
        about: what the model's run.yaml says: system, outputs, language, convention, corpus and more.
        token_lists: of each output, from the CTC's blank to sos/eos.
        rate: Hz of the samples that the model takes.
        token_types: of each output: char, jamo, bpe, phn or word.
        clock: when a frame of the encoder is.
        raters: that rate pronunciation; None where the model has none.
        lexicon: how its corpus pronounces English words.
    """

    def __init__(
        self,
        model: L2DualModel,
        config: dict,
        about: dict,
        options: SearchOptions,
        guidance: Guidance | None = None,
        raters: Raters | None = None,
        lexicon: Lexicon | None = None,
    ):
        self.model = model
        self.raters = raters
        self.lexicon = lexicon or Lexicon()
        self.about = about
        self.rate = rate_of(config)
        self._chain = chain_of(config, self.rate)
        self.clock = Clock.of(self._chain, self.rate)
        self.token_lists = model.token_lists
        self.batch_size = options.batch_size
        self._decoder = DualDecoder(model, options, guidance)
        self._ids = {name: {token: i for i, token in enumerate(some)} for name, some in model.token_lists.items()}
        self.token_types = {output: config[f"{output}_token_type"] for output in model.outputs}

    @classmethod
    def from_pretrained(cls, model: str | Path, device: str = "cpu", **options: Any) -> "DualSpeech2Text":
        """Load a model.

        Args:
            model: a run's directory, an archive of stage 12 (model.zip) packed or unpacked, or a name
                that ``l2dual models`` lists.
            device: ``cpu`` or ``cuda``.
            options: of the search, as in conf/decode.yaml: ``mode``, ``beam_size``, ``ctc_weight``...; those
                that are not given are the archive's, with which it was decoded.

        Raises:
            DataError: there is no such model, or it is of another version of l2dual.
            UsageError: an unknown option, or no such device.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UsageError(f"device {device}: no GPU here: use cpu")
        with open_model(str(model)) as directory:
            loaded, config, about = load_model(directory), config_of(directory), run_facts(directory)
            search = SearchOptions.from_config(search_options(directory) | options, "options")
            lexicon, raters = Lexicon.load(directory), Raters.load(directory / FOLDER)
            guidance = guidance_of(config, lexicon, raters) if search.guides(loaded) else None
            if not about.keys() >= {"language", "convention"}:
                raise DataError(f"{directory}/run.yaml: lacks language or convention: pack the run again (stage 12)")
            getattr(loaded.frontend, "upstream", None)  # a frozen encoder is read when it is first asked for
            return cls(loaded.to(device), config, about, search, guidance, raters, lexicon)

    @property
    def language(self) -> str:
        """``en`` or ``ko``."""
        return self.about["language"]

    @property
    def convention(self) -> str:
        """How the surface is written: ``heard`` or ``pronounced``."""
        return self.about["convention"]

    @overload
    def __call__(self, recordings: Recording, n_best: int = 1, prompt: str | None = None) -> Recognized: ...

    @overload
    def __call__(self, recordings: list[Recording], n_best: int = 1) -> list[Recognized]: ...

    def __call__(
        self, recordings: Recording | list[Recording], n_best: int = 1, prompt: str | None = None
    ) -> Recognized | list[Recognized]:
        """Transcribe a recording, or each of a list.

        Args:
            recordings: a file, or samples (T,) or (T, C) with their rate in Hz; or a list of these. What is
                longer than 20 s is cut at pauses.
            n_best: hypotheses that each transcription lists; one for a recording that was cut.
            prompt: what was to be said in one recording of at most 30 s: its words are then judged.

        Raises:
            DataError: a recording can't be used; says which and why.
            UsageError: a prompt for a list, or one that can't be judged.
        """
        if n_best < 1:
            raise UsageError(f"n_best is {n_best}: give 1 or more")
        if not isinstance(recordings, list):
            one = self.recognize([self.listen(recordings)], n_best)[0]
            return one if prompt is None else replace(one, **self._judged(recordings, prompt))
        if prompt is not None:
            raise UsageError("prompt: is what was said in one recording: give no list")
        found: list[Recognized] = []
        for group in batched(enumerate(recordings), self.batch_size):
            found += self.recognize([self.listen(each, str(number)) for number, each in group], n_best)
        return found

    def _judged(self, recording: Recording, prompt: str) -> dict[str, Any]:
        from l2dual.inference.feedback import evidence, give_feedback
        from l2dual.inference.tips import Tips

        told = give_feedback(evidence(self, recording, with_meaning=False), prompt, Tips(self.language))
        return {"words": told.words, "ratings": told.ratings, "notes": told.notes}

    def listen(self, recording: Recording, name: str = "") -> Heard:
        """Read a recording as the model takes it.

        Args:
            recording: as those that are called with.
            name: of samples; a file has its own.

        Raises:
            DataError: it can't be used; says why.
        """
        heard = listen(recording, self.rate, name)
        if not encoder_frames(len(heard.samples), self.rate, self._chain):
            raise DataError(f"{heard.name}: {heard.seconds:.2f} s long, too short for this model: record it again")
        parts = pieces(heard.samples, self.rate)
        if not parts:
            raise DataError(f"{heard.name}: no voice in it: check the microphone, and record it again")
        return heard._replace(parts=parts)

    def recognize(self, heard: Sequence[Heard], n_best: int = 1) -> list[Recognized]:
        """Transcribe what :meth:`listen` gave: all of it is in memory at once."""
        parts = [
            Piece(number, start, one.samples[start:end])
            for number, one in enumerate(heard)
            for start, end in one.parts
        ]
        found: list[dict[int, Texts]] = [{} for _ in heard]  # by each piece's start
        for batch in self._batches(parts):
            for piece, texts in zip(batch, self._transcribe(batch, n_best), strict=True):
                found[piece.recording][piece.start] = texts
        return [self._recognized(one, texts) for one, texts in zip(heard, found, strict=True)]

    @torch.inference_mode()
    def posteriors(self, recording: Recording | Heard) -> dict[str, torch.Tensor]:
        """What the CTC of each output says of every frame, as it is: the recording is not cut.

        Returns:
            Log probabilities (T', V), float32, on the CPU; outputs without CTC are left out. Tokens are
            those of ``token_lists``, times those of ``clock``.
        """
        heard = recording if isinstance(recording, Heard) else self.listen(recording)
        _, log_probs = self._encode([Piece(0, 0, heard.samples)])
        return {output: one for output, [one] in log_probs.items()}

    def _batches(self, parts: list[Piece]) -> Iterator[list[Piece]]:
        """Batches of like length, the longest first."""
        left = sorted(parts, key=lambda piece: -len(piece.samples))
        while left:
            longest = len(left[0].samples) / self.rate
            size = max(1, min(self.batch_size, int(TOGETHER / longest)))
            yield left[:size]
            left = left[size:]

    def _encode(self, batch: list[Piece]) -> tuple[Encoded, dict[str, list[torch.Tensor]]]:
        """The encoder's output, and for each output with CTC its log probabilities (T', V)."""
        device = next(self.model.parameters()).device
        waves = [torch.from_numpy(piece.samples) for piece in batch]
        lengths = torch.tensor([len(wave) for wave in waves], device=device)
        speech = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).to(device)
        encoded = self.model.encode(speech, lengths)
        log_probs = {}
        ctcs: dict[str, Any] = dict(self.model.ctcs.items())
        for output, ctc in ctcs.items():
            states, frames = encoded.of(output)
            both = zip(ctc.log_softmax(states).float().cpu(), frames.tolist(), strict=True)
            log_probs[output] = [one[:length] for one, length in both]
        return encoded, log_probs

    @torch.inference_mode()
    def _transcribe(self, batch: list[Piece], n_best: int) -> list[Texts]:
        encoded, log_probs = self._encode(batch)
        found = self._decoder.search(encoded, n_best)
        results = []
        for number, piece in enumerate(batch):
            seconds = piece.start / self.rate, (piece.start + len(piece.samples)) / self.rate
            texts = {}
            for output, hypotheses in found.items():
                probs = log_probs[output][number] if output in log_probs else None
                texts[output] = self._transcription(output, hypotheses[number], probs, *seconds)
            results.append(texts)
        return results

    def _transcription(
        self, output: str, hypotheses: list[Hypothesis], log_probs: torch.Tensor | None, start: float, end: float
    ) -> Transcription:
        """What a search found in the seconds from ``start`` to ``end`` of a recording."""
        if not hypotheses:  # shorter than a frame
            return Transcription("", 0.0, (), ())
        kind = self.token_types[output]
        nbest = tuple((tokens_to_text(one.tokens, kind), one.score) for one in hypotheses)
        ids = [self._ids[output][token] for token in hypotheses[0].tokens]
        clock = Clock(self.clock.step, self.clock.start + start)
        parts = spans(hypotheses[0].tokens, ids, log_probs, clock, end)
        return Transcription(*nbest[0], letters(parts, kind), nbest)

    def _recognized(self, heard: Heard, found: dict[int, Texts]) -> Recognized:
        """Join the pieces of a recording, whose first samples are the keys."""
        parts = [found[start] for start in sorted(found)]
        texts = {
            output: joined([part[output] for part in parts], self.token_types[output] == "phn")
            for output in self.model.outputs
        }
        surface, meaning = texts.get("surface"), texts.get("meaning")
        alignment: list[Step] = []
        differing: tuple[Difference, ...] = ()
        if surface and meaning:
            each = [(self._steps(part), len(part["surface"].tokens)) for part in parts]
            alignment = chained(each, self._unit == "phone")
            differing = differences(alignment, surface.tokens, self._unit)
            if self._unit == "phone" and "meaning" not in self.model.ctcs:
                meaning = with_times(meaning, alignment, surface.tokens, self.lexicon)
        about = (heard.name, heard.seconds, self.language, self.convention)
        return Recognized(*about, surface, meaning, differing, tuple(alignment))

    @property
    def _unit(self) -> str:
        return unit_of(self.language, self.convention)

    def _steps(self, texts: Texts) -> list[Step]:
        surface, meaning = texts["surface"], texts["meaning"]
        due = due_of(meaning.text, surface.text, self.language, self.convention, self.lexicon)
        return [] if due is None else steps(due, surface.tokens, self._unit)
