import dataclasses
import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_divergence import make_data
from test_score import RUN

from l2dual import stats
from l2dual.datadir import DataDir
from l2dual.errors import DataError
from l2dual.inference import infer, load, pool
from l2dual.outputs import OUTPUTS
from l2dual.score import score, write_records

LETTERS = list("abcdefgh")
SPEAKERS = "abcdefghij"
ARRAYS = ("speakers", "clusters", "l1s", "bins", "edits", "surface_length")  # of a Study


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


def make_run(path, data, rng, system, seed, rate):
    outputs = {f"so_{name}{tail}": [name] for name in OUTPUTS for tail in ("", "_ctc")}
    run = RUN | {"system": system, "seed": seed, "convention": data.info["convention"]}
    run["outputs"] = outputs.get(system, ["surface", "meaning"])
    decode = path / f"{system}{seed}/decode/test"
    decode.mkdir(parents=True)
    for output in run["outputs"]:
        texts = data[f"text.{output}"].items()
        lines = (f"{utt} {noisy(rng, text, rate)}\n" for utt, text in texts)
        (decode / f"text.{output}").write_text("".join(lines))
    (path / f"{system}{seed}/run.yaml").write_text(yaml.safe_dump(run))
    out = path / f"{system}{seed}/decode/score"
    run_file = path / f"{system}{seed}/run.yaml"
    write_records(out / "score.json", score(data, decode, run_file, "decode.yaml", out))
    return out


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(1)
    data = make_data(path / "data/x/test", make_texts(rng))
    systems = {"so_surface": 0.1, "so_meaning": 0.1, "do": 0.25}
    scores = [
        make_run(path, data, rng, system, seed, rate)
        for system, rate in systems.items()
        for seed in (1, 2, 3)
    ]
    return scores, data, infer(load(scores), data)


def pick(records, **keys):
    (record,) = (r for r in records if all(r.get(key) == value for key, value in keys.items()))
    return record


def test_rates_are_the_mean_of_the_scores(study):
    scores, _, records = study
    for system, output in (("so_surface", "surface"), ("do", "meaning")):
        keys = {"output": output, "unit": "char", "bin": "all"}
        rates = [
            pick(json.loads((path / "score.json").read_text()), **keys)["error_rate"]
            for path in scores
            if path.parents[1].name[:-1] == system
        ]
        found = pick(records, kind="rate", system=system, l1="all", **keys)
        assert found["value"] == pytest.approx(np.mean(rates), rel=1e-4)
        assert list(found["per_seed"].values()) == pytest.approx(rates, rel=1e-4)
        low, high = found["interval"]
        assert 0 < low < found["value"] < high and "p" not in found
        assert found["n_utts"] == 40 and found["n_speakers"] == 10 and found["seeds"] == [1, 2, 3]
        assert found["normalizer"] and "seeds fixed" in found["method"]


def test_a_difference_has_its_interval_tests_and_seeds(study):
    records = study[2]
    found = pick(records, kind="difference", output="surface", unit="char", bin="all", l1="all")
    assert found["baseline"] == "so_surface" and found["interval"][0] > 0
    assert found["p"] <= found["p_holm"] < 0.05 and found["p_mapsswe"] < 0.05
    assert found["seed_interval"][0] < found["value"] < found["seed_interval"][1]
    assert found["n_cells"] == 2  # both outputs, as in the paper's Table 2
    table = [r for r in records if r["kind"] == "difference" and r["unit"] == "char"]
    table = [r for r in table if r["bin"] != "all" and r["p"] is not None]
    assert {r["output"] for r in table} == {"surface", "meaning"} and len(table) >= 4
    assert {r["n_cells"] for r in table} == {len(table)}  # and as in its Figure 2
    assert [r["p_holm"] for r in table] == pytest.approx(
        stats.holm([r["p"] for r in table]), rel=1e-3
    )


def test_an_arm_changes_nothing_that_is_said_of_another(study, tmp_path):
    scores, data, records = study
    rng = np.random.default_rng(5)
    arm = [make_run(tmp_path, data, rng, "do_small", seed, 0.4) for seed in (1, 2, 3)]
    beside = infer(load(scores + arm), data)
    assert {r["system"] for r in beside if r["kind"] == "difference"} == {"do", "do_small"}
    keys = {"kind": "difference", "system": "do", "output": "surface", "unit": "char", "l1": "all"}
    for bin_name in ("all", "0"):
        alone, together = (pick(r, bin=bin_name, **keys) for r in (records, beside))
        assert alone["p_holm"] == together["p_holm"] and alone["n_cells"] == together["n_cells"]


