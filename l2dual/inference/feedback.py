"""What was meant, how it was said, where they differ, and what to do about it.

Where the surface is in phones, each phone that was due is judged (`l2dual.inference.pronunciation`), and
rated where the model has a rater (`l2dual.inference.rater`).
Where it is in letters, each word that was due is set against the word that the model heard in its
place, by the likelihoods of the whole text with the one and with the other; the sounds of both words
are those of `l2dual.text`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from l2dual.data.tokens import build_tokenizer, tokens_to_text
from l2dual.errors import DataError, UsageError
from l2dual.inference.clues import clues
from l2dual.inference.listening import Recording
from l2dual.inference.pronunciation import JudgedToken, aligned, indices, judge, log_likelihood, share
from l2dual.inference.rater import Raters, Ratings
from l2dual.inference.recognizer import DualSpeech2Text
from l2dual.inference.result import JudgedSound, JudgedWord
from l2dual.inference.timing import Clock, Span
from l2dual.inference.tips import Tips
from l2dual.text import BLANK, LANGUAGES, SOS_EOS, UNKNOWN, english, korean
from l2dual.text.cleaning import SPOKEN, plain
from l2dual.text.hangul import decompose
from l2dual.text.lexicon import Lexicon
from l2dual.text.phones import ERROR
from l2dual.text.units import align, normalize

PUT_IN_BELOW = 1e-3  # goodness of a place where nothing was due: less, and a sound was put in
CHANCE = (4.61, 0.711)  # of the logistic from log goodness to that chance; docs/feedback.md
CLEAR = 0.5  # goodness from which a sound that a rater calls wrong was not another one
FIRST = 5  # words with errors that are shown first
UNCLEAR = 0.5  # of a word's sounds: where more are wrong the word is, not its sounds
HEARD = 0.5  # of the text's sounds: where fewer are likely, another text was said
READING = 2.0  # by how much a less usual pronunciation must fit better, in natural logarithms
WEAK = ("IH", "UH", "EH")  # what a weak vowel (AX) may be as well
LONGEST = 30.0  # seconds of a recording
SIGNS = re.compile(rf"{SPOKEN.pattern}|[@#+=×÷±]")
SCRIPTS = {"en": re.compile(r"[A-Za-zÀ-ɏ]"), "ko": re.compile("[가-힣]")}


@dataclass(frozen=True)
class Evidence:
    """One recording, and what a model's surface makes of it."""

    name: str
    samples: np.ndarray  # (T,), mono, in [-1, 1]
    rate: int  # Hz
    language: str  # en or ko
    convention: str  # heard or pronounced
    surface: str  # as the CTC writes it, without knowing the prompt
    meaning: str | None
    log_probs: np.ndarray  # of the surface's CTC, natural logarithms, (T', V)
    vocabulary: list[str]  # V tokens, the blank first
    tokenize: Callable[[str], list[str]]  # a text into the vocabulary's tokens
    clock: Clock  # of the frames
    raters: Raters | None = None
    lexicon: Lexicon = field(default_factory=Lexicon)

    @property
    def seconds(self) -> float:
        """Of the recording."""
        return len(self.samples) / self.rate

    @property
    def limits(self) -> "Limits":
        """Of errors."""
        return TAUGHT if self.raters else UNTAUGHT


class Limits(NamedTuple):
    """Chances that a sound was right, below which it is called so."""

    wrong: float
    unsure: float

    def verdict(self, score: float) -> str:
        """What a chance is called."""
        return "wrong" if score < self.wrong else "unsure" if score < self.unsure else "right"


TAUGHT = Limits(0.5, 0.75)  # with a rater
UNTAUGHT = Limits(0.3, 0.7)  # without one: strict on purpose


