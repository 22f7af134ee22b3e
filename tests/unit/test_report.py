import base64
import csv
import io
import itertools
import json
import math
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from l2dual.analysis.gradients import gradient_records
from l2dual.corpora import Utterance
from l2dual.datadir import DataDir, write_datadir
from l2dual.divergence import BINS, bin_of, divergences
from l2dual.errors import DataError
from l2dual.inference import infer, load
from l2dual.report.examples import choose, columns_of, lay_out
from l2dual.report.entanglement import across, depth, interval_of, interval_over_seeds
from l2dual.report.ceilings import cka, nearer, over_seeds
from l2dual.report.findings import DO, WHOLE, Recipe, findings, grows, misses, recipe_of
from l2dual.report.both import gather_both
from l2dual.report.page import gather, render
from l2dual.report.plots import degradation_by_bin, error_by_bin
from l2dual.report.rates import bin_rows, comparisons, l1_rows
from l2dual.report.summary import summary
from l2dual.report.verdict import verdict
from l2dual.score import merge, score, write_records
from l2dual.stats import seed_interval
from l2dual.text import align

SYSTEMS = {"so_surface": ["surface"], "so_meaning": ["meaning"], "do": ["surface", "meaning"]}
TEXTS = {
    ("en", "heard"): [
        ("i think so", "i think so", "i think so"),
        ("i sink so too", "i think so too", "i think so too"),
        ("he laik de rais end bins", *["he likes the rice and beans"] * 2),
        ("za riber iz wery berry rong", *["the liver is very very long"] * 2),
    ],
    ("en", "pronounced"): [
        ("AY TH IH NG K", "AY TH IH NG K", "i think"),
        ("AY S IH NG K S OW <err>", "AY TH IH NG K S OW", "i think so"),
    ],
    ("ko", "heard"): [
        ("나는 학교에 가요", "나는 학교에 가요", "나는 학교에 가요"),
        ("나눈 하꾜에 카요", "나는 학교에 가요", "나는 학교에 가요"),
    ],
}


def corrupt(text, unit, rate, rng):
    """A hypothesis for ``text``: some tokens dropped, doubled or replaced."""
    tokens = list(text) if unit == "char" else text.split()
    out = []
    for token in tokens:
        edit = rng.choice("dis") if rng.random() < rate else ""
        out += {"": [token], "d": [], "i": [token, token], "s": [rng.choice(tokens)]}[edit]
    return ("" if unit == "char" else " ").join(out)


def make_recipe(
    path, language="en", convention="heard", seeds=(1,), utts=24, surface_from="annotated"
):
    """A recipe directory with data, hypotheses, scores and CKA, as the stages leave it."""
    rng = random.Random(0)
    phone = (language, convention) == ("en", "pronounced")
    corpus = "recorded" if phone or surface_from != "annotated" else "simulated"
    info = {"corpus": corpus, "language": language, "convention": convention}
    info |= {"surface_unit": "phone" if phone else "char", "meaning_unit": "char"}
    info |= {"sampling_rate": 16000, "surface": surface_from}
    info |= {"speakers": {"test": 9}, "audio_format": "flac"}
    info |= {} if phone else {"preset": "mini"}
    for split in ("train", "test"):
        found = []
        for i in range(utts):
            surface, canonical, meaning = rng.choice(TEXTS[language, convention])
            if surface_from != "annotated":
                surface = canonical = canonical if surface_from == "assumed" else None
            audio = path / f"audio/{split} {i}.flac"
            audio.parent.mkdir(parents=True, exist_ok=True)
            wave = 0.3 * np.sin(np.arange(8000) * (0.1 + 0.01 * i)) * np.hanning(8000)
            soundfile.write(audio, wave, 16000)
            speaker = f"{split}{i % 9:02d}"
            texts = {"surface": surface, "meaning": meaning, "canonical": canonical}
            l1 = ("kor", "cmn", "jpn")[i % 3]
            found.append(Utterance(f"{speaker}-{i:03d}", split, speaker, audio, l1=l1, **texts))
        write_datadir(path / "data" / split, found, info)
    data = DataDir.load(path / "data/test")
    scores = []
    for system, outputs in SYSTEMS.items():
        if surface_from == "none" and system != "so_meaning":
            continue
        for seed in seeds:
            exp = path / f"exp/{system}_seed{seed}"
            run = {"system": system, "seed": seed, "outputs": outputs, "corpus": corpus}
            run |= {"language": language, "convention": convention, "data": str(path / "data")}
            run |= {"surface": surface_from}
            run |= {"train_config": "conf/train_mini.yaml", "commit": "abc", "command": "./run.sh"}
            decode = exp / "decode/test"
            decode.mkdir(parents=True)
            (exp / "run.yaml").write_text(yaml.safe_dump(run))
            write_losses(exp / "tensorboard/train", {n: 9 / n for n in range(10, 100, 10)})
            write_losses(exp / "tensorboard/valid", {n: 8 / n for n in (30, 60, 90)})
            cosines = {20: float("nan"), 40: 0.6, 50: 0.2, 70: -0.2, 90: 0.9}  # 90 ends an epoch
            write_losses(exp / "tensorboard/train", cosines, "gradient_cosine_block1")
            for output in outputs:
                table = data[f"text.{output}"]
                unit = info[f"{output}_unit"]
                rate = 0.15 if system == "do" else 0.1
                lines = (f"{u} {corrupt(t, unit, rate, rng)}\n" for u, t in table.items())
                (decode / f"text.{output}").write_text("".join(lines))
            found = score(data, decode, exp / "run.yaml", "conf/d.yaml", decode)
            write_records(decode / "score.json", found)
            scores.append(decode / "score.json")
    write_records(path / "exp/results.json", merge(scores))
    study = load([score_file.parent for score_file in scores])
    inferred = infer(study, data)
    inferred[0] |= {"commit": "abc", "command": "statistics"}
    write_records(path / "exp/statistics.json", inferred)
    write_records(path / "exp/cka.json", cka_records(info | {"data": str(path / "data")}, seeds))
    runs = [path / f"exp/do_seed{seed}" for seed in seeds] if surface_from != "none" else []
    write_records(path / "exp/gradients.json", gradient_records(runs))
    common = {key: info[key] for key in ("corpus", "language", "convention")}
    common |= {"data": str(path / "data"), "system": "do", "reason": "too few speakers"}
    common |= {"kind": "subspace overlap", "layer": 1, "projection": "key", "rank": 9, "seed": 2}
    overlaps = [
        common | {"value": value, "null": -0.11, "floor": 0.6, "read_cka": 0.8, "read_cka_floor": 0.7}
        for value in (0.5, 0.75)
    ]
    overlaps[0] |= {"commit": "def", "command": "analyse --what subspaces"}
    write_records(path / "exp/subspaces.json", overlaps)
    return path


