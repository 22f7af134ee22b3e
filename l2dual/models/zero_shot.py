"""Whisper as it comes: the transcription that a user would have without l2dual."""

import json
import string
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel

from l2dual.data.frames import RATE
from l2dual.data.tokens import WhisperTokenizer
from l2dual.models.beam import BeamOptions, BeamSearch
from l2dual.models.pretrained import Upstream
from l2dual.models.whisper_decoder import END, WhisperDecoder
from l2dual.text import BLANK, SOS_EOS, UNKNOWN

SECONDS = 30  # of audio that Whisper was trained on; shorter audio is padded to it
SIGNS = string.ascii_letters + string.digits + " .,?!'$%&:;-"  # not those of music and noise
HANGUL = "".join(map(chr, range(ord("가"), ord("힣") + 1)))
WRITES = {"en": SIGNS, "ko": SIGNS + HANGUL}


class ZeroShot:
    """Whisper's encoder and decoder, untrained by us, with our search.

    Its rules for what went wrong (temperatures, compression, silence) are left out.

    Args:
        path: directory of the weights and of their tokenizer.json, in Hugging Face's format.
        beam_size: of the search; the likeliest text wins, whatever its length.
        language: ``en`` or ``ko``: it writes in that alphabet.
    """

    def __init__(self, path: str, beam_size: int = 5, language: str = "en"):
        known = json.loads((Path(path) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        plain = ByteLevel(add_prefix_space=False, use_regex=False)  # bytes as letters
        letters = {letter for sign in WRITES[language] for letter in plain.pre_tokenize_str(sign)[0][0]}
        fit = (token for token, number in known.items() if number < END and letters.issuperset(token))
        tokens = [BLANK, UNKNOWN, *fit, SOS_EOS]
        self.upstream = Upstream(path).eval()
        decoder = WhisperDecoder(len(tokens), self.upstream.width, path, rank=0, tokens=tokens, language=language)
        options = BeamOptions(beam_size, minlenratio=-2)  # no empty text
        self.search = BeamSearch(decoder.eval(), None, tokens, 0.0, options)

    @torch.inference_mode()
    def __call__(self, samples: torch.Tensor) -> str:
        """The text of samples (T,) at 16 kHz, of at most 30 s; what is longer passes in pieces."""
        texts = []
        for piece in samples.split(SECONDS * RATE):
            padded = torch.nn.functional.pad(piece, (0, SECONDS * RATE - len(piece)))
            states, frames = self.upstream(padded[None], torch.tensor([len(padded)]))
            [[best]] = self.search(states[-1], frames)
            texts.append(WhisperTokenizer.tokens2text(best.tokens))
        return " ".join(texts)
