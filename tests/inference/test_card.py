"""What a model's card says, beyond what test_archive.py asks of a packed one."""

import json

import pytest

from l2dual.inference.card import beside, card, spdx

FACTS = {
    "language": "en",
    "system": "do_split",
    "convention": "pronounced",
    "outputs": ["surface", "meaning"],
    "label": "both",
    "seed": 2,
    "parameters": 3_960_000,
    "corpus": "speechocean762",
    "licence": "CC BY 4.0 (OpenSLR 101); free for commercial and non-commercial use",
    "commit": "abc",
    "rate": 16000,
    "figures": [],
    "speakers": [{"mandarin": 111}, {"child": 56, "adult": 55}],
    "rests_on": {"whisper-base": {"model": "openai/whisper-base", "licence": "MIT", "sha256": []}},
    "ratings": [
        {"group": group, "measure": "rater: errors, f1", "value": value, "interval": None, "utterances": 620}
        for group, value in (("all", 0.62), ("child", 0.43))
    ],
}


def test_it_says_who_spoke_what_it_rests_on_and_how_well_children_are_rated():
    text = card(FACTS)
    assert "| trained on | speechocean762; 111 mandarin speakers; 55 adult, 56 child speakers |\n" in text
    assert "| rests on | whisper-base (model openai/whisper-base, licence MIT), not in this file: get it by" in text
    assert "- error F1 0.62, on 620 utterances\n- child: error F1 0.43, on 620" in text
    assert "\nlicense: cc-by-4.0\n" in text and "Not for grading" in text


def test_it_stands_beside_whisper(tmp_path):
    keys = ("system", "measure", "value", "interval", "utterances")
    rows = [
        ("Whisper as it comes", "meaning, WER", 0.345, [0.277, 0.42], 1240),
        ("do_split", "surface − phones of the meaning, PER", -0.01, [-0.02, 0.005], 1240),
        ("do_split", "meaning, WER", None, None, 0),
        ("so_meaning", "meaning, WER", 0.2, None, 1240),
    ]
    (tmp_path / "baselines.json").write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
    text = card(FACTS | {"beside": beside(tmp_path / "baselines.json", "do_split")})
    assert """
- Whisper as it comes: meaning, WER 34.5 % [27.7, 42.0], on 1240 utterances
- do_split: surface − phones of the meaning, PER −1.0 points [−2.0, 0.5], on 1240 utterances

Its scores""" in text
    assert "so_meaning" not in text and "Beside what one has" not in card(FACTS)


def test_what_is_not_known_is_left_out():
    text = card(FACTS | {"speakers": [{}, {}], "rests_on": {}, "ratings": [], "licence": None})
    assert "| trained on | speechocean762 |\n" in text and "rests on" not in text and "\nlicense: other\n" in text


@pytest.mark.parametrize("licence, name", [("CC BY-NC-ND 4.0: no", "cc-by-nc-nd-4.0"), ("AI-Hub terms", "other")])
def test_licences_have_the_names_of_the_hub(licence, name):
    assert spdx(licence) == name