def write_losses(path, losses, tag="loss"):
    writer = EventFileWriter(str(path))
    for step, loss in losses.items():
        value = Summary.Value(tag=tag, simple_value=loss)
        writer.add_event(Event(step=step, wall_time=0, summary=Summary(value=[value])))
    writer.close()


def cka_records(info, seeds):
    common = {key: info[key] for key in ("corpus", "language", "convention", "data")}
    common |= {"comparison": "pull", "kind": "cka", "n_frames": 900, "n_speakers": 6, "dim": 128}
    records = []
    for x, y in (("so_surface", "so_meaning"), ("do", "so_surface"), ("do", "so_meaning")):
        for layer in range(1, 5):
            value = None if (x, layer) == ("do", 4) else 0.9 - 0.1 * layer
            records.append(
                common
                | {"system_x": x, "system_y": y, "seed_x": seeds[0], "seed_y": seeds[0]}
                | {"layer_x": layer, "layer_y": layer, "cka": value, "null": 0.05, "floor": 0.3}
                | {"ceiling": None, "normalized": None}
                | {"cka_across": value and [value, 0.3, 0.2, None]}
                | {"interval": value and [value - 0.05, value + 0.05]}
                | {"reason": "one seed: no ceiling" if value else "too few frames: 12 of 512"}
            )
    records[0] |= {"commit": "def", "command": "analyse --what cka"}
    return records


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return make_recipe(tmp_path_factory.mktemp("recipe"), seeds=(1, 2, 3))


@pytest.fixture(scope="module")
def page(recipe):
    return render("page.html", gather(recipe / "exp", recipe / "data/test"))


