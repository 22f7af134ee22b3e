"""Feedback on made-up recordings, in phones and in letters, for people and programs."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from l2dual.data.tokens import build_tokenizer
from l2dual.errors import DataError, UsageError
from l2dual.inference.feedback import Evidence, chance, checked, give_feedback, said_words
from l2dual.inference.shown import as_json, as_page, as_text
from l2dual.inference.timing import Clock
from l2dual.inference.tips import Tips
from l2dual.text import english
from l2dual.text.cleaning import plain
from l2dual.text.lexicon import Lexicon
from l2dual.text.phones import PHONES

RATE = 16000


def spoken(path, vocabulary, sure=0.9999):
    """A CTC that emits ``path``, one token in three frames."""
    frames = [token for one in path for token in ("<blank>", one, "<blank>")]
    probs = np.full((len(frames), len(vocabulary)), (1 - sure) / (len(vocabulary) - 1))
    probs[np.arange(len(frames)), [vocabulary.index(token) for token in frames]] = sure
    return np.log(probs)


def evidence(language, convention, said, tokens, meaning=None):
    kind = "phn" if (language, convention) == ("en", "pronounced") else "char"
    tokenize = build_tokenizer(kind).text2tokens
    vocabulary = ["<blank>", "<unk>", *tokens, "<sos/eos>"]
    log_probs = spoken(tokenize(said), vocabulary)
    samples = np.sin(np.arange(len(log_probs) * 640) / 20).astype(np.float32) * 0.5
    clock = Clock(0.04, 0.0)
    heard = (log_probs, vocabulary, tokenize, clock)
    return Evidence("a.wav", samples, RATE, language, convention, said, meaning, *heard)


LETTERS = ["<space>", "'", *"abcdefghijklmnopqrstuvwxyz"]
SINK = ("en", "pronounced", "AY S IH NG K S OW", sorted(PHONES))


def test_a_sound_said_for_another():
    told = give_feedback(evidence(*SINK), "I think so!", Tips("en"))
    assert (told.prompt, told.prompt_is_given, told.notes) == ("i think so", True, ())
    think = told.words[1]
    assert [word.verdict for word in told.words] == ["right", "wrong", "right"] and told.errors == ([think], [])
    assert [(sound.due, sound.said, sound.verdict) for sound in think.sounds[:2]] == [
        ("TH", "S", "wrong"),
        ("IH", "IH", "right"),
    ]
    assert think.score == think.sounds[0].score < 0.5 < think.sounds[1].score
    assert 0.08 <= think.start <= 0.16 and 0.56 <= think.end <= 0.64
    assert think.sentences[0].startswith("You said S (as in “see”). Say TH (as in “think”).")


def test_sounds_left_out_and_put_in():
    left_out = give_feedback(evidence(*SINK[:2], "S T R IY", SINK[3]), "street", Tips("en"))
    assert [sound.said for sound in left_out.words[0].sounds] == ["S", "T", "R", "IY", ""]
    assert left_out.words[0].sentences[0].startswith("You left out T (as in “ten”).")
    put_in = give_feedback(evidence(*SINK[:2], "S UW T R IY T", SINK[3]), "street", Tips("en"))
    assert [(s.due, s.said) for s in put_in.words[0].sounds if s.verdict == "wrong"] == [("", "UW")]
    assert put_in.words[0].sentences[0].startswith("You put in the vowel of “food”.")


def test_a_word_is_due_as_the_models_lexicon_has_it():
    lexicon = Lexicon(words={"tikka": ("S", "IH", "NG", "K"), "azure": ("AE", "X", "ER")})
    heard = replace(evidence(*SINK[:2], "S IH NG K", SINK[3]), lexicon=lexicon)
    told = give_feedback(heard, "tikka", Tips("en"))
    assert [sound.due for sound in told.words[0].sounds] == ["S", "IH", "NG", "K"] and told.notes == ()
    due = give_feedback(heard, "azure", Tips("en")).words[0].sounds  # a phone that the model does not know
    assert [sound.due for sound in due] == english.pronounce("azure").split()


def test_the_reading_that_was_said_is_the_one_that_was_due():
    for said in ("R IY D", "R EH D"):
        told = give_feedback(evidence(*SINK[:2], said, SINK[3]), "read", Tips("en"))
        assert told.words[0].verdict == "right"


def test_a_weak_vowel_may_be_another():
    for said, told in (("D IH F IH K AH L T", "right"), ("D IH F OW K AH L T", "wrong")):
        assert give_feedback(evidence(*SINK[:2], said, SINK[3]), "difficult", Tips("en")).words[0].verdict == told


def test_a_surface_in_letters():
    told = give_feedback(evidence("en", "heard", "i sink so", LETTERS), "I think so.", Tips("en", "ko"))
    assert [(s.due, s.said) for s in told.words[1].sounds if s.verdict == "wrong"] == [("TH", "S")]
    assert "혀끝을 이 사이로" in told.words[1].sentences[0]
    assert [word.verdict for word in told.words] == ["right", "wrong", "right"]
    assert told.words[0].end <= told.words[1].start < told.words[1].end <= told.words[2].start


@pytest.mark.parametrize("convention, text", [("heard", "이 떡을 먹어요"), ("pronounced", "이 떡을 먹어요")])
def test_a_surface_in_hangul(convention, text):
    said = {"heard": "이 덕을 먹어요", "pronounced": "이 더글 머거요"}[convention]
    told = give_feedback(evidence("ko", convention, said, ["<space>", *"이떡을덕먹어요떠글더머거"]), text, Tips("ko"))
    assert [word.text for word in told.words] == text.split()
    assert [(s.due, s.said) for w in told.words for s in w.sounds if s.verdict == "wrong"] == [("ㄸ", "ㄷ")]
    assert "It is tense" in told.words[1].sentences[0]


def test_a_word_left_out_and_the_models_own_meaning():
    told = give_feedback(evidence("en", "heard", "i so too", LETTERS, meaning="i think so too"), None, Tips("en"))
    assert told.words[1].sentences == ("You left out this word.",)
    assert not told.prompt_is_given and "own guess" in told.notes[0]


def test_the_only_word_left_out():
    heard = replace(evidence("en", "heard", "so", LETTERS), surface="")
    assert [word.text for word in give_feedback(heard, "so", Tips("en")).words] == ["so"]


def test_letters_belong_to_their_words():
    assert said_words("a student may go".split(), "a estudent go") == ["a", "estudent", "", "go"]
    assert said_words("we go".split(), "wego") == ["we", "go"]


def test_another_text_than_was_said():
    told = give_feedback(evidence(*SINK), "where does your father work", Tips("en"))
    assert told.errors == ([], []) and told.unheard and "check that the text" in told.notes[0]
    assert {each.verdict for word in told.words for each in (word, *word.sounds)} == {"unheard"}
    page, lines = as_page(told, Tips("en"), "en", np.zeros(RATE), RATE), as_text(told, Tips("en"))
    assert "No certain error" not in page + lines and "[" not in lines and 'class="said"' not in page


@pytest.mark.parametrize("text", ["7", "50%", "3.5", "1,000,000"])
def test_a_number_is_in_any_language(text):
    assert checked(text, evidence(*SINK)) == plain(text)


def test_a_word_that_no_dictionary_has():
    told = give_feedback(evidence(*SINK), "i thinck so", Tips("en"))
    assert told.notes == ("No dictionary has “thinck”: its pronunciation is a guess from the spelling.",)


@pytest.mark.parametrize(
    "heard, prompt, error, why",
    [
        (evidence(*SINK), " .. ", UsageError, "the text is empty: give the text"),
        (evidence(*SINK), "It costs $5", UsageError, "how '.' was to be said: write it in words"),
        (evidence(*SINK), "나는 그렇게 생각해", UsageError, "is not English, the model's language"),
        (evidence("ko", "heard", "네", ["네"]), "I think so", UsageError, "is not Korean, the model's language"),
        (evidence("en", "heard", "so", LETTERS), "so " * 9, DataError, "a.wav: the prompt is too long for the rec"),
        (evidence(*SINK), "i think so " * 9, DataError, "a.wav: the prompt is too long for the recording: 63 sounds"),
        (evidence(*SINK), None, UsageError, "the model gives no meaning: say by --text"),
        (evidence("en", "heard", "so", LETTERS, ""), None, DataError, "a.wav: no speech was recognized"),
        (evidence("ko", "heard", "네", ["네"]), "뭐", DataError, "a.wav: .* the model does not know 뭐"),
    ],
)
def test_what_cannot_be_judged(heard, prompt, error, why):
    with pytest.raises(error, match=why):
        give_feedback(heard, prompt, Tips(heard.language))


def test_the_chance_grows_with_goodness():
    assert 0 <= chance(0.0) < chance(1e-6) < 0.1 < 0.5 < chance(1e-2) < chance(1.0) < 1


def test_feedback_on_a_terminal():
    told = give_feedback(evidence(*SINK), "I think so", Tips("en"))
    lines = as_text(told, Tips("en")).splitlines()
    assert lines[2:5] == [
        "meant  i   think      so",
        "due    aɪ  [θ] ɪ ŋ k  s oʊ",
        "said   aɪ  [s] ɪ ŋ k  s oʊ",
    ]
    assert re.match(r" 1\. think  0\.\d-0\.\d s, chance that it was said right: \d+ %$", lines[7])
    many = replace(told, words=tuple(replace(told.words[n % 3], start=float(n)) for n in range(27)))
    assert max(map(len, as_text(many, Tips("en")).splitlines()[:12])) <= 100
    assert "More words, less certain: think, think, think, think" in as_text(many, Tips("en"))


def test_feedback_as_json():
    record = json.loads(as_json(give_feedback(evidence(*SINK), "I think so", Tips("en"))))
    assert record["words"][1]["sounds"][0] == {
        "due": "TH",
        "said": "S",
        "score": record["words"][1]["score"],
        "verdict": "wrong",
    }
    assert record["wrong_below"] < record["unsure_below"]


@pytest.mark.parametrize("written", ["en", "ko"])
def test_a_page_that_needs_nothing_else(written):
    heard = evidence(*SINK)
    tips = Tips("en", written)
    told = give_feedback(replace(heard, name="<b>&.wav"), "I think so", tips)
    page = as_page(told, tips, written, heard.samples, heard.rate)
    assert not re.search(r'(src|href)="(?!data:)', page) and "http" not in page.replace("http-equiv", "")
    assert "&lt;b&gt;&amp;.wav" in page and "<b>" not in page
    audio = re.search(r"data:audio/wav;base64,([\w+/=]+)", page)[1]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(audio)), dtype="float32")
    assert rate == RATE and np.allclose(samples, heard.samples, atol=1e-4)
    zone = re.search(r'class="zone" style="left: ([\d.]+)%; width: ([\d.]+)%" data-start="([\d.]+)"', page)
    assert np.isclose(float(zone[1]), 100 * float(zone[3]) / told.seconds, atol=0.01)
    assert page.count("<button") == page.count("aria-label=\"" + ("Play “" if written == "en" else "“")) + 2
    assert f'<html lang="{written}">' in page and all(sentence in page for sentence in told.words[1].sentences)