def test_a_control_is_a_second_baseline_and_has_the_first(study, tmp_path):
    scores, data, records = study
    rng = np.random.default_rng(6)
    control = [make_run(tmp_path, data, rng, "so_surface_ctc", seed, 0.05) for seed in (1, 2, 3)]
    beside = infer(load(scores + control), data)
    rates = {r["system"]: r["value"] for r in beside if r["kind"] == "rate" and is_all(r)}
    found = {
        (r["system"], r["baseline"]): r for r in beside if r["kind"] == "difference" and is_all(r)
    }
    assert set(found) == {
        ("do", "so_surface"), ("do", "so_surface_ctc"), ("so_surface_ctc", "so_surface")
    }  # fmt: skip
    for (system, baseline), record in found.items():
        assert record["value"] == pytest.approx(rates[system] - rates[baseline], abs=1e-4)
    before = pick(records, kind="difference", system="do", **ALL)
    assert found["do", "so_surface"]["p_holm"] == before["p_holm"]
    assert found["do", "so_surface_ctc"]["n_cells"] == 1  # no control of the meaning beside it
    slopes = {(r["system"], r["baseline"]) for r in beside if r["kind"] == "slope" and is_all(r)}
    assert slopes == set(found)
    recalls = {r["system"]: r["value"] for r in beside if r["kind"] == "mispronunciation" and is_recall(r)}
    apart = {
        (r["system"], r["baseline"]): r
        for r in beside
        if r["kind"] == "mispronunciation_difference" and is_recall(r)
    }
    assert set(apart) == set(found)
    for (system, baseline), record in apart.items():
        assert record["value"] == pytest.approx(recalls[system] - recalls[baseline], abs=1e-4)
    keys = {"kind": "mispronunciation_difference", "measure": "recall", "prompt": "given"}
    assert pick(records, **keys, **ALL)["p_holm"] == apart["do", "so_surface"]["p_holm"]


def test_both_outputs_are_set_beside_the_pair_of_controls_too(study, tmp_path):
    scores, data, records = study
    rng = np.random.default_rng(7)
    controls = [
        make_run(tmp_path, data, rng, f"so_{output}_ctc", seed, 0.05) for output in OUTPUTS for seed in (1, 2, 3)
    ]
    beside = infer(load(scores + controls), data)
    keys = ALL | {"measure": "recall", "prompt": "own"}
    recalls = {system: pick(beside, kind="mispronunciation", system=system, **keys)["value"] for system in ("so", "so_ctc", "do")}
    apart = {
        (r["system"], r["baseline"]): r
        for r in beside
        if r["kind"] == "mispronunciation_difference" and r.items() >= keys.items()
    }
    assert set(apart) == {("do", "so"), ("do", "so_ctc"), ("so_ctc", "so")}
    for (system, baseline), record in apart.items():
        assert record["value"] == pytest.approx(recalls[system] - recalls[baseline], abs=2e-4)
    before = pick(records, kind="mispronunciation_difference", system="do", **keys)
    assert apart["do", "so"]["p_holm"] == before["p_holm"]


ALL = {"output": "surface", "unit": "char", "bin": "all", "l1": "all"}


def is_all(record):
    return all(record[key] == value for key, value in ALL.items())


def is_recall(record):
    return is_all(record) and record["measure"] == "recall" and record["prompt"] == "given"


def test_a_cell_with_too_little_is_null_with_its_reason(study):
    found = pick(study[2], kind="rate", system="do", output="surface", unit="char", bin="11+")
    assert found["value"] is None and found["interval"] is None and not found["per_seed"]
    assert found["reason"] == found["seed_reason"]
    assert found["reason"] in ("no reference token here", "1 utterances, fewer than 20")
    together = pick(study[2], kind="rate", system="do", output="surface", unit="char", bin="1+")
    assert together["value"] is not None and together["n_utts"] == 20
    korean = pick(study[2], kind="rate", system="do", output="surface", unit="char", l1="kor")
    assert korean["reason"] == "4 utterances, fewer than 20"