class Balance(HTMLParser):
    """Checks that tags close in order, and collects what the page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.ids, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.sources += [attrs[key] for key in ("src", "href", "xlink:href") if key in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)


def test_page_is_self_contained_and_well_formed(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert all(source.startswith(("data:", "#")) for source in parser.sources)
    assert {source[1:] for source in parser.sources if source[0] == "#"} <= set(parser.ids)
    assert "url(http" not in page and "@import" not in page and "<script src" not in page


def test_page_says_the_things_it_must(page):
    parser = Balance()
    parser.feed(page)
    text = " ".join(" ".join(parser.text).split())
    for phrase in ("Simulated speech.", "3 seeds: ", "conf/train_mini", "speakers_test 9"):
        assert phrase in text
    assert text.index("What came out") < text.index("Error rates") < text.index("Limitations")
    numbers = r"[+−]\d+\.\d points \[[+−]\d+\.\d, [+−]\d+\.\d\] \(\d+\.\d against \d+\.\d % CER; 3 seeds"
    assert re.search("Surface: do − so_surface = " + numbers, text)
    assert re.search(r"has slope [+−]\d\.\d\d \[.{12,16}\] on edits per token; other seeds included \[", text)
    assert "too few frames: 12 of 512" in text and "one seed: no ceiling" in text
    assert "Surface: CER by divergence (%)" in text  # an axis title: text stays text
    assert page.count("<audio") == 6
    assert [depth(name) for name in ("block2", "block10", "other")] == [(False, 2), (False, 10), (True, 0)]
    assert "do, block1 0.20 0.60 0" in text  # 0.6, 0.2 and -0.2: nan and the epoch's mean are out
    assert "block of so_meaning" in text
    assert "do 1 key 0.62 −0.11 0.60 0.80 0.70 0.50" in text  # the mean of two seeds
    assert "Finding the learner’s errors" in text and "random at the base rate" in text
    assert "so_surface and so_meaning" in text[text.index("own meaning, as in free") :]
    assert "do, seed 2: loss" in text


def test_audio_and_csv_are_embedded(page, recipe):
    flac = re.search(r"data:audio/flac;base64,([^\"]+)", page)[1]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(flac)))
    assert rate == 16000 and len(samples) == 8000 and abs(samples).max() > 0.1
    encoded = re.search(r'error_rates.csv" href="[^,]+,([^"]+)', page)[1]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(encoded).decode())))
    assert len(rows) == len(json.loads((recipe / "exp/results.json").read_text()))


def test_degradation_is_the_mean_of_paired_differences(recipe):
    (group,) = comparisons(json.loads((recipe / "exp/results.json").read_text()))
    found = group.degradation("do", "surface", "char", "all")
    do, so = (group.cell(name, "surface", "char", "all") for name in ("do", "so_surface"))
    assert found.values == {seed: do.values[seed] - so.values[seed] for seed in (1, 2, 3)}
    assert found.mean == pytest.approx(do.mean - so.mean)
    assert found.interval is None  # without exp/statistics.json


def test_intervals_are_those_of_statistics_json(recipe):
    records, statistics = (
        json.loads((recipe / f"exp/{name}.json").read_text()) for name in ("results", "statistics")
    )
    (group,) = comparisons(records, statistics)
    found = group.degradation("do", "meaning", "char", "all")
    (record,) = [
        r for r in statistics[1:]
        if r["kind"] == "difference"
        and (r["output"], r["unit"], r["bin"], r["l1"]) == ("meaning", "char", "all", "all")
    ]  # fmt: skip
    assert found.mean == pytest.approx(100 * record["value"], abs=0.01)
    assert found.interval == tuple(100 * end for end in record["interval"])
    assert found.interval[0] < found.mean < found.interval[1] and found.p == record["p_holm"]


def test_what_has_too_little_for_an_interval_has_no_number(recipe):
    records, statistics = (
        json.loads((recipe / f"exp/{name}.json").read_text()) for name in ("results", "statistics")
    )
    (group,) = comparisons(records, statistics)
    few = next(r for r in statistics if r.get("bin") == "1-3" and r["kind"] == "rate" and r["n_utts"])
    assert few["value"] is None and "fewer than 20" in few["reason"]
    for cell in (group.cell, group.degradation):
        found = cell("do", "surface", "char", "1-3")
        assert found.mean is None and found.reason == few["reason"] and found.n_utts == few["n_utts"]
    assert group.columns == ["all", "0", "1-3", "4-10", "11+", "1+"]
    pooled = group.degradation("do", "surface", "char", "1+")
    assert pooled.n_utts > few["n_utts"]
    table = render("results.md.jinja", gather(recipe / "exp", recipe / "data/test"))
    assert "| all | 0 | 1-3 | 4-10 | 11+ | 1+ |" in table


COMPARED = {"baseline": "so_surface"}


def records_of(rates):
    common = {"corpus": "c", "language": "en", "convention": "heard", "data": "d", "split": "test"}
    common |= {"surface": "annotated"}
    common |= {"config": "t", "decode_config": "d", "normalizer": "n", "n_speakers": 1, "n_utts": 2}
    common |= {"output": "surface", "unit": "char", "bin": "all", "exp_dir": "exp/x"}
    return [
        common
        | {"system": system, "seed": seed, "error_rate": rate}
        | {"reason": None if rate is not None else "no reference token in this bin"}
        for system, seed, rate in rates
    ]


@pytest.mark.parametrize(
    "rates, start, end",
    [
        (
            [("so_surface", 1, 0.1), ("do", 1, 0.123)],
            "Surface: do − so_surface = +2.3 points (12.3 against 10.0 % CER; 1 seed)",
            "a description, not a finding, which needs three seeds.",
        ),
        ([("do", 1, 0.1)], "Surface: do has nothing to compare with: so_surface has not", ""),
        ([("so_surface", 2, 0.1), ("do", 1, 0.1)], "Surface: do has nothing to compare", "common."),
        ([("so_surface", 1, None), ("do", 1, 0.1)], "Surface: do has nothing", "no reference"),
        (
            [("so_surface", s, 0.1) for s in (1, 2)] + [("do", 1, 0.11), ("do", 2, 0.08)],
            "Surface: do − so_surface = −0.5 points (9.5 against 10.0 % CER; 2 seeds: +1.0, −2.0)",
            "which needs three seeds.",
        ),
    ],
)
def test_verdict_of_few_seeds_is_a_description(rates, start, end):
    (group,) = comparisons(records_of(rates))
    (sentence,) = verdict(group, None, "do")
    assert sentence.startswith(start) and end in sentence


@pytest.mark.parametrize(
    "p, half, says",
    [
        (0.04, 0.14, "a finding for these seeds, though other seeds may differ (p = 0.04 after"),
        (0.2, 0.11, "no difference shown (p = 0.2 after Holm)"),
        (0.01, None, "worse, but not tried at half the budget, so not yet a finding"),
        (0.01, 0.07, "worse, but at half the budget −3.0 points: not a finding"),
        (0.01, 0.13, "worse, a finding (p = 0.01 after Holm; half the budget +3.0)"),
        (0.01, 0.51, "nothing is told: do had not begun to learn it at half the budget (51 % CER)"),
        (0.01, 0.49, "worse, a finding (p = 0.01 after Holm; half the budget +39.0)"),
        (0.01, 1.04, "nothing is told: do had not begun to learn it at half the budget (104 % CER)"),
    ],
)
def test_a_finding_needs_three_seeds_a_test_and_the_same_sign_at_half_the_budget(p, half, says):
    seeds = (1, 2, 3)
    single = [("so_surface", seed, 0.1) for seed in seeds]
    record = records_of([("do", 1, 0.12)])[0] | COMPARED | {"kind": "difference", "l1": "all", "p_holm": p}
    record |= {"value": 0.02, "interval": [0.01, 0.03], "seeds": list(seeds)}
    record |= {"joint_interval": [-0.01, 0.05], "p_joint_holm": 0.2 if p == 0.04 else 0.03}
    whole = records_of(single + [("do", seed, 0.12) for seed in seeds])
    (group,) = comparisons(whole, [whole[0] | {"kind": "comparison"}, record])
    halves = [("do", seed, half) for seed in seeds] if half else []
    (at_half,) = comparisons(records_of(single + halves))
    (sentence,) = verdict(group, at_half if half else None, "do")
    assert "= +2.0 points [+1.0, +3.0]" in sentence and says in sentence
    assert "3 seeds: +2.0, +2.0, +2.0; other seeds included [−1.0, +5.0]" in sentence


def test_half_the_budget_of_one_seed_confirms_nothing():
    single = [("so_surface", seed, 0.1) for seed in (1, 2, 3)]
    whole = records_of(single + [("do", seed, 0.12) for seed in (1, 2, 3)])
    found = whole[-1] | COMPARED | {"kind": "difference", "l1": "all", "p_holm": 0.01, "seeds": [1, 2, 3]}
    found |= {"value": 0.02}
    (group,) = comparisons(whole, [whole[0] | {"kind": "comparison"}, found | {"interval": [0.01, 0.03]}])
    (half,) = comparisons(records_of(single + [("do", 1, 0.13)]))
    (sentence,) = verdict(group, half, "do")
    assert "not tried at half the budget, so not yet a finding" in sentence


@pytest.mark.parametrize(
    "seeds, p, half, says",
    [
        ([1, 2], 0.01, 0.4, "a description, not a finding, which needs three seeds"),
        ([1, 2, 3], 0.2, 0.4, "no trend with divergence shown (p = 0.2 after Holm)"),
        ([1, 2, 3], 0.01, None, "rises with divergence, but not tried at half the budget"),
        ([1, 2, 3], 0.01, -0.4, "rises with divergence, but does the opposite at half the budget"),
        ([1, 2, 3], 0.01, 0.4, "rises with divergence, a finding (p = 0.01 after Holm)"),
    ],
)
def test_a_slope_is_a_finding_by_the_same_rules(seeds, p, half, says):
    records = records_of([(s, seed, 0.1) for s in ("so_surface", "do") for seed in seeds])
    facts = records[0] | {"kind": "comparison"}
    slope = records[-1] | COMPARED | {"kind": "slope", "measure": "log_rate_ratio", "l1": "all", "p_holm": p}
    slope |= {"value": 0.5, "interval": [0.1, 0.9], "seeds": seeds}
    slope |= {"joint_interval": [0.05, 0.95], "p_joint_holm": 0.03}
    (group,) = comparisons(records, [facts, slope])
    (at_half,) = comparisons(records, [facts, slope | {"value": half}] if half else [])
    sentence = verdict(group, at_half, "do")[-1]
    assert says in sentence
    numbers = "slope +0.50 [+0.10, +0.90] on edits per token; other seeds included [+0.05, +0.95]: "
    assert numbers in sentence


def test_both_slopes_are_told():
    records = records_of([(s, seed, 0.1) for s in ("so_surface", "do") for seed in (1, 2, 3)])
    facts = records[0] | {"kind": "comparison"}
    slope = records[-1] | COMPARED | {"kind": "slope", "l1": "all", "seeds": [1, 2, 3]}
    slope |= {"joint_interval": None, "p_joint_holm": None}
    points = {"measure": "rate_per_edit", "value": 0.003, "interval": [0.002, 0.004], "p_holm": 0.001}
    ratio = {"measure": "log_rate_ratio", "value": -0.1, "interval": [-0.5, 0.3], "p_holm": 0.6}
    (group,) = comparisons(records, [facts, slope | points, slope | ratio])
    first, second = verdict(group, group, "do")[-2:]
    assert "do − so_surface has slope +0.30 [+0.20, +0.40] points an edit: rises" in first
    assert "log(do / so_surface) has slope −0.10 [−0.50, +0.30] on edits per token: no trend" in second
    recipe = Recipe(Path("exp"), group, group)
    status, _ = grows("rate_per_edit", "surface", DO, recipe)
    assert status == "holds for these seeds, though other seeds may differ"
    assert grows("log_rate_ratio", "surface", DO, recipe)[0] == "can’t be told"
    assert grows("rate_per_edit", "meaning", DO, recipe) == ("can’t be told", "no meaning")
    beside = slope | points | {"baseline": "so_surface_ctc", "value": -0.003, "interval": [-0.004, -0.002]}
    of_control = records_of([("so_surface_ctc", seed, 0.1) for seed in (1, 2, 3)])
    (group,) = comparisons(records + of_control, [facts, slope | points, beside])
    own, others = verdict(group, group, "do")[-2:]
    assert "do − so_surface has slope +0.30" in own
    assert "do − so_surface_ctc has slope −0.30 [−0.40, −0.20] points an edit: falls" in others


@pytest.mark.parametrize(
    "difference, half, says, status",
    [
        (-0.09, -0.14, "fewer, a finding (p = 0.01 after Holm)", "holds"),
        (0.09, 0.14, "more, a finding (p = 0.01 after Holm)", "does not hold"),
        (-0.09, 0.14, "fewer, but does the opposite at half the budget", "can’t be told"),
        (-0.09, None, "fewer, but not tried at half the budget", "can’t be told"),
    ],
)
def test_errors_found_are_told_by_the_same_rules(difference, half, says, status):
    records = records_of([(s, seed, 0.1) for s in ("so_surface", "do") for seed in (1, 2, 3)])
    facts = records[0] | {"kind": "comparison"}
    one = records[-1] | {"measure": "recall", "prompt": "given", "l1": "all", "seeds": [1, 2, 3]}

    def group_of(change):
        ends = [change - 0.01, change + 0.01]
        found = one | {"kind": "mispronunciation_difference", "value": change, "interval": ends}
        found |= {"baseline": "so_surface"}
        found |= {"joint_interval": ends, "p_holm": 0.01, "p_joint_holm": 0.02}
        found |= {"per_seed": {"1": change, "2": change, "3": change}}
        systems = (("so_surface", 0.85), ("do", 0.85 + change))
        rates = [
            one | {"kind": "mispronunciation", "system": s, "per_seed": dict.fromkeys("123", v)}
            for s, v in systems
        ]
        return comparisons(records, [facts, found, *rates])[0]

    group, before = group_of(difference), half and group_of(half)
    (sentence,) = [s for s in verdict(group, before, "do") if s.startswith("Learner’s errors")]
    assert says in sentence
    assert f"{100 * difference:+.1f} points [".replace("-", "−") in sentence
    assert f"({85 + 100 * difference:.1f} against 85.0 %; 3 seeds: " in sentence
    assert misses(DO, Recipe(Path("exp"), group, before))[0] == status


def test_the_same_run_twice_is_refused():
    with pytest.raises(DataError, match="do with seed 1 is there twice, from exp/x and exp/x"):
        comparisons(records_of([("do", 1, 0.1), ("do", 1, 0.2)]))


def test_other_data_is_refused_with_what_there_is(recipe):
    with pytest.raises(DataError, match="no result on other, but on .*data/test: mend --data"):
        gather(recipe / "exp", Path("other"))


def test_columns_keep_the_reference_and_put_insertions_between():
    assert columns_of(align("ab", "axb", "char")) == [
        [],
        [("a", "a")],
        [(None, "x")],
        [("b", "b")],
        [],
    ]


def test_lay_out_marks_learner_and_system():
    block = lay_out("surface", "char", "sink", "think", {"so": "sing", "do": "sinkk"})
    assert block.labels == ["intended", "surface", "so", "do"]
    columns = [column for word in block.words for column in word]
    rows = ["".join(column[row].text for column in columns) for row in range(4)]
    assert rows == ["think·", "·sink·", "·sing·", "·sinkk"]
    signs = ["".join(column[row].sign for column in columns) for row in range(4)]
    assert signs == ["", "△△", "S", "I"]
    assert all(mark.style for column in columns for mark in column if mark.sign)


def test_lay_out_breaks_after_words():
    block = lay_out("meaning", "char", "i am so", None, {"do": "i amso"})
    assert [len(word) for word in block.words] == [2, 3, 2]
    assert block.words[1][2][1].text == "–" and block.words[1][2][1].sign == "D"


def test_examples_take_turns_over_bins_and_speakers(recipe):
    data = DataDir.load(recipe / "data/test")
    found = {utt: divergence.learner for utt, divergence in divergences(data).items()}
    chosen = choose(found, data["utt2spk"], 6)
    assert len(set(chosen)) == 6
    assert len({bin_of(found[utt]) for utt in chosen}) == len(set(map(bin_of, found.values())))
    assert len({data["utt2spk"][utt] for utt in chosen}) >= 5
    assert len(choose(found, data["utt2spk"], 100)) == len(found)


@pytest.mark.parametrize("language, convention", [("ko", "heard"), ("en", "pronounced")])
def test_command_line_in_the_other_alphabets(tmp_path, language, convention):
    recipe = make_recipe(tmp_path, language, convention, utts=6)
    (recipe / "exp/cka.json").unlink()
    out, md = recipe / "exp/report.html", recipe / "RESULTS.md"
    command = [sys.executable, "-m", "l2dual.bin.report", "--exp", str(recipe / "exp")]
    command += ["--data", str(recipe / "data/test"), "--out", str(out), "--results_md", str(md)]
    subprocess.run(command, check=True, capture_output=True)
    page, markdown = out.read_text(), md.read_text()
    assert ("Simulated speech" in page) == (convention == "heard")
    assert "Not measured" in page and "a description, not a finding" in page
    assert "<err>" not in page and ("&lt;err&gt;" in page) == (convention == "pronounced")
    assert ("PER %" in markdown) == (convention == "pronounced")
    assert re.search(r"WER of the meaning, %: so_meaning \d+\.\d.*; do \d+\.\d", markdown)
    tables = [block for block in markdown.split("\n\n") if block.startswith("| output | system | all |")]
    assert [line.split(" ")[1] for line in tables[0].splitlines()[2:]] == ["surface,"] * 3 + ["meaning,"] * 3
    lines = [line for line in markdown.splitlines() if line.startswith("| surface")]
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    assert render("page.html", gather(recipe / "exp", recipe / "data/test")) == page


def test_results_md_has_what_stage_11_measured_and_its_command(recipe):
    markdown = render("results.md.jinja", gather(recipe / "exp", recipe / "data/test"))
    assert re.search(r"\| Pull: so_surface and so_meaning \| 2 \| 0.70 .*\| 0.05 \| 0.30 \| – \|", markdown)
    assert re.search(r"\| Pull: do and so_meaning \| 4 \| – \| – \| 0.05 \| 0.30 \| – \|", markdown)
    assert "| do | 1 | key | 0.62 | −0.11 | 0.60 | 0.80 | 0.70 | 0.50 |" in markdown and "Seed 2." in markdown
    assert "| do | block1 | 0.20 | 0.60 | 0" in markdown
    assert "| all correct | – | 0.0 | 0.0 | 100.0 | 0.0 | – |" in markdown
    assert "- subspaces: commit def, `analyse --what subspaces`" in markdown
    lines = markdown.splitlines()
    for above, line in zip(lines, lines[1:]):  # no row is parted from its table, or of other width
        assert line.startswith("|") or not above.startswith("| --- |")
        if line.startswith("|") and above.startswith("|"):
            assert line.replace("\\|", "").count("|") == above.replace("\\|", "").count("|")


def test_an_interval_of_a_mean_is_no_narrower_than_the_records():
    records = [{"value": v, "interval": [v - 0.1, v + 0.1 * n]} for n, v in ((1, 0.4), (3, 0.6))]
    assert interval_of(records, "value") == pytest.approx((0.4, 0.7))
    nothing = {"value": None, "interval": None}
    assert interval_of([*records, nothing], "value") == pytest.approx((0.4, 0.7))
    assert interval_of([*records, {"value": 0.5, "interval": None}], "value") is None
    assert interval_of([{"gain": 1.0, "gain_interval": [0, 2], "interval": [5, 6]}], "gain") == (0, 2)


def test_an_interval_over_seeds_needs_three():
    records = [{"seed": s, "value": v, "interval": [0, 1]} for s, v in ((1, 0.1), (2, 0.4), (3, 0.2))]
    assert interval_over_seeds(records, "value") == pytest.approx(seed_interval([0.1, 0.4, 0.2]).interval)
    assert interval_over_seeds(records[:2], "value") is None
    assert interval_over_seeds([r | {"interval": None} for r in records], "value") is None
    assert interval_over_seeds([r | {"seed": 1} for r in records], "value") is None


def test_half_the_budget_stands_beside_the_whole():
    records = records_of([(s, seed, 0.1) for s in ("so_surface", "do") for seed in (1, 2, 3)])
    late = [r | {"error_rate": 0.3 if r["system"] == "do" else 0.2} for r in records]
    (group,), (half,) = comparisons(records), comparisons(late)
    rows = {label: cells[-1].mean for label, cells, _ in bin_rows(group, half, "surface")}
    assert rows == pytest.approx({"so_surface": 20, "do": 30, "do − so_surface": 10})
    assert len(bin_rows(group, None, "surface")[0][1]) == len(group.columns)
    (short,) = comparisons([r for r in late if r["system"] == "so_surface"])
    found = {label: cells[-1] for label, cells, _ in bin_rows(group, short, "surface")}
    assert found["do"].mean is None and found["do"].reason == "not decoded at half the budget"


def test_a_control_has_its_rows_and_verdict_and_is_a_baseline():
    rates = {"so_surface": 0.10, "so_surface_ctc": 0.08, "do": 0.09}
    (group,) = comparisons(records_of([(s, 1, rate) for s, rate in rates.items()]))
    rows = {label: cells[0].mean for label, cells, _ in bin_rows(group, None, "surface")}
    changes = {name: mean for name, mean in rows.items() if "−" in name}
    expected = {"so_surface_ctc − so_surface": -2, "do − so_surface": -1, "do − so_surface_ctc": 1}
    assert changes == pytest.approx(expected) and list(rows)[:3] == list(rates)
    of_control, of_do = (verdict(group, None, name) for name in ("so_surface_ctc", "do"))
    assert [s.split(" points")[0] for s in of_control + of_do] == [
        "Surface: so_surface_ctc − so_surface = −2.0",
        "Surface: do − so_surface = −1.0",
        "Surface: do − so_surface_ctc = +1.0",
    ]


def test_first_languages_stand_side_by_side():
    systems = ("so_surface", "do")
    records = records_of([(system, seed, 0.1) for system in systems for seed in (1, 2)])
    facts = records[0] | {"kind": "comparison"}
    place = {"kind": "difference", "system": "do", "baseline": "so_surface", "bin": "all", "reason": None}
    place |= {"output": "surface", "unit": "char", "seeds": [1, 2], "per_seed": {"1": 0.02, "2": 0.04}}
    korean = place | {"l1": "korean", "value": 0.03, "interval": [0.01, 0.05], "n_utts": 9}
    few = dict.fromkeys(("value", "interval")) | {"reason": "too few speakers", "n_utts": 1}
    (group,) = comparisons(records, [facts, korean, place | few | {"l1": "mandarin"}])
    ((label, (first, second), change),) = l1_rows(group, "surface")  # no rate has a record
    assert (label, change) == ("do − so_surface", True)
    assert first.mean == pytest.approx(3) and first.interval == pytest.approx((1, 5))
    assert second.mean is None and second.reason == "too few speakers"
    (alone,) = comparisons(records, [facts, korean])
    assert l1_rows(alone, "surface") == []


def test_degradation_is_drawn_beside_the_matched_system_of_those_that_learned():
    rates = {"so_surface": 0.1, "so_surface_ctc": 0.08, "do": 0.11, "do_ctc": 0.09, "do_equal": 0.1}
    records = [r | {"bin": name} for name in BINS for r in records_of([(s, 1, x) for s, x in rates.items()])]
    (group,) = comparisons(records + [r | {"bin": "all"} for r in records[: len(rates)]])
    (half,) = comparisons(records_of([(s, 1, 0.9 if s == "do_equal" else x) for s, x in rates.items()]))
    drawn = degradation_by_bin(group, half, "surface", "x")
    assert "do − so_surface<" in drawn and "do_ctc − so_surface_ctc<" in drawn and "do_equal" not in drawn
    assert "do_equal − so_surface_ctc<" in degradation_by_bin(group, None, "surface", "x")
    assert "do_equal" not in error_by_bin(group, half, "surface", "x")


def text_of(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return " ".join(" ".join(parser.text).split())


def test_a_corpus_without_surface(tmp_path):
    recipe = make_recipe(tmp_path, surface_from="none", utts=8)
    content = gather(recipe / "exp", recipe / "data/test")
    text, markdown = text_of(render("page.html", content)), render("results.md.jinja", content)
    assert "L2 English, no surface" in text and "convention no surface" in text
    assert "Not measured: the corpus does not say what was pronounced." in text
    assert "By divergence" not in text and "divergence 0" not in text and "△" not in text
    assert "respelling" not in text and "nothing to compare" in text
    assert "There are no divergence bins" in markdown
    (row,) = [line for line in markdown.splitlines() if line.startswith("| meaning")]
    assert row.count("|") == 4 and " so_meaning " in row
    assert "no surface" in summary([recipe / "exp/results.json"]).splitlines()[2]


def test_an_assumed_surface_is_named_wherever_the_convention_is(tmp_path):
    recipe = make_recipe(tmp_path, "en", "pronounced", surface_from="assumed", utts=8)
    content = gather(recipe / "exp", recipe / "data/test")
    text, markdown = text_of(render("page.html", content)), render("results.md.jinja", content)
    named = "pronounced (assumed: standard pronunciation of the text)"
    assert f"Convention: {named}" in text and f"convention {named}" in text
    assert "The surface is assumed, not annotated" in text and named in markdown
    assert "all utterances lie in one" in markdown and "By divergence" not in text
    lines = summary([recipe / "exp/results.json"]).splitlines()
    assert all(named in line for line in lines[2:])


def test_the_page_over_both_recipes(recipe, tmp_path):
    korean = make_recipe(tmp_path / "ko", "ko", utts=27, seeds=(1, 2, 3))
    content = gather_both([recipe / "exp", korean / "exp"])
    page = render("both.html", content)
    parser = Balance()
    parser.feed(page)
    text = " ".join(" ".join(parser.text).split())
    assert parser.open == [] and len(parser.ids) == len(set(parser.ids))
    assert all(source.startswith(("data:", "#")) for source in parser.sources)
    assert "English and Korean: one output or two?" in text and "EN surface: DO − SO" in text
    assert text.count("can’t be told") == 16  # no half budget: no finding
    assert "not tried at half the budget" in text and "slope" in text
    for said in ("How alike the encoders are", "EN surface: DO − SO", "The paper’s, of the surface in English"):
        assert said in text
    for said in ("0.89 at layer 3", "0.43 at layer 3", "Do the outputs pull", "The speech is simulated"):
        assert text.count(said) == 1  # each language's own, and what is of both
    assert "Korean: 27 test utterances of 9 speakers" in text and 'download="errors_found.csv"' in page
    lines = render("both.md.jinja", content).splitlines()
    assert lines[0] == "| the paper says | English | Korean |"
    assert {line.count("|") for line in lines[:9]} == {4}
    assert "Finding the learner’s errors, points. The prompt is given" in " ".join(lines)
    assert "## Limitations" in lines and lines[-1].startswith("- Korean: 27 test utterances")
    found = [line for line in lines if line.startswith("| do − so_surface | ")]
    rejected = re.compile(r"\| [+−]\d+\.\d \[[+−.\d]+, [+−.\d]+\] \|$")  # recall: too few of each speaker
    assert len(found) == 2 and all(map(rejected.search, found))
    (row,) = [line for line in lines if line.startswith("| do | ")][:1]
    assert re.search(r"\| do \| \d+\.\d \[\d+\.\d, \d+\.\d\] \| [+−]\d+\.\d \[", row)


def test_a_finding_holds_or_does_not(recipe, tmp_path):
    exp = tmp_path / "exp"
    shutil.copytree(recipe / "exp", exp)
    for name in ("results", "statistics"):
        shutil.copy(exp / f"{name}.json", exp / f"{name}_half.json")
    both = [findings([recipe_of(exp)])[row]["verdicts"][0] for row in (0, 1)]
    statuses = [status.partition(" for")[0] for status, _ in both]
    assert statuses == ["does not hold", "holds"]  # do errs more on both
    assert re.match(r"do − so_surface: \+\d\.\d points CER \[", both[1][1])


def test_findings_of_a_contrast_stand_under_those_of_do_where_it_was_scored(tmp_path):
    seeds = (1, 2, 3)
    rates = {"so_surface": 0.1, "so_surface_ctc": 0.08, "do": 0.11, "do_ctc": 0.09}
    records = records_of([(system, s, rate) for system, rate in rates.items() for s in seeds])
    write_records(tmp_path / "results.json", records)
    rows = [(row["finding"], row["verdicts"][0][1]) for row in findings([recipe_of(tmp_path)])]
    hurts = [name for name, _ in rows].index("Sharing the encoder hurts the surface")
    assert rows[hurts][1].startswith("do − so_surface: +1.0 points CER")
    name, said = rows[hurts + 1]
    assert name == "… with more CTC on both sides (do_ctc)"
    assert said.startswith("do_ctc − so_surface_ctc: +1.0 points CER")
    assert len(rows) == 8 + 6 and not any("do_paper" in name for name, _ in rows)


def test_too_few_seeds_of_one_task_tell_nothing(tmp_path):
    exps = [exp_with(tmp_path / language, language, [0.5] * 4) for language in ("en", "ko")]
    for exp in exps:
        records = json.loads((exp / "cka.json").read_text())
        write_records(exp / "cka.json", [record | {"seed_y": 1} for record in records])
    for status, said in findings([recipe_of(exp) for exp in exps])[4]["verdicts"]:
        assert status == "can’t be told" and "without one of the seeds a value" in said


def exp_with(path, language, of_block=None, of_decoder=None):
    """An experiment directory of three seeds with these similarities: block by block, by output."""
    info = {"corpus": "c", "language": language, "convention": "heard", "data": "d"}
    singles = {"system_x": "so_surface", "system_y": "so_meaning"}
    results = records_of([(system, s, 0.1) for system in SYSTEMS for s in (1, 2, 3)])
    write_records(path / "results.json", [record | info for record in results])
    blocks = [
        info | singles | {"kind": "cka", "layer_x": block, "seed_x": x, "seed_y": y, "cka": value}
        for block, value in enumerate(of_block or [], start=1)
        for x, y, value in ((1, 2, value), (2, 3, value + 0.01), (3, 1, value - 0.02), (1, 1, 0.0))
    ]
    for block in blocks:
        block["cka"] += 0.005 * (language == "ko" and block["seed_x"] == 2)  # seeds differ
        block |= {"ceiling": 1.0, "ceiling_without": {"1": 1.0, "2": 1.0, "3": 1.0}}
    write_records(path / "cka.json", blocks)
    decoders = [
        info
        | {"kind": "decoder cka", "set": chosen, "layer_x": layer, "ceiling": 1.0}
        | {"ceiling_without": {"1": 1.0, "2": 1.0, "3": 1.0}}
        | {"seed_x": seed % 3 + 1, "system_x": f"so_{output}", "output_x": output}
        | {"seed_y": seed, "system_y": "do", "output_y": output}
        | {"cka": value + (0.01 if output == "surface" else 0.005) * seed if layer == 2 else 0.5}
        for output, value in (of_decoder or {}).items()
        for seed in (1, 2, 3)
        for chosen, layer in (("divergence 0", 1), ("divergence 0", 2), ("matched positions", 3))
    ]
    write_records(path / "decoders.json", decoders)
    return path


def scoped(status):
    """A claim about similarities says that it is of the whole training alone."""
    return status if status == "can’t be told" else status + WHOLE


@pytest.mark.parametrize(
    "english, says, numbers",
    [
        ([0.9, 0.8, 0.8, 0.2], "holds", "English − Korean +0.40 [+0."),
        ([0.1, 0.8, 0.8, 0.2], "does not hold", "−0.40 [−0."),
        ([0.9, 0.8, 0.5, 0.2], "can’t be told", "not shown in every block"),
        ([], "can’t be told", "not compared"),
    ],
)
def test_task_similarity_of_two_languages(tmp_path, english, says, numbers):
    exps = exp_with(tmp_path / "en", "en", english), exp_with(tmp_path / "ko", "ko", [0.5] * 4)
    status, said = findings([recipe_of(exp) for exp in exps])[4]["verdicts"][0]
    assert status == scoped(says) and numbers in said
    alone, why = findings([recipe_of(exps[1])])[4]["verdicts"][0]
    assert alone == "can’t be told"
    assert why.startswith("first block to last, CKA 0.50 0.50 0.50 0.50; null – – – –; floor")


def test_tasks_as_alike_as_seeds_tell_nothing(tmp_path):
    exps = [exp_with(tmp_path / "en", "en", [0.9, 0.8, 0.8, 0.2])]
    exps.append(exp_with(tmp_path / "ko", "ko", [0.5, 0.51, 0.52, 0.53]))
    records = json.loads((exps[0] / "cka.json").read_text())
    for record in records:
        record["ceiling"] = 0.79 if record["layer_x"] == 3 else 0.95
        record["ceiling_without"] = dict.fromkeys("123", record["ceiling"])
    write_records(exps[0] / "cka.json", records)
    for status, said in findings([recipe_of(exp) for exp in exps])[4]["verdicts"]:
        assert status == "can’t be told" and "two tasks may be as alike as two seeds of one" in said
    exp = exp_with(tmp_path / "decoders", "en", of_decoder={"surface": 0.8, "meaning": 0.4})
    records = json.loads((exp / "decoders.json").read_text())
    for ceiling, told in ((0.95, "holds"), (0.3, "can’t be told")):
        same = {"ceiling": ceiling, "ceiling_without": dict.fromkeys("123", ceiling)}
        write_records(exp / "decoders.json", [record | same for record in records])
        status, said = findings([recipe_of(exp)])[5]["verdicts"][0]
        assert status == scoped(told) and f"ceiling {ceiling:.2f}" in said


@pytest.mark.parametrize(
    "surface, meaning, says",
    [(0.8, 0.4, "holds"), (0.4, 0.8, "does not hold"), (0.5, 0.52, "can’t be told")],
)
def test_whose_decoder_goes_its_own_way(tmp_path, surface, meaning, says):
    exp = exp_with(tmp_path, "en", of_decoder={"surface": surface, "meaning": meaning})
    status, said = findings([recipe_of(exp)])[5]["verdicts"][0]
    assert status == scoped(says)
    assert f"surface: CKA {surface + 0.02:.2f}; null –" in said
    assert f"meaning: CKA {meaning + 0.01:.2f}; null –" in said
    assert "shortfall, meaning − surface " in said


def test_each_decoder_is_held_against_its_own_ceiling(tmp_path):
    """The meaning's is less alike, but no less than two seeds of its own system are."""
    exp = exp_with(tmp_path, "en", of_decoder={"surface": 0.7, "meaning": 0.5})
    records = json.loads((exp / "decoders.json").read_text())
    for record in records:
        ceiling = 0.8 if record["output_x"] == "surface" else 0.505
        record |= {"ceiling": ceiling, "ceiling_without": dict.fromkeys("123", ceiling)}
    write_records(exp / "decoders.json", records)
    status, _ = findings([recipe_of(exp)])[5]["verdicts"][0]
    assert status == scoped("does not hold")