@dataclass(frozen=True)
class Feedback:
    """The advice on one recording."""

    name: str
    seconds: float
    language: str
    convention: str
    prompt: str
    prompt_is_given: bool  # or the model's own meaning
    surface: str  # the model's, without knowing the prompt
    words: tuple[JudgedWord, ...]
    notes: tuple[str, ...]
    limits: Limits
    ratings: dict[str, float]  # what raters would give to the whole, 0 to 10; empty without a rater

    @property
    def errors(self) -> tuple[list[JudgedWord], list[JudgedWord]]:
        """The words whose errors are the most certain, and the other words with errors; in order of time."""
        wrong = [word for word in self.words if word.verdict == "wrong"]
        first = sorted(wrong, key=lambda word: word.score)[:FIRST]
        return [word for word in wrong if word in first], [word for word in wrong if word not in first]

    @property
    def unheard(self) -> bool:
        """Whether most of the text was not heard: then nothing is judged."""
        return any(word.verdict == "unheard" for word in self.words)

    @property
    def unsure(self) -> list[JudgedWord]:
        """Words that may differ, in order."""
        return [word for word in self.words if word.verdict == "unsure"]


def evidence(recognizer: DualSpeech2Text, recording: Recording, with_meaning: bool) -> Evidence:
    """What a model hears in a recording; its meaning, which takes a search, only if it is asked for.

    Raises:
        DataError: the recording can't be used, or is longer than 30 s.
        UsageError: the model's surface has no CTC, or is in subwords.
    """
    heard = recognizer.listen(recording)
    if heard.seconds > LONGEST:
        raise DataError(
            f"{heard.name}: {heard.seconds:.0f} s long; feedback is on one utterance: "
            f"cut it into parts of at most {LONGEST:.0f} s"
        )
    kind = recognizer.token_types.get("surface", "")
    log_probs = recognizer.posteriors(heard).get("surface")
    if log_probs is None or kind in ("bpe", "whisper"):
        why = "no CTC on the surface" if log_probs is None else "its surface in subwords, not sounds or letters"
        raise UsageError(f"the model has {why}, which feedback needs: choose another (l2dual models)")
    vocabulary = recognizer.token_lists["surface"]
    best = [vocabulary[index] for index in log_probs.argmax(dim=-1).unique_consecutive().tolist()]
    surface = tokens_to_text([token for token in best if token not in (BLANK, UNKNOWN, SOS_EOS)], kind)
    found = recognizer.recognize([heard])[0].meaning if with_meaning else None
    return Evidence(
        Path(heard.name).name, heard.samples, recognizer.rate, recognizer.language, recognizer.convention,
        surface, found.text if found else None, log_probs.numpy(), vocabulary,
        build_tokenizer(kind).text2tokens, recognizer.clock, recognizer.raters, recognizer.lexicon,
    )  # fmt: skip


def give_feedback(heard: Evidence, prompt: str | None, tips: Tips) -> Feedback:
    """Judge a recording against ``prompt``, or against the model's own meaning where it is None.

    Raises:
        UsageError: the prompt is empty or in another language.
        DataError: it can't be said, or is too long for the recording; nothing was said.
    """
    text = checked(prompt, heard)
    try:
        words, heard_right, ratings = (_by_phones if _has_phones(heard) else _by_letters)(heard, text, tips)
    except DataError as error:
        raise DataError(f"{heard.name}: {error}") from None
    notes = [] if prompt is not None else [tips.phrases["own_meaning"]]
    if heard.language == "en" and (guessed := _guessed(heard, text)):
        notes.append(tips.phrases["guessed"].format(words=", ".join(f"“{word}”" for word in guessed)))
    if np.mean(heard_right) < HEARD:
        notes.insert(0, tips.phrases["mismatch"])
        words, ratings = list(map(_unheard, words)), {}
    return Feedback(
        heard.name, heard.seconds, heard.language, heard.convention, text, prompt is not None,
        heard.surface, tuple(words), tuple(notes), heard.limits, ratings,
    )  # fmt: skip


def _guessed(heard: Evidence, text: str) -> list[str]:
    return [word for word in english.unlisted(text) if word not in heard.lexicon.words]


def _unheard(word: JudgedWord) -> JudgedWord:
    """A word of a text that was not said."""
    sounds = tuple(replace(sound, said="", verdict="unheard") for sound in word.sounds if sound.due)
    return replace(word, sounds=sounds, verdict="unheard", sentences=(), ratings={})