def test_speakers_who_share_a_voice_are_drawn_together(study, tmp_path):
    """Five voices of two speakers each are too few, as five speakers would be."""
    scores, data, _ = study
    voices = {utt: "vwxyz"[SPEAKERS.index(utt[0]) // 2] for utt in data["utt2spk"]}
    shared = DataDir(data.path, data.tables | {"utt2voice": voices}, data.info)
    out = tmp_path / "score"
    run = scores[0].parents[1]
    write_records(
        out / "score.json", score(shared, run / "decode/test", run / "run.yaml", "d.yaml", out)
    )
    records = infer(load([out]), shared)
    assert (records[0]["n_speakers"], records[0]["n_clusters"]) == (10, 5)
    found = pick(records, kind="rate", output="surface", unit="char", bin="all", l1="all")
    assert found["value"] is None and found["reason"] == "5 speakers or voices, fewer than 6"


def test_slopes_and_mispronunciations(study):
    records = study[2]
    slopes = [r for r in records if r["kind"] == "slope" and r["unit"] == "char"]
    assert {r["measure"] for r in slopes} == {"rate_per_edit", "log_rate_ratio"}
    assert all(r["interval"][0] < r["value"] < r["interval"][1] for r in slopes)
    assert {r["n_cells"] for r in slopes} == {2}  # both outputs, one measure
    keys = {"measure": "recall", "unit": "char", "bin": "all"}
    for prompt, single in (("given", "so_surface"), ("own", "so")):
        found = pick(records, kind="mispronunciation", prompt=prompt, system=single, **keys)
        assert found["value"] > 0.5 and found["trivial"]["all_correct"] == 0
        assert found["trivial"]["random"] < 0.2
        apart = pick(records, kind="mispronunciation_difference", prompt=prompt, **keys)
        dual = pick(records, kind="mispronunciation", prompt=prompt, system="do", **keys)
        assert apart["baseline"] == single
        assert apart["value"] == pytest.approx(dual["value"] - found["value"], abs=2e-4)
    keys = {"kind": "mispronunciation", "prompt": "given", "system": "do", "unit": "char"}
    right = [r for r in records if r.items() >= (keys | {"bin": "0"}).items()]
    assert [r["measure"] for r in right] == ["false_rejection_rate"] and right[0]["value"] > 0


def test_runs_that_may_not_be_compared_are_refused(study, tmp_path):
    scores, data, _ = study
    with pytest.raises(DataError, match="do with seed 1 is there twice"):
        load([*scores, scores[6]])
    other = make_data(tmp_path / "data/x/test", make_texts(np.random.default_rng(2), 3))
    out = make_run(tmp_path, other, np.random.default_rng(2), "do_paper", 1, 0.1)
    with pytest.raises(DataError, match=f"data is {tmp_path}/data/x"):
        load([*scores, out])
    records = [r | {"data": str(data.path.parent)} for r in json.loads((out / "score.json").read_text())]
    write_records(out / "score.json", records)
    with pytest.raises(DataError, match="references are not those"):
        load([*scores, out])
    records[0]["decode_config"] = "other.yaml"
    write_records(out / "score.json", records)
    with pytest.raises(DataError, match="decode_config is other.yaml"):
        load([*scores, out])
    same = json.loads((scores[0] / "score.json").read_text())
    write_records(out / "score.json", [r | {"trained_on": "dump/more"} for r in same])
    with pytest.raises(DataError, match="trained_on is dump/more"):
        load([*scores, out])
    half = Path(same[0]["decode_dir"]).parents[1] / "decode_half/test"
    write_records(out / "score.json", [r | {"seed": 4, "decode_dir": str(half)} for r in same])
    with pytest.raises(DataError, match="is of decode_half, but .* of decode: compare runs at one"):
        load([*scores, out])


def test_one_seed_without_a_baseline_and_without_a_surface(tmp_path):
    rng = np.random.default_rng(3)
    texts = {utt: (None, None, meaning) for utt, (*_, meaning) in make_texts(rng).items()}
    data = make_data(tmp_path / "data/x/test", texts, surface_from="none")
    out = make_run(tmp_path, data, rng, "so_meaning", 1, 0.1)
    records = infer(load([out]), data)
    assert records[0]["kind"] == "comparison" and records[0]["runs"] == {"so_meaning": [1]}
    assert {(r["kind"], r["bin"]) for r in records[1:]} == {("rate", "all")}
    whole = [r for r in records[1:] if r["l1"] == "all"]
    assert all(r["seed_reason"] == "1 seeds, fewer than 3" and r["interval"] for r in whole)


def test_phones_that_the_annotation_does_not_name_are_detected_not_diagnosed(tmp_path):
    """Each utterance lacks its first phone, too: a deletion is no name."""
    rng, texts = np.random.default_rng(4), {}
    for speaker, number in product(SPEAKERS, range(4)):
        canonical = rng.choice(LETTERS, 10)
        surface = [phone if rng.random() > 0.3 else "<err>" for phone in canonical[1:]]
        texts[f"{speaker}-{number}"] = (" ".join(surface), " ".join(canonical), "a word")
    data = make_data(tmp_path / "data/x/test", texts, unit="phone", convention="pronounced")
    out = make_run(tmp_path, data, rng, "so_surface", 1, 0.0)
    records = infer(load([out]), data)
    keys = {"kind": "mispronunciation", "bin": "all", "unit": "phone"}
    assert {r["prompt"] for r in records if r["kind"] == keys["kind"]} == {"given"}
    assert pick(records, measure="recall", **keys)["value"] == 1
    diagnosis = pick(records, measure="diagnosis_error_rate", **keys)
    assert diagnosis["value"] is None and "names no wrong" in diagnosis["reason"]


def test_command_line(study, tmp_path):
    scores, data, records = study
    out = tmp_path / "statistics.json"
    command = [sys.executable, "-m", "l2dual.bin.statistics", *scores, "--data", data.path]
    subprocess.run([*map(str, command), "--out", str(out)], check=True)
    head, *rest = json.loads(out.read_text())
    assert rest == records[1:] and records[0].items() <= head.items()
    assert head["commit"] and head["command"].startswith("python -m l2dual.bin.statistics ")
    (scores[0] / "utterances.tsv").rename(tmp_path / "aside")
    failed = subprocess.run([*map(str, command), "--out", str(out)], capture_output=True, text=True)
    (tmp_path / "aside").rename(scores[0] / "utterances.tsv")
    assert failed.returncode == 1 and "utterances.tsv: not found" in failed.stderr


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Two test sets of ten speakers each, every one scored with models of its own."""
    path, rng = tmp_path_factory.mktemp("folds"), np.random.default_rng(2)
    scores = []
    for number, fold in enumerate(("without_a", "without_b")):
        texts = make_texts(rng)
        texts = {chr(ord(utt[0]) + 10 * number) + utt[1:]: text for utt, text in texts.items()}
        data = make_data(path / fold / "test", texts)
        systems = {"so_surface": 0.1, "do": 0.2}.items()
        scores.append([make_run(path / fold, data, rng, s, 1, r) for s, r in systems])
    return scores


def test_pooled_test_sets_have_the_errors_of_all(folds):
    studies = [load(scores) for scores in folds]
    records = infer(pool(studies), None)
    assert records[0]["n_utts"] == 80 and records[0]["n_speakers"] == 20
    assert records[0]["data"].count("without_") == 2
    whole = pick(records, kind="rate", system="do", output="surface", unit="char", bin="all", l1="all")
    errors, n_ref = (
        sum(of_fold.sum() for of_fold in each)
        for each in zip(
            *(
                (study.errors["do", "surface", "char"][1], study.n_ref["surface", "char"])
                for study in studies
            ),
            strict=True,
        )
    )
    assert whole["value"] == pytest.approx(errors / n_ref, rel=1e-4)
    slopes = [r for r in records if r["kind"] == "slope_of_l1" and r["unit"] == "char"]
    japanese = [r for r in slopes if r["l1"] == "jpn" and r["output"] == "surface"]
    assert {r["measure"] for r in japanese} == {"rate_per_edit", "log_rate_ratio"}
    assert all(r["n_speakers"] == 19 and r["interval"] for r in japanese)
    assert not [r for r in records if r["kind"] == "mispronunciation"]


def test_a_slope_of_one_l1_is_that_of_its_speakers_alone(folds):
    study = pool([load(scores) for scores in folds])
    (mine,) = [study.l1s == "jpn"]
    alone = dataclasses.replace(
        study,
        utts=np.array(study.utts)[mine].tolist(),
        **{name: getattr(study, name)[mine] for name in ARRAYS},
        n_ref={key: values[mine] for key, values in study.n_ref.items()},
        errors={key: {s: e[mine] for s, e in v.items()} for key, v in study.errors.items()},
    )
    keys = {"output": "surface", "unit": "char", "measure": "log_rate_ratio"}
    both = pick(infer(study, None), kind="slope_of_l1", l1="jpn", **keys)
    assert both["value"] == pick(infer(alone, None), kind="slope", **keys)["value"]


def test_what_cannot_be_pooled_is_named(folds):
    one, other = (load(scores) for scores in folds)
    with pytest.raises(DataError, match="have utterances in common"):
        pool([one, one])
    with pytest.raises(DataError, match="without_b has other systems or seeds than .*without_a"):
        pool([one, load(folds[1][:1])])
    other.facts["config"] = "other.yaml"
    with pytest.raises(DataError, match="without_b: config is other.yaml, in .*without_a it is"):
        pool([one, other])


def test_left_out_on_the_command_line(folds, tmp_path):
    command = [sys.executable, "-m", "l2dual.bin.left_out", *folds[0], *folds[1]]
    command += ["--out", tmp_path / "left_out.json"]
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    assert re.search(r"^surface char, do, L1 all: slope [+-]\d\.\d\d \[", done.stdout, re.MULTILINE)
    assert re.search(r"L1 kor: (8 utterances, fewer than 20|divergence does not vary)", done.stdout)
    assert json.loads((tmp_path / "left_out.json").read_text())[0]["n_utts"] == 80