def test_a_jackknife_over_seeds_of_pairs():
    """Of pairs that are sums of what each seed brings, it is the t-interval of those."""
    brings = {1: 0.1, 2: 0.4, 3: 0.2}
    records = [
        {"seed_x": x, "seed_y": y, "cka": (brings[x] + brings[y]) / 2}
        for x, y in itertools.permutations(brings, 2)
    ]
    estimate = over_seeds(lambda seed: cka(records, seed), records)
    expected = seed_interval(list(brings.values()))
    assert estimate.value == pytest.approx(expected.value)
    assert estimate.interval == pytest.approx(expected.interval)
    two = [r for r in records if 3 not in (r["seed_x"], r["seed_y"])]
    assert over_seeds(lambda seed: cka(two, seed), two).reason == "2 seeds, fewer than 3"
    assert over_seeds(lambda seed: 0.0, records, two).reason == "they have not the same seeds"


def test_summary(recipe):
    lines = summary([recipe / "exp/results.json"]).splitlines()
    assert lines[0].split() == "language corpus convention system seeds surface meaning".split()
    assert lines[2].split()[3] == "so_surface" and lines[2].split()[-1] == "-"
    assert re.search(r"do +1 2 3 +CER \d+\.\d % \(sd \d+\.\d\) +CER \d", lines[4])
    assert len(lines) == 5  # no report yet


