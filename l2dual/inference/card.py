"""What is to be known of a model before it is used: its card, and its figures."""

import json
import re
from pathlib import Path

from l2dual.scoring.agreement import WHISPER, written
from l2dual.scoring.results import read_results
from l2dual.text import LANGUAGES
from l2dual.text.units import NORMALIZER, RATES

CORPUS = {"simulated": "simulated learners (rules of errors, a synthesizer's voices)"}
NOT_FOR = "grading, hiring, admitting or diagnosing people"
CARD = """\
---
library_name: l2dual
language: {language}
license: {spdx}
tags: [automatic-speech-recognition, second-language, espnet]
---

# {system} of l2dual: {name}, surface written as {convention}

It writes {outputs} of second-language speech: the surface is what was pronounced, the meaning what was intended.

| | |
| --- | --- |
| system | {system}: {label}, seed {seed}, {size} million parameters |
| trained on | {corpus}{speakers} |
| licence of the data | {licence} |
{rests_on}| made by | l2dual, commit {commit} |

## Use

```python
import l2dual

model = l2dual.DualSpeech2Text.from_pretrained("model.zip")
print(model("recording.wav"))
```

or `l2dual transcribe --model model.zip recording.wav`. The archive is in ESPnet's format, but `asr_inference` knows no
model with two outputs.

## Figures

{figures}
{beside}{ratings}
## Limits

- Not for {not_for}: it errs, and more so at a learner's errors than elsewhere.
- It was tried on speech like that of its data only: not on other first languages, rooms or spontaneous speech.
- It takes one speaker at a time, in a quiet room.
- It takes speech sampled at {rate} Hz or more.
{limits}"""
RATED = {  # measures of agreement.json
    "rater: phone PCC": "phone PCC",
    "rater: errors, precision": "error precision",
    "rater: errors, recall": "error recall",
    "rater: errors, f1": "error F1",
    "word total PCC": "word total PCC",
    "utterance total PCC": "utterance total PCC",
}
OF_GROUPS = ("rater: phone PCC", "rater: errors, f1")  # also of the speakers' groups, as children
LICENCE = re.compile(r"CC (BY(?:-[A-Z]+)*) (\d\.\d)")
AGREEMENT = """
Its scores of pronunciation, beside those of people (docs/rating.md), with 95 % intervals over speakers:

"""
BESIDE = """
Beside what one has without it (docs/rating.md), with 95 % intervals over speakers; meanings as Whisper normalizes them:

"""
SIMULATED = """\
- It has heard a synthesizer only. On recordings of people it makes many more errors than the figures say; use it to try
  the program, and train on real speech.
"""


def figures(results: Path, system: str) -> list[dict]:
    """The error rates of a system in results.json, in percent: of all tokens, and of the learner's."""
    read = read_results(results)
    seeds = len({run.seed for run in read.meta.runs if run.system == system})
    about = {"corpus": read.meta.corpus, "utterances": read.meta.n_utts, "seeds": seeds}
    found = []
    for output, units in read.meta.units.items():
        for measure, unit in [*(("error_rate", unit) for unit in units), ("learner_error_rate", units[0])]:
            record = read.get(measure, system, output, unit=unit)
            if record is None or record.value is None:
                continue
            ends = [round(100 * end, 1) for end in record.interval] if record.interval else None
            one = {"output": output, "unit": RATES[unit], "percent": round(100 * record.value, 1), "interval": ends}
            found.append(one | about | ({} if measure == "error_rate" else {"at": "learner's tokens"}))
    return found


def beside(file: Path, system: str) -> list[dict]:
    """The error rates of a system and of Whisper as it comes, from baselines.json."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return [one for one in found if one["system"] in (system, WHISPER) and one["value"] is not None]


def agreements(file: Path, system: str) -> list[dict]:
    """How well a system's rater agrees with raters, from agreement.json: `RATED`, and `OF_GROUPS` of groups."""
    found = [one for one in json.loads(file.read_text(encoding="utf-8")) if one["system"] == system]
    own = [one for one in found if one["measure"] in (RATED if one["group"] == "all" else OF_GROUPS)]
    return [one for one in own if one["value"] is not None]


def compared(one: dict) -> str:
    """A record of baselines.json in a few words."""
    value, ends = written(one, 100, 1)
    unit = "points" if " − " in one["measure"] else "%"
    return f"{one['system']}: {one['measure']} {value} {unit} {ends}".rstrip()


def agreed(one: dict) -> str:
    """An agreement in a few words."""
    ends = one["interval"]
    group = "" if one["group"] == "all" else f"{one['group']}: "
    return f"{group}{RATED[one['measure']]} {one['value']:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def told(figure: dict) -> str:
    """A figure in a few words."""
    ends = figure["interval"]
    at = f" at {figure['at']}" if "at" in figure else ""
    told = f"{figure['output']} {figure['unit']}{at} {figure['percent']} %"
    return told + (f" [{ends[0]}, {ends[1]}]" if ends else "")


def card(facts: dict) -> str:
    """README.md of an archive.

    Args:
        facts: run.yaml, with figures, licence, speakers, parameters, rate and the encoders that it rests on.
    """
    lines = [f"- {told(one)}, on {one['utterances']} utterances of {one['corpus']}" for one in facts["figures"]]
    ratings = [f"- {agreed(one)}, on {one['utterances']} utterances" for one in facts.get("ratings", [])]
    others = [f"- {compared(one)}, on {one['utterances']} utterances" for one in facts.get("beside", [])]
    ours = "Error rates are means over the seeds of the study, with 95 % intervals where there are.\n"
    ours += f"Texts are compared in {NORMALIZER}.\n"
    ours += "*Learner's tokens* are those where the learner's surface is not the correct one.\n\n"
    simulated = facts["corpus"] == "simulated"
    return CARD.format(
        language=facts["language"],
        spdx="apache-2.0" if simulated else spdx(facts["licence"] or ""),
        system=facts["system"],
        name=LANGUAGES[facts["language"]],
        convention=facts["convention"],
        outputs=" and ".join(f"the {output}" for output in facts["outputs"]),
        label=facts["label"],
        seed=facts["seed"],
        size=round(facts["parameters"] / 1e6, 1),
        corpus=CORPUS.get(facts["corpus"], facts["corpus"]),
        speakers="".join(f"; {_counted(of)}" for of in facts["speakers"] if of),
        rests_on="".join(f"| rests on | {_source(name, of)} |\n" for name, of in facts["rests_on"].items()),
        licence=facts["licence"] or "not known",
        commit=facts["commit"],
        figures=ours + "\n".join(lines) if lines else "It has not been scored.",
        beside=BESIDE + "\n".join(others) + "\n" if others else "",
        ratings=AGREEMENT + "\n".join(ratings) + "\n" if ratings else "",
        not_for=NOT_FOR,
        rate=facts["rate"],
        limits=SIMULATED if simulated else "",
    )


def spdx(licence: str) -> str:
    """The name that the hub gives to a licence."""
    found = LICENCE.match(licence)
    return f"cc-{found[1]}-{found[2]}".lower() if found else "other"


def _counted(speakers: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(speakers.items())) + " speakers"


def _source(name: str, source: dict) -> str:
    """A pretrained encoder that is not in the archive."""
    known = ", ".join(f"{key} {source[key]}" for key in ("model", "licence") if key in source)
    return f"{name} ({known or 'see docs/encoders.md'}), not in this file: get it by `l2dual get_whisper`"
