"""Korean prompts: our own sentences, generated from the words and clauses of data/ko.prompts.yaml.

A sentence has 3 to 7 words and 6 to 20 syllables: a time, someone or something, a place, an object,
and a verb in a polite or formal form that fits the time.
"""

import random
from collections import Counter
from functools import cache
from pathlib import Path

import yaml

from l2dual.errors import DataError
from l2dual.text.hangul import decompose, has_coda, with_coda

DATA = Path(__file__).parent / "data" / "ko.prompts.yaml"
N_SENTENCES = 8000
MOST_OF_LENGTH = 650  # sentences with one number of syllables: short and long ones alike
WORDS, SYLLABLES = range(3, 8), range(6, 21)
KINDS = ("actions", "states", "events")
PARTICLES = {"topic": ("은", "는"), "subject": ("이", "가"), "object": ("을", "를")}


def sentences(seed: int) -> list[str]:
    """The N_SENTENCES distinct prompts, the same for every seed, in an order that it decides."""
    shuffled = list(_all_sentences())
    random.Random(seed).shuffle(shuffled)
    return shuffled


@cache
def _all_sentences() -> tuple[str, ...]:
    phrasebook = Phrasebook(yaml.safe_load(DATA.read_text(encoding="utf-8")))
    rng = random.Random(0)
    found: dict[str, None] = {}
    n_of_length = Counter()
    for _ in range(20 * N_SENTENCES):
        sentence = phrasebook.sentence(rng)
        n_syllables = len(sentence.replace(" ", ""))
        if len(sentence.split()) not in WORDS or n_syllables not in SYLLABLES:
            continue
        if sentence not in found and n_of_length[n_syllables] < MOST_OF_LENGTH:
            found[sentence] = None
            n_of_length[n_syllables] += 1
        if len(found) == N_SENTENCES:
            return tuple(found)
    raise DataError(f"{DATA}: only {len(found)} sentences; add words or clauses")


class Phrasebook:
    """The words and clauses of the data file; ``sentence(rng)`` draws one sentence."""

    def __init__(self, data: dict) -> None:
        self.groups = data["groups"]
        self.times = {tense: words.split() for tense, words in data["times"].items()}
        self.state_times = {tense: words.split() for tense, words in data["state_times"].items()}
        self.degrees = data["degrees"]
        self.clauses = [(kind, clause) for kind in KINDS for clause in data[kind]]
        for _, clause in self.clauses:
            if len(clause["verb"].split()) != 3:
                raise DataError(f"{DATA}: verb '{clause['verb']}': give three bases")

    def sentence(self, rng: random.Random) -> str:
        kind, clause = rng.choice(self.clauses)
        tense = rng.choice(clause.get("tense", "past present future").split())
        words = getattr(self, kind)(clause, tense, rng)
        return " ".join(words).replace("_", " ")

    def actions(self, clause: dict, tense: str, rng: random.Random) -> list[str]:
        """Somebody does something: 동생이 학교에서 책을 읽었어요."""
        words = self._time(tense, rng)
        mine = "who" not in clause and rng.random() < 0.3
        if mine and rng.random() < 0.7:
            words.append(_with_particle(rng.choice(self.groups["self"].split()), "topic"))
        elif not mine:
            who = self._nouns(clause, "who") or self.groups["people"].split()
            words.append(_with_particle(rng.choice(who), rng.choice(("topic", "subject"))))
        place, manner = [], []
        if "to" in clause or ("where" in clause and ("what" not in clause or rng.random() < 0.6)):
            place = [self._place(clause, rng)]
        if "by" in clause and rng.random() < 0.6:
            manner = [rng.choice(self._nouns(clause, "by"))]
        words += rng.choice((place + manner, manner + place)) + self._object(clause, rng)
        return words + [_action(clause["verb"].split(), tense, mine, rng)]

    def states(self, clause: dict, tense: str, rng: random.Random) -> list[str]:
        """Something is so: 오늘 날씨가 아주 좋아요."""
        time = [rng.choice(self.state_times[tense])] if rng.random() < 0.6 else []
        subject = _with_particle(rng.choice(self._nouns(clause, "who")), "subject")
        degree = rng.choice(clause.get("degrees", self.degrees).split())
        return time + [subject, degree, _state(clause["verb"].split(), tense, rng)]

    def events(self, clause: dict, tense: str, rng: random.Random) -> list[str]:
        """Something happens: 산에 꽃이 피었어요."""
        subject = _with_particle(rng.choice(self._nouns(clause, "who")), "subject")
        place_and_subject = rng.sample([self._place(clause, rng), subject], 2)
        words = self._time(tense, rng) + place_and_subject + self._object(clause, rng)
        return words + [_event(clause["verb"].split(), tense, rng)]

    def _nouns(self, clause: dict, key: str) -> list[str]:
        words = clause.get(key, "")
        return (self.groups[words[1:]] if words.startswith("@") else words).split()

    def _time(self, tense: str, rng: random.Random) -> list[str]:
        return [rng.choice(self.times[rng.choice((tense, "any"))])] if rng.random() < 0.7 else []

    def _place(self, clause: dict, rng: random.Random) -> str:
        key, particle = ("to", "에") if "to" in clause else ("where", "에서")
        return rng.choice(self._nouns(clause, key)) + particle

    def _object(self, clause: dict, rng: random.Random) -> list[str]:
        if "what" not in clause:
            return []
        words = [_with_particle(rng.choice(self._nouns(clause, "what")), "object")]
        if "how" in clause and rng.random() < 0.5:
            words.insert(0, rng.choice(self._nouns(clause, "how")))
        return words


def _with_particle(noun: str, particle: str) -> str:
    closed, open_ = PARTICLES[particle]
    return noun + (closed if has_coda(noun) else open_)


def _past(infinitive: str) -> str:
    return with_coda(infinitive, "ㅆ") + "어요"


def _past_formal(infinitive: str) -> str:
    return with_coda(infinitive, "ㅆ") + "습니다"


def _formal(stem: str, eu: str) -> str:
    if decompose(stem[-1]).coda in ("", "ㄹ"):
        return with_coda(eu, "ㅂ") + "니다"
    return stem + "습니다"


def _future(eu: str) -> str:
    return with_coda(eu, "ㄹ") + " 거예요"


def _action(verb: list[str], tense: str, mine: bool, rng: random.Random) -> str:
    stem, infinitive, eu = verb
    if tense == "past":
        return rng.choice((_past(infinitive), _past_formal(infinitive)))
    if tense == "present":
        polite, formal = infinitive + "요", _formal(stem, eu)
        return rng.choice((polite, polite, formal, formal, stem + "고 있어요", stem + "지 않아요"))
    return stem + "고 싶어요" if mine and rng.random() < 0.6 else _future(eu)


def _state(verb: list[str], tense: str, rng: random.Random) -> str:
    stem, infinitive, eu = verb
    if tense == "past":
        return _past(infinitive)
    if tense == "present":
        return rng.choice((infinitive + "요", _formal(stem, eu)))
    return _future(eu)


def _event(verb: list[str], tense: str, rng: random.Random) -> str:
    if tense == "present" and rng.random() < 0.3:
        return verb[0] + "고 있어요"
    return _state(verb, tense, rng)
