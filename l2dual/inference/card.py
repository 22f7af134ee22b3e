"""What is to be known of a model before it is used: its card, and its figures."""

import json
from pathlib import Path

from l2dual.scoring.results import read_results
from l2dual.text import LANGUAGES
from l2dual.text.units import RATES

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
| trained on | {corpus} |
| licence of the data | {licence} |
| made by | l2dual, commit {commit} |

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
{ratings}
## Limits

- Not for {not_for}: it errs, and more so at a learner's errors than elsewhere.
- It knows the words, voices and first languages that it was trained on, one speaker at a time, in a quiet room.
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
AGREEMENT = """
Its scores of pronunciation, beside those of people (docs/rating.md), with 95 % intervals over speakers:

"""
SIMULATED = """\
- It has heard a synthesizer only. On recordings of people it makes many more errors than the figures say; use it to try
  the program, and train on real speech.
"""


def figures(results: Path, system: str) -> list[dict]:
    """The error rates of a system in results.json, in percent, with their intervals."""
    read = read_results(results)
    seeds = len({run.seed for run in read.meta.runs if run.system == system})
    about = {"corpus": read.meta.corpus, "utterances": read.meta.n_utts, "seeds": seeds}
    found = []
    for output, units in read.meta.units.items():
        for unit in units:
            record = read.get("error_rate", system, output, unit=unit)
            if record is None or record.value is None:
                continue
            ends = [round(100 * end, 1) for end in record.interval] if record.interval else None
            rate = round(100 * record.value, 1)
            found.append({"output": output, "unit": RATES[unit], "percent": rate, "interval": ends} | about)
    return found


def agreements(file: Path, system: str) -> list[dict]:
    """How well a system's rater agrees with raters, from agreement.json: those of `RATED`, on all utterances."""
    found = json.loads(file.read_text(encoding="utf-8"))
    own = [one for one in found if (one["system"], one["group"]) == (system, "all") and one["measure"] in RATED]
    return [one for one in own if one["value"] is not None]


def agreed(one: dict) -> str:
    """An agreement in a few words."""
    ends = one["interval"]
    return f"{RATED[one['measure']]} {one['value']:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def told(figure: dict) -> str:
    """A figure in a few words."""
    ends = figure["interval"]
    return f"{figure['output']} {figure['unit']} {figure['percent']} %" + (f" [{ends[0]}, {ends[1]}]" if ends else "")


def card(facts: dict) -> str:
    """README.md of an archive.

    Args:
        facts: run.yaml, with figures, licence, parameters and rate.
    """
    lines = [f"- {told(one)}, on {one['utterances']} utterances of {one['corpus']}" for one in facts["figures"]]
    ratings = [f"- {agreed(one)}, on {one['utterances']} utterances" for one in facts.get("ratings", [])]
    ours = "Error rates are means over the seeds of the study, with 95 % intervals where there are.\n\n"
    simulated = facts["corpus"] == "simulated"
    return CARD.format(
        language=facts["language"],
        spdx="apache-2.0" if simulated else "other",
        system=facts["system"],
        name=LANGUAGES[facts["language"]],
        convention=facts["convention"],
        outputs=" and ".join(f"the {output}" for output in facts["outputs"]),
        label=facts["label"],
        seed=facts["seed"],
        size=round(facts["parameters"] / 1e6, 1),
        corpus=CORPUS.get(facts["corpus"], facts["corpus"]),
        licence=facts["licence"] or "not known",
        commit=facts["commit"],
        figures=ours + "\n".join(lines) if lines else "It has not been scored.",
        ratings=AGREEMENT + "\n".join(ratings) + "\n" if ratings else "",
        not_for=NOT_FOR,
        rate=facts["rate"],
        limits=SIMULATED if simulated else "",
    )
