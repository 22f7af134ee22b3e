"""Where tokens are: the encoder's frames in seconds, the alignment, and letters out of tokens."""

import pytest
import torch

from l2dual.data.frames import chain_of, encoder_frames
from l2dual.inference.timing import Clock, Span, letters, spans

FRONTEND = {"n_fft": 512, "hop_length": 160, "center": False}
CLOCK = Clock(0.04, 0.0)


def posteriors(frames, size=4, sure=0.9):
    """Log probabilities (T', V) of which the likeliest in each frame is as given."""
    probs = torch.full((len(frames), size), (1 - sure) / (size - 1))
    probs[torch.arange(len(frames)), torch.tensor(frames)] = sure
    return probs.log()


def test_a_frame_is_where_its_windows_are():
    chain = chain_of({"frontend_conf": FRONTEND}, 16000)
    clock = Clock.of(chain, 16000)
    frames = encoder_frames(32000, 16000, chain)
    assert clock.step == 0.04
    assert clock.start == pytest.approx(2 - clock.start - frames * clock.step, abs=clock.step)  # in the middle
    assert Clock.of(chain_of({"frontend_conf": FRONTEND | {"center": True}}, 16000), 16000).start < clock.start


def test_a_token_reaches_half_the_way_to_its_neighbour():
    found = spans("abb", [1, 2, 2], posteriors([0] * 9 + [1, 1, 0, 0, 2, 0, 2] + [0] * 9), CLOCK, 1.0)
    assert [(one.start, one.end) for one in found] == [(0.28, 0.48), (0.48, 0.58), (0.58, 0.72)]
    assert [one.confidence for one in found] == [0.9] * 3


def test_times_end_with_the_recording():
    [one] = spans("a", [1], posteriors([1]), CLOCK, 0.05)
    assert (one.start, one.end) == (0.0, 0.05)


@pytest.mark.parametrize("log_probs", [None, posteriors([1, 2])])
def test_without_room_there_are_no_times(log_probs):
    assert spans("aa", [1, 1], log_probs, CLOCK, 1.0) == [Span("a", None, None, None)] * 2


def test_characters():
    parts = [Span(text, i, i + 1, 0.5) for i, text in enumerate(("<space>", "a", "<space>", "<space>", "<unk>"))]
    assert [token.text for token in letters(parts, "char")] == ["a", " ", "<unk>"]
    assert [token.text for token in letters(parts[1:], "phn")] == ["a", "<space>", "<space>", "<unk>"]


def test_pieces_of_words_share_their_time():
    found = letters([Span("▁ab", 0.0, 0.3, 0.5), Span("▁c", 0.3, 0.5, 0.4)], "bpe")
    assert "".join(token.text for token in found) == "ab c"
    assert [(token.start, token.end) for token in found] == [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5)]
    words = letters([Span("ab", 0.0, 0.2, 0.5), Span("c", 0.2, 0.4, 0.5)], "word")
    assert "".join(token.text for token in words) == "ab c"


def test_letters_of_hangul_are_syllables():
    texts = ["ᄀ", "ᅡ", "ᆨ", "ᄋ", "ᅵ", "<space>", "ᅡ", "<unk>"]
    parts = [Span(text, i, i + 1, 1 - i / 10) for i, text in enumerate(texts)]
    found = letters(parts, "jamo")
    assert [token.text for token in found] == ["각", "이", " ", "ᅡ", "<unk>"]
    assert [(token.start, token.end, token.confidence) for token in found[:2]] == [(0, 3, 0.8), (3, 5, 0.6)]