def checked(prompt: str | None, heard: Evidence) -> str:
    """The text to judge against, without punctuation; an error where there is none, or another's."""
    if prompt is None:
        if heard.meaning is None:
            raise UsageError("the model gives no meaning: say by --text what was to be said")
        if not (text := normalize(heard.meaning)):
            raise DataError(f"{heard.name}: no speech was recognized; record it again, or give --text")
        return text
    text = plain(prompt)
    if not text:
        raise UsageError("the text is empty: give the text that was to be said, or none")
    if sign := SIGNS.search(prompt):
        raise UsageError(f"'{prompt}': nobody knows how '{sign[0]}' was to be said: write it in words")
    letters = "".join(filter(str.isalpha, text))
    if len(SCRIPTS[heard.language].findall(letters)) * 2 < len(letters):
        raise UsageError(
            f"'{prompt}' is not {LANGUAGES[heard.language]}, the model's language; "
            "give the text that was to be said, or another model"
        )
    return text


def chance(goodness: float) -> float:
    """The chance that raters call a sound right, given its goodness of pronunciation.

    Fitted on the development speakers of speechocean762, whose raters' mean mark was above 1 of 2;
    with other speakers, languages or models it is a guess.
    """
    return float(expit(CHANCE[0] + CHANCE[1] * np.log(max(goodness, 1e-12))))


def _has_phones(heard: Evidence) -> bool:
    return (heard.language, heard.convention) == ("en", "pronounced")


class Advised(NamedTuple):
    """Words, whether each of their sounds was heard by the CTC, and what raters would give to the whole."""

    words: list[JudgedWord]
    heard: list[bool]
    ratings: dict[str, float]


def _by_phones(heard: Evidence, text: str, tips: Tips) -> Advised:
    readings = likeliest_readings(heard, english.words(text))
    by_word = [english.plain(phones).split() for _, phones in readings]
    due = [phone for phones in by_word for phone in phones]
    found = judge(heard.log_probs, heard.vocabulary, due, heard.clock, heard.seconds)
    rated, words, place = _rated(heard, by_word), [], 0
    for number, (word, phones) in enumerate(readings):
        sounds = []
        for index, phone in enumerate(phones, place):
            token, gap = found.tokens[index], found.gaps[index]
            if gap.score < min(PUT_IN_BELOW, token.score) and gap.said != ERROR:
                sounds.append(JudgedSound("", gap.said, chance(gap.score), "wrong"))
            if phone == "AX" and token.said in WEAK:
                sounds.append(JudgedSound(token.due, token.due, None, "right"))
                continue
            score = chance(token.score)
            if rated and heard.raters:
                score = heard.raters.chance(rated.phones[index])
            sounds.append(_sound(token, score, heard.limits))
        place += len(phones)
        here = found.tokens[place - len(phones) : place]
        own = {name: scores[number] for name, scores in rated.words.items()} if rated else {}
        words.append(replace(_word(word, sounds, here[0].start, here[-1].end, tips), ratings=own))
    likely = [UNTAUGHT.verdict(chance(token.score)) == "right" for token in found.tokens]
    return Advised(words, likely, rated.whole if rated else {})


def _rated(heard: Evidence, due: list[list[str]]) -> Ratings | None:
    if heard.raters is None:
        return None
    return heard.raters.rate([clues(heard.log_probs, heard.vocabulary, due, heard.clock.step)])[0]


def _sound(token: JudgedToken, score: float, limits: Limits) -> JudgedSound:
    told = limits.verdict(score)
    said = ERROR if token.score > CLEAR else token.said
    return JudgedSound(token.due, token.due if told == "right" else said, score, told)


