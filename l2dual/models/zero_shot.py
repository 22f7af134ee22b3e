"""Whisper as it comes: the transcription that a user would have without l2dual."""

from collections.abc import Iterator

import torch
from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from l2dual.data.frames import RATE
from l2dual.data.tokens import WhisperTokenizer
from l2dual.data.weights import Weights, model_folder, read_tokenizer
from l2dual.models.whisper_decoder import END, START, prompt_of

SECONDS = 30  # of audio that Whisper was trained on; shorter audio is padded to it
# A text that was not understood is drawn again, ever more at random (section 4.5 of the paper; limits of transformers).
RULES = {
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "compression_ratio_threshold": 1.35,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
}
SIGNS = [
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *"<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪".split(),
]
NOTES = "♩♪♫♬♭♮♯"


class ZeroShot:
    """Whisper by transformers' `generate`, with Whisper's rules for texts that were not understood.

    Args:
        path: directory of the weights and of their tokenizer.json, in Hugging Face's format.
        language: ``en`` or ``ko``.
        beam_size: of the search; retries are drawn.

    Raises:
        L2DualError: no weights of a multilingual Whisper there, no tokenizer, or broken ones.
    """

    def __init__(self, path: str, language: str = "en", beam_size: int = 5):
        set_verbosity_error()  # not of what transformers' own code does
        disable_progress_bar()
        folder = model_folder(path)
        read_tokenizer(folder)
        Weights(folder, "decoder")
        self.subwords = WhisperTokenizer(str(folder / "tokenizer.json")).subwords
        self.features = WhisperFeatureExtractor.from_pretrained(path, local_files_only=True)
        self.whisper = WhisperForConditionalGeneration.from_pretrained(path, local_files_only=True).eval()
        start, spoken, task = prompt_of(language)
        self.whisper.generation_config = GenerationConfig(
            num_beams=beam_size,
            max_length=self.whisper.config.max_target_positions,
            decoder_start_token_id=start,
            eos_token_id=END,
            pad_token_id=END,
            is_multilingual=True,
            lang_to_id={f"<|{language}|>": spoken},
            task_to_id={"transcribe": task},
            no_timestamps_token_id=START,
            suppress_tokens=sorted({*self._signs(), start, *range(START - 5, START)}),
            begin_suppress_tokens=[220, END],  # a space, and the end
        )
        self.language = language

    def _signs(self) -> Iterator[int]:
        """Ids of signs that are not spoken, as OpenAI's package leaves them out."""
        for text in (" -", " '", *(space + sign for sign in (*SIGNS, *NOTES) for space in ("", " "))):
            ids = self.subwords.encode(text, add_special_tokens=False).ids
            if len(ids) == 1 or text[-1] in NOTES:
                yield ids[0]

    @torch.inference_mode()
    def __call__(self, samples: torch.Tensor) -> str:
        """The text of samples (T,) at 16 kHz, at most `SECONDS` of them."""
        given = self.features(samples.numpy(), sampling_rate=RATE, return_tensors="pt")["input_features"]
        torch.manual_seed(0)
        [ids] = self.whisper.generate(given, language=self.language, task="transcribe", **RULES)
        text = self.subwords.decode([number for number in ids.tolist() if number < END])
        return " ".join(text.split())
