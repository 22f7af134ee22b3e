import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from l2dual.data.datadir import DataDir
from l2dual.errors import DataError
from l2dual.scoring import stats
from l2dual.scoring.outcomes import gather, outcomes
from l2dual.scoring.results import read_results, write_results
from l2dual.scoring.score import COUNTS, run_of, score, write_scored
from l2dual.systems import OUTPUTS
from tests.commands import python_m
from tests.data.test_divergence import make_data
from tests.scoring.test_score import RUN
from tests.systems import facts_of

LETTERS = list("abcdefgh")
SPEAKERS = "abcdefghij"
MADE_BY = {"commit": "abc", "command": "results"}


def noisy(rng, text, rate):
    wrong = [letter != " " and rng.random() < rate for letter in text]
    return "".join(rng.choice(LETTERS) if no else yes for no, yes in zip(wrong, text, strict=True))


def make_texts(rng, n_utts=4):
    """Ten speakers; every second utterance diverges."""
    texts = {}
    for speaker in SPEAKERS:
        for number in range(n_utts):
            meaning = " ".join("".join(rng.choice(LETTERS, 4)) for _ in range(5))
            surface = noisy(rng, meaning, 0.3) if number % 2 else meaning
            texts[f"{speaker}-{number}"] = (surface, meaning, meaning)
    return texts