def likeliest_readings(heard: Evidence, words: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each word with its usual pronunciation, or with another one of the lexicon that fits the recording
    much better; the weak vowel is AX."""
    known = set(heard.vocabulary)
    every = [heard.lexicon.readings(word) for word in words]
    forms = [[form for form in some if known.issuperset(english.plain(form).split())] or some for some in every]
    chosen = [some[0] for some in forms]

    def fits(form: list[tuple[str, ...]]) -> float:
        due = english.plain(phone for phones in form for phone in phones).split()
        usual = sum(phones == some[0] for phones, some in zip(form, forms, strict=True))
        return log_likelihood(heard.log_probs, indices(heard.vocabulary, due)) + READING * usual

    for i, some in enumerate(forms):
        if len(some) > 1:
            chosen = max(([*chosen[:i], form, *chosen[i + 1 :]] for form in some), key=fits)
    return list(zip(words, chosen, strict=True))


def _by_letters(heard: Evidence, text: str, tips: Tips) -> Advised:
    said_in_hangul = heard.language == "ko" and heard.convention == "pronounced"
    due = normalize(korean.nearest(text, heard.surface) if said_in_hangul else text)
    words, shown = due.split(), text.split()
    if len(words) != len(shown):
        shown = words

    def ids(changed: list[str]) -> list[int]:
        return indices(heard.vocabulary, heard.tokenize(" ".join(changed)))

    tokens = heard.tokenize(due)
    n_tokens = [len(heard.tokenize(" ".join(words[:k]))) for k in range(len(words) + 1)]
    whole = log_likelihood(heard.log_probs, ids(words))
    spans = _spans(heard, ids(words))
    found = []
    for k, (word, other) in enumerate(zip(words, said_words(words, heard.surface), strict=True)):
        score = 1.0
        if other != word:
            rest_words = [*words[:k], *([other] if other else []), *words[k + 1 :]]
            rest = log_likelihood(heard.log_probs, ids(rest_words) if rest_words else [])
            score = share(whole, np.array([rest]))
        sounds = sounds_between(word, other, score, heard.language)
        first = n_tokens[k] + (tokens[n_tokens[k]] == "<space>")
        start, end = spans[first].start, spans[n_tokens[k + 1] - 1].end
        found.append(_word(shown[k], sounds, start, end, tips))
    return Advised(found, [sound.verdict == "right" for word in found for sound in word.sounds], {})


def _spans(heard: Evidence, ids: list[int]) -> list[Span]:
    frames = len(heard.log_probs)
    if frames == 0 or log_likelihood(heard.log_probs, ids) == -np.inf:
        raise DataError(
            f"the prompt is too long for the recording: {len(ids)} letters in {frames} frames; "
            "check that the prompt is what was said"
        )
    return aligned(heard.log_probs, heard.vocabulary, ids, heard.clock, heard.seconds)


def said_words(words: list[str], surface: str) -> list[str]:
    """What stands in ``surface`` for each of ``words``, by the alignment of their letters."""
    found, place = [""] * len(words), 0
    for due, said in align(" ".join(words), normalize(surface), "char"):
        if said is not None and said != " ":
            found[place] += said
        place += due == " "
    return found


def sounds_between(word: str, other: str, score: float, language: str) -> list[JudgedSound]:
    """The sounds of ``word``, and those of ``other`` where they differ; ``score`` is the word's."""
    told = UNTAUGHT.verdict(score)
    due = sounds_of(word, language)
    if told == "right":
        return [JudgedSound(phone, phone, None, told) for phone in due]
    pairs = align(" ".join(due), " ".join(sounds_of(other, language) if other else []), "phone")
    return [
        JudgedSound(one or "", two or "", None if one == two else score, "right" if one == two else told)
        for one, two in pairs
    ]


def sounds_of(word: str, language: str) -> list[str]:
    """The phones, or the letters as they sound, of a word; DataError if it can't be said."""
    if language == "en":
        return english.pronounce(word).split()
    sounds: list[str] = []
    for syllable in map(decompose, korean.pronounce(word).replace(" ", "")):
        sounds += filter(None, (syllable.onset, syllable.nucleus, syllable.coda and f"-{syllable.coda}"))
    return sounds


def _word(text: str, sounds: list[JudgedSound], start: float | None, end: float | None, tips: Tips) -> JudgedWord:
    """Put the sounds of a word together, and say what is wrong."""
    wrong = [sound for sound in sounds if sound.verdict == "wrong"]
    scores = [sound.score for sound in sounds if sound.score is not None]
    told = next((v for v in ("wrong", "unsure") if any(s.verdict == v for s in sounds)), "right")
    if wrong and all(not sound.said for sound in sounds):
        sentences = [tips.phrases["skipped"]]
    elif len(wrong) > 2 and len(wrong) > UNCLEAR * len(sounds):
        sentences = [tips.phrases["unclear"]]
    else:
        sentences = [tips.sentence(sound.due, sound.said) for sound in wrong]
    return JudgedWord(text, tuple(sounds), min(scores, default=1.0), told, start or 0.0, end or 0.0, tuple(sentences))