def pulls(block: int = 1, below: float = 0.12, **others) -> list[dict]:
    """do is at the ceiling with so_surface, and ``below`` it with so_meaning, as each seed brings."""
    brings = {1: below - 0.02, 2: below + 0.02, 3: below}
    return [
        {"system_x": "do", "system_y": system, "seed_x": x, "seed_y": y, "reason": None}
        | {"layer_x": block, "layer_y": block, "disagrees": False}
        | {"ceiling": 0.9, "ceiling_without": dict.fromkeys("123", 0.9)}
        | {"cka": 0.9 - (system == "so_meaning") * (brings[x] + brings[y]) / 2}
        | others
        for system in ("so_surface", "so_meaning")
        for x, y in itertools.product(brings, brings)
    ]


def test_which_encoder_a_dual_output_one_is_nearer_to():
    found = nearer(pulls())
    (estimate,) = found["systems"]["do"]
    assert found["blocks"] == [1] and estimate.value == pytest.approx(-0.12)
    assert estimate.interval[0] < -0.12 < estimate.interval[1] < 0
    nothing = {"blocks": [], "systems": {}}
    assert nearer(pulls(system_x="so_surface_ctc")) == nothing  # it is no dual-output system
    old = [{key: value for key, value in r.items() if key != "ceiling_without"} for r in pulls()]
    assert nearer(old) == nothing