def make_run(data, rng, system, seed, rate, leak=0.0):
    """A system that writes ``rate`` letters wrong, and ``leak`` of the letters as the other text."""
    run = RUN | facts_of(system) | {"seed": seed}
    texts = {}
    for output, other in zip(OUTPUTS, OUTPUTS[::-1], strict=True):
        for utt, text in data[f"text.{output}"].items() if output in run["outputs"] else ():
            leaked = data.tables.get(f"text.{other}", {}).get(utt, text) if leak else text
            mixed = (o if rng.random() < leak else t for t, o in zip(text, leaked, strict=True))
            texts.setdefault(output, {})[utt] = noisy(rng, "".join(mixed), rate)
    name = f"exp/{system}.seed{seed}"
    return score(data, texts, run_of(run, f"{system}.seed{seed}", f"{name}/decode/test", "d.yaml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    return make_data(path / "data/x/test", make_texts(np.random.default_rng(1)))


@pytest.fixture(scope="module")
def runs(data):
    rng = np.random.default_rng(2)
    systems = {"so_surface": (0.1, 0), "so_meaning": (0.1, 0), "do": (0.1, 0.5)}
    return [
        make_run(data, rng, system, seed, *rates)
        for system, rates in systems.items()
        for seed in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def results(data, runs):
    return outcomes(gather(data, runs), MADE_BY)


def total(scored, output, unit, *names):
    return sum(scored.counts[output, unit][:, COUNTS.index(name)].sum() for name in names)


def test_error_rates_are_those_of_the_counts(results, runs):
    for system, output, unit in (("so_surface", "surface", "char"), ("do", "meaning", "word")):
        mine = [one for one in runs if one.run.system == system]
        counts = [
            [int(total(one, output, unit, name)) for name in ("substitutions", "deletions", "insertions", "n_ref")]
            for one in mine
        ]
        found = results.get("error_rate", system, output, unit=unit)
        assert list(found.counts.values()) == counts and list(found.counts) == ["1", "2", "3"]
        rates = [sum(row[:3]) / row[3] for row in counts]
        assert list(found.per_seed.values()) == rates  # to the last digit
        assert found.value == pytest.approx(np.mean(rates))
        low, high = found.interval
        assert 0 < low < found.value < high and found.p is None and found.n_utts == 40


def test_cross_talk_is_the_difference_of_differences(results, runs):
    for output in OUTPUTS:
        gaps = {}
        for one in runs:
            if output in one.run.outputs:
                learner, wrong, n_ref, s, d = (
                    total(one, output, "char", name)
                    for name in ("learner", "learner_errors", "n_ref", "substitutions", "deletions")
                )
                gap = wrong / learner - (s + d - wrong) / (n_ref - learner)
                gaps.setdefault(one.run.system, []).append(gap)
        single, dual = gaps.pop(f"so_{output}"), gaps.pop("do")
        found = results.get("cross_talk", "do", output, baseline=f"so_{output}")
        assert found.value == pytest.approx(np.mean(dual) - np.mean(single))
        assert found.value > 0.2 and found.interval[0] > 0  # half of the learner's tokens leak
        parts = [
            results.get(name, "do", output, baseline=f"so_{output}").value
            for name in ("learner_error_rate", "other_error_rate")
        ]
        assert found.value == pytest.approx(parts[0] - parts[1])
        assert abs(parts[1]) < 0.05
        assert results.get("intrusion_rate", "do", output).value > 0.4
        assert results.get("intrusion_rate", f"so_{output}", output).value < 0.1


def test_the_interval_is_of_the_mean_difference_over_clusters_and_seeds(results, runs):
    errors = {
        system: np.array([
            one.counts["surface", "char"][:, 1:4].sum(1) for one in runs if one.run.system == system
        ])
        for system in ("do", "so_surface")
    }  # fmt: skip
    apart, n_ref = errors["do"] - errors["so_surface"], runs[0].counts["surface", "char"][:, 0]
    residual = apart.mean(0) - apart.mean(0).sum() / n_ref.sum() * n_ref
    of_speaker = residual.reshape(10, 4).sum(1)[:, None] / n_ref.sum()
    (expected,) = stats.estimates(of_speaker, [(apart.sum(1) / n_ref.sum()).tolist()])
    found = results.get("error_rate", "do", "surface", baseline="so_surface")
    assert found.interval == pytest.approx(expected.interval)


def test_an_interval_of_a_rate_stays_among_possible_values(data):
    rng = np.random.default_rng(5)
    rates = {1: 0.002, 2: 0.1, 3: 0.3}
    runs = [make_run(data, rng, "so_surface", seed, rate) for seed, rate in rates.items()]
    found = outcomes(gather(data, runs), MADE_BY)
    assert found.get("error_rate", "so_surface", "surface").interval[0] == 0
    assert found.get("recall", "so_surface", "surface").interval[1] == 1


def test_the_primary_outcome_alone_has_p_values_adjusted_over_the_outputs(results, data, runs):
    tested = [record for record in results.records if record.p is not None]
    assert {record.measure for record in tested} == {"cross_talk"} and len(tested) == 2
    assert [r.p_holm for r in tested] == stats.holm([r.p for r in tested])
    rng = np.random.default_rng(5)
    beside = [make_run(data, rng, "do_branch3", seed, 0.1, 0.02) for seed in (1, 2, 3)]
    more = [r for r in outcomes(gather(data, [*runs, *beside]), MADE_BY).records if r.p is not None]
    assert len(more) == 4 and all(r.p_holm <= min(2 * r.p, 1) for r in more)
    assert [(r.p, r.p_holm) for r in more if r.system == "do"] == [(r.p, r.p_holm) for r in tested]
    assert not results.find(measure="cross_talk", baseline=None)


def test_the_slope_is_that_of_the_difference(results, data, runs):
    found = results.get("slope", "do", "surface", baseline="so_surface")
    edits = gather(data, runs).edits
    errors = {
        system: np.mean([
            one.counts["surface", "char"][:, 1:4].sum(1) for one in runs if one.run.system == system
        ], axis=0)
        for system in ("do", "so_surface")
    }  # fmt: skip
    n_ref = runs[0].counts["surface", "char"][:, 0]
    rate = (errors["do"] - errors["so_surface"]) / n_ref
    assert found.value == pytest.approx(np.polyfit(edits, rate, 1, w=np.sqrt(n_ref))[0])


def test_detection_is_compared_for_the_surface_alone(results):
    found = [results.get("recall", system, "surface") for system in ("so_surface", "do")]
    apart = results.get("recall", "do", "surface", baseline="so_surface")
    assert apart.value == pytest.approx(found[1].value - found[0].value) and apart.value < -0.2
    assert apart.interval[1] < 0 and not results.find(measure="recall", output="meaning")
    assert {r.unit for r in results.find(measure="f1")} == {"char"}


def test_a_bin_with_too_little_is_not_comparable(results):
    found = results.get("error_rate", "do", "surface", bin="11+")
    assert found.interval is None and "needs 20 utterances" in (found.reason or "") or found.value is None
    whole = results.get("error_rate", "do", "surface", bin="0")
    assert whole.n_utts == 20 and whole.interval and results.meta.bins["0"] == 20


def test_two_seeds_have_values_without_an_interval(data, runs):
    some = [one for one in runs if one.run.seed < 3]
    found = outcomes(gather(data, some), MADE_BY).get("cross_talk", "do", "surface", baseline="so_surface")
    assert found.value > 0.2 and found.interval is None and found.p is None
    assert found.reason == "needs 3 seeds, has 2"


def test_only_seeds_of_both_are_compared(data, runs):
    some = [one for one in runs if (one.run.system, one.run.seed) != ("so_surface", 3)]
    study = outcomes(gather(data, some), MADE_BY)
    assert list(study.get("cross_talk", "do", "surface", baseline="so_surface").per_seed) == ["1", "2"]
    assert list(study.get("error_rate", "do", "surface").per_seed) == ["1", "2", "3"]


def test_speakers_who_share_a_voice_are_drawn_together(data, runs):
    """Five voices of two speakers each are too few, as five speakers would be."""
    voices = {utt: "vwxyz"[SPEAKERS.index(utt[0]) // 2] for utt in data["utt2spk"]}
    shared = DataDir(data.path, data.tables | {"utt2voice": voices}, data.info)
    found = outcomes(gather(shared, runs), MADE_BY)
    assert (found.meta.n_speakers, found.meta.n_clusters, found.meta.clusters) == (10, 5, "voices")
    record = found.get("error_rate", "do", "surface")
    assert record.value and record.reason == "needs 6 speakers or voices, has 5"


def test_what_has_not_been_learned_is_not_compared(data, runs):
    rng = np.random.default_rng(3)
    idle = [make_run(data, rng, "do", seed, 0.9) for seed in (1, 2, 3)]
    broken = [replace(one, run=replace(one.run, not_learned={"surface": "95% errors"})) for one in idle]
    found = outcomes(gather(data, [*runs[:6], *broken]), MADE_BY)
    record = found.get("cross_talk", "do", "surface", baseline="so_surface")
    assert not record.learned and record.value is not None and record.interval is None
    assert record.reason == "do (seed 1) has not learned the surface: 95% errors"
    assert not found.get("error_rate", "do", "surface").learned
    assert found.get("cross_talk", "do", "meaning", baseline="so_meaning").interval
    assert found.meta.warnings == []
    nothing = [
        replace(one, run=replace(one.run, not_learned=dict.fromkeys(one.run.outputs, "all alike")))
        for one in runs
    ]
    warning, seen = outcomes(gather(data, nothing), MADE_BY, 4).meta.warnings
    assert seen == "4 of 40 test sentences are in the training data too"
    assert warning.startswith("No system has learned yet: 90% errors or more, or all hypotheses alike; try ")


def test_what_the_guide_changes_is_not_laid_to_sharing(data, runs):
    assert run_of(RUN, "do.seed1", "decode", "../../conf/decode_guided.yaml").guided and not runs[-1].run.guided
    guided = [replace(one, run=replace(one.run, guided=True)) for one in runs]
    found = outcomes(gather(data, guided), MADE_BY)
    record = found.get("cross_talk", "do", "surface", baseline="so_surface")
    assert record.value is not None and record.interval is None and record.p is None
    assert record.reason == (
        "do was searched with the guide, so_surface without: give --decode_config ../../conf/decode.yaml"
    )
    assert found.get("error_rate", "do", "surface").interval
    few = outcomes(gather(data, [one for one in guided if one.run.seed < 3]), MADE_BY)
    assert few.get("cross_talk", "do", "surface", baseline="so_surface").reason == "needs 3 seeds, has 2"


def test_a_test_set_without_a_learners_error_is_named(tmp_path):
    rng = np.random.default_rng(4)
    texts = {utt: (meaning,) * 3 for utt, (*_, meaning) in make_texts(rng).items()}
    data = make_data(tmp_path / "data/x/test", texts)
    runs = [make_run(data, rng, system, 1, 0.1) for system in ("so_surface", "do")]
    found = outcomes(gather(data, runs), MADE_BY)
    assert len(found.meta.warnings) == 1 and "no learner's error in the test set" in found.meta.warnings[0]
    record = found.get("cross_talk", "do", "surface", baseline="so_surface")
    assert record.value is None and record.reason == "the references have no learner's token"
    assert found.meta.n_learner_tokens["surface"] == 0


def test_one_seed_without_a_baseline_and_without_a_surface(tmp_path):
    rng = np.random.default_rng(3)
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in make_texts(rng).items()}
    data = make_data(tmp_path / "data/x/test", texts, surface_from="none")
    found = outcomes(gather(data, [make_run(data, rng, "so_meaning", 1, 0.1)]), MADE_BY)
    assert {(r.measure, r.bin, r.unit) for r in found.records} == {
        ("error_rate", "all", "char"), ("error_rate", "all", "word")
    }  # fmt: skip
    assert {r.reason for r in found.records} == {"needs 3 seeds, has 1"}
    assert found.meta.bins == {} == found.meta.n_learner_tokens


def test_phones_that_the_annotation_does_not_name_are_detected_not_diagnosed(tmp_path):
    """Each utterance lacks its first phone, too: a deletion is no name."""
    rng, texts = np.random.default_rng(4), {}
    for speaker, number in product(SPEAKERS, range(4)):
        canonical = rng.choice(LETTERS, 10)
        surface = [phone if rng.random() > 0.3 else "<err>" for phone in canonical[1:]]
        texts[f"{speaker}-{number}"] = (" ".join(surface), " ".join(canonical), "a word")
    data = make_data(tmp_path / "data/x/test", texts, unit="phone", convention="pronounced")
    runs = [make_run(data, rng, system, 1, 0.0) for system in ("so_surface", "so_meaning")]
    runs.append(make_run(DataDir(data.path, data.tables, data.info), rng, "do", 1, 0.0))
    found = outcomes(gather(data, runs), MADE_BY)
    assert found.get("recall", "so_surface", "surface").value == 1
    diagnosis = found.get("diagnosis_error_rate", "so_surface", "surface")
    assert diagnosis.value is None and "names no wrong" in diagnosis.reason
    meaning = found.get("cross_talk", "do", "meaning", baseline="so_meaning")
    assert meaning.reason == (
        "meaning is in chars, the canonical text in phones: no place in it is known to be a learner's"
    )


def test_runs_that_may_not_be_compared_are_refused(data, runs, tmp_path):
    with pytest.raises(DataError, match="do with seed 1 is a duplicate"):
        gather(data, [*runs, runs[6]])
    with pytest.raises(DataError, match="no run to compare"):
        gather(data, [])
    other = make_data(tmp_path / "data/x/test", make_texts(np.random.default_rng(2), 3))
    with pytest.raises(DataError, match="its utterances are not those of"):
        gather(data, [*runs, make_run(other, np.random.default_rng(2), "do_paper", 1, 0.1)])
    changed = {utt: (s + "a", c, m) for utt, (s, c, m) in make_texts(np.random.default_rng(1)).items()}
    other = make_data(tmp_path / "data/y/test", changed)
    with pytest.raises(DataError, match="its surface references are not those of exp/so_surface.seed1"):
        gather(data, [*runs, make_run(other, np.random.default_rng(2), "so_surface", 9, 0.1)])
    same_length = {u: (s[::-1], *rest) for u, (s, *rest) in make_texts(np.random.default_rng(1)).items()}
    other = make_data(tmp_path / "data/z/test", same_length)
    with pytest.raises(DataError, match="its surface references are not those of exp/so_surface.seed1"):
        gather(data, [*runs, make_run(other, np.random.default_rng(2), "so_surface", 9, 0.1)])
    facts = {"trained_on": "dump/more", "train_config": "x.yaml", "decode_config": "other.yaml"}
    facts |= {"decode_dir": "exp/do.seed4/decode_half/test"}
    for key, value in facts.items():
        run = replace(runs[6].run, seed=4, **{key: value})
        with pytest.raises(DataError, match="compare runs on the same data and settings only"):
            gather(data, [*runs, replace(runs[6], run=run)])


def test_results_are_read_as_they_were_written(results, tmp_path):
    path = tmp_path / "results.json"
    write_results(path, results)
    back = read_results(path)
    assert back.meta == results.meta
    for mine, theirs in zip(results.records, back.records, strict=True):
        interval = None if theirs.interval is None else tuple(theirs.interval)
        assert replace(theirs, interval=interval) == mine
    content = json.loads(path.read_text())
    for broken in (
        "[]", "half", "{}", json.dumps(content | {"records": []}),
        json.dumps(content | {"meta": content["meta"] | {"runs": []}}),
    ):  # fmt: skip
        path.write_text(broken)
        with pytest.raises(DataError, match="results.json: "):
            read_results(path)
    content["records"][0]["output"] = "gloss"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="unknown output 'gloss': use surface or meaning"):
        read_results(path)
    with pytest.raises(DataError, match="absent.json: not found"):
        read_results(tmp_path / "absent.json")


@pytest.mark.slow
def test_command_line_takes_in_earlier_runs_that_fit(data, runs, results, tmp_path):
    folders = []
    for one in runs:
        folders.append(tmp_path / one.run.name)
        write_scored(one, data, folders[-1])
    other = tmp_path / "other"
    write_scored(replace(runs[0], run=replace(runs[0].run, seed=8, train_config="x.yaml")), data, other)
    out = tmp_path / "results.json"
    command = ["l2dual.bin.results", *folders[:3], "--data", data.path, "--also", *folders[3:], other, "--out", out]
    done = python_m(*command)
    assert done.returncode == 0
    assert done.stderr.startswith("left out: exp/so_surface.seed1/decode/test: train_config is x.yaml")
    found = read_results(out)
    assert [run.name for run in found.meta.runs] == [run.name for run in results.meta.runs]
    mine = results.get("cross_talk", "do", "surface", baseline="so_surface")
    theirs = found.get("cross_talk", "do", "surface", baseline="so_surface")
    assert tuple(theirs.interval) == mine.interval and theirs.value == mine.value
    assert found.meta.commit and found.meta.command.startswith("python -m l2dual.bin.results ")
    (Path(folders[0]) / "utterances.tsv").unlink()
    failed = python_m(*command)
    assert failed.returncode == 1 and "holds no scores" in failed.stderr
