"""Times of the meaning's words by the phones that were said."""

from l2dual.inference.borrowed import with_times
from l2dual.inference.differences import steps
from l2dual.inference.result import Token, Transcription
from l2dual.text.lexicon import Lexicon


def timed(meaning, due, said):
    surface = [Token(phone, 1.0 * number, number + 0.5, 0.9) for number, phone in enumerate(said.split())]
    tokens = tuple(Token(letter, None, None, None) for letter in meaning)
    found = with_times(Transcription(meaning, 0.0, tokens, ()), steps(due, surface, "phone"), surface, Lexicon())
    return {token.text: (token.start, token.end) for token in found.tokens}  # of a letter's last place


def test_a_word_lasts_from_its_first_phone_to_its_last():
    found = timed("i sink", "AY S IH NG K", "AY TH IH NG K")
    assert found["s"] == found["i"] == found["k"] == (1.0, 4.5) and found[" "] == (0.5, 1.0)


def test_what_was_left_out_has_no_length():
    assert timed("the end", "DH AH EH N D", "EH N D") == {
        "t": (0.0, 0.0), "h": (0.0, 0.0), "e": (0.0, 2.5), " ": (0.0, 0.0), "n": (0.0, 2.5), "d": (0.0, 2.5)
    }  # fmt: skip


def test_phones_that_are_no_pronunciation_of_the_words_give_no_times():
    assert timed("sink", "S AH NG K", "S IH NG K")["s"] == (None, None)