def test_where_no_encoder_is_told_to_be_nearer(recipe):
    """Every estimate stays under its own block, with the reason why there is none."""
    told = pulls(2)
    blocks = {
        1: (pulls(1, disagrees=True), "disputed by Procrustes"),
        3: (pulls(3, below=0.0), "the further one may be as alike as two seeds"),
        4: (pulls(4, cka=None, reason="3 frames"), "3 frames"),
        5: ([r for r in pulls(5) if r["system_y"] == "so_surface"], "it takes so_surface and so_meaning"),
    }
    found = nearer([*told, *(r for records, _ in blocks.values() for r in records)])
    assert found["blocks"] == [1, 2, 3, 4, 5]
    estimates = dict(zip(found["blocks"], found["systems"]["do"], strict=True))
    assert estimates.pop(2).value == pytest.approx(-0.12)
    assert {b: one.reason for b, one in estimates.items()} == {b: why for b, (_, why) in blocks.items()}
    content = gather(recipe / "exp", recipe / "data/test") | {"nearer": found}
    assert "| do | – (disputed by Procrustes) | −0.120 [−" in render("results.md.jinja", content)
    text = text_of(render("page.html", content))
    assert "is a dual-output one nearer to?" in text and "disputed by Procrustes" in text


def test_a_report_on_other_data_says_what_was_trained_on(recipe, page, tmp_path):
    results = json.loads((recipe / "exp/results.json").read_text())
    elsewhere = {"trained_on": "dump/mine", "seen_sentences": 3}
    write_records(tmp_path / "results.json", [record | elsewhere for record in results])
    content = gather(tmp_path, recipe / "data/test")
    assert {record["split"] for record in content["divergence"]} == {"test"}
    for text in (text_of(render("page.html", content)), render("results.md.jinja", content)):
        assert "dump/mine" in text and "; 3 of the" in text and " utterances have a sentence that is in" in text
    assert "Not measured here: encoders are analysed on their own data." in text_of(render("page.html", content))
    assert "were trained on" not in page


def test_a_map_is_the_mean_over_seeds_and_none_without_a_value():
    layers = [
        [{"cka_across": [0.9, None], "ceiling_across": [None, None]}, {"cka_across": [0.7, None]}],
        [{"cka_across": [0.2, 0.6], "ceiling_across": [None, None]}],
    ]
    (first, last), second = across(layers, "cka")
    assert first == pytest.approx(0.8) and math.isnan(last) and second == [0.2, 0.6]
    assert across(layers, "ceiling") is None and across(layers, "null") is None
