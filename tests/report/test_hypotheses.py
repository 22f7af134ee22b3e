"""H1 to H4, of studies whose cross-talk of each seed is known; the figures in comments are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from l2dual.report import arms, hypotheses, sharing
from l2dual.report.choice import choice
from l2dual.report.hypotheses import notes, verdicts
from l2dual.report.study import StudyResults
from l2dual.scoring.results import Meta, Record, Results, Run
from l2dual.scoring.stats import holm, seeds_needed, t_interval

SO = {"surface": "so_surface", "meaning": "so_meaning"}
SHARING = {
    "do": {},
    "do_apart": {"branch": {"depth": 0}},
    "do_branch1": {"branch": {"depth": 1}},
    "do_branch2": {"branch": {"depth": 2}},
    "do_branch3": {"branch": {"depth": 3}},
    "do_pull": {"pull": {"meaning": 0.3}},
    "do_pull0": {"pull": {"meaning": 0}},
    "do_deep": {},
    "do_paper": {},
}
SIX = {"do_deep": 6}  # blocks, where they are not 4
HARD = [0.01, 0.02, 0.03]  # mean .02, standard error .01 / sqrt 3: t = 3.4641, p = .0742


def run_of(system, seed, rename=None, **more):
    """A run of one of the systems, under another name where ``rename`` gives one."""
    outputs = [o for o, name in SO.items() if system in (name, *SHARING)]
    baselines = {output: [SO[output]] for output in outputs} if system in SHARING else {}
    name = (rename or {}).get(system, system)
    order = {"do": 10, "do_deep": 23, "do_paper": 40}.get(system, 12)
    text = dict.fromkeys(("label", "trained_on", "train_config", "decode_dir", "commit", "command"), "x")
    facts = {"sharing": SHARING.get(system, {}), "blocks": SIX.get(system, 4), "decode_config": None}
    return Run(f"{name}.seed{seed}", name, seed, outputs, order=order, baselines=baselines, **text, **facts, **more)


def study_of(talk, seeds=3, records=(), rename=None, language="en", split="test", **of_run):
    """A study of the arms in ``talk``: {arm: {output: cross-talk of each seed}}, or one list for both outputs."""
    found = list(records)
    for arm, by_output in talk.items():
        for output in SO:
            values = by_output[output] if isinstance(by_output, dict) else by_output
            per_seed = {str(seed): float(value) for seed, value in enumerate(values, 1)}
            mean = float(np.mean(values)) if len(values) else None
            name = (rename or {}).get(arm, arm)
            found.append(Record("cross_talk", name, output, "char", mean, SO[output], per_seed=per_seed))
    runs = [run_of(name, seed + 1, rename, **of_run.get(f"{name}.{seed + 1}", {}), **of_run.get(name, {}))
            for name in (*SO.values(), *talk) for seed in range(seeds)]  # fmt: skip
    units = {output: ["char"] for output in SO}
    meta = Meta("simulated", language, "heard", "annotated", split, "dump", "n", units, 100, 10, 10, "voices",
                dict.fromkeys(SO, 9), {}, runs, [], "x", "x")  # fmt: skip
    return StudyResults(Results(meta, found))


def said(study, name, output="surface"):
    return next(str(one) for one in verdicts([study])[0] if (one.name, one.output) == (name, output))


# The numbers ---------------------------------------------------------------------------------------
def test_a_t_interval_by_hand():
    found = t_interval(HARD)
    assert found.value == pytest.approx(0.02) and found.p == pytest.approx(0.0742, abs=1e-4)
    assert found.interval == pytest.approx((-0.00484, 0.04484), abs=1e-5)  # .02 -+ 4.3027 * .0057735
    assert t_interval([1, 2]).reason == "needs 3 seeds, has 2" and t_interval([1, 2]).interval is None
    alike = t_interval([0.5, 0.5, 0.5])
    assert alike.p is None and alike.interval == (0.5, 0.5) and alike.reason == "the seeds do not differ"


def test_seeds_that_are_needed():
    """Mean twice the spread: t is 2 sqrt n; of 4 seeds it is 4, beyond 3.18, of 3 it is 3.46, within 4.30."""
    assert seeds_needed([0.01, 0.02, 0.03], 0.05) == 4
    assert seeds_needed([-1, 0, 1], 0.05) == 1001


def test_a_slope_by_hand():
    """At 0, 2, 4 the slope is (last - first) / 4: seeds 1, 2, 3 have 2, 3, 4 points a block; t = 5.196, p = .0351."""
    study = study_of({"do_branch2": [0.03, 0.09, 0.02], "do": [0.08, 0.12, 0.16]})
    line = "not decided: +3.0 points per block [+0.5, +5.5], p = .421 (Holm, 12 tests)"
    line += "; 5 seeds needed at this mean and spread"
    assert said(study, "H1") == f"H1 surface: {line}"
    [note] = notes(study)
    assert note == "H1 compares 0, 2, 4 shared blocks. Single-output systems count as 0 blocks (cross-talk 0)."
    only = {"surface": [0, 0, 0], "meaning": []}
    study = study_of({"do_branch2": [0.03, 0.09, 0.02], "do": [0.08, 0.12, 0.16], "do_apart": only})
    assert said(study, "H1") == f"H1 surface: {line}"  # the tests that were planned count, made or not


def test_holm_is_over_the_planned_tests_of_both_languages():
    """p .0351 in one of 4 tests, the others .5 or more; the protocol plans 12: 12 x .0351."""
    talk = {"do_branch2": [0.03, 0.09, 0.02]}
    strong, weak = [0.08, 0.12, 0.16], [0.08, -0.12, 0.01]
    one = study_of(talk | {"do": {"surface": strong, "meaning": weak}})
    other = study_of(talk | {"do": weak}, language="ko")
    [english, korean] = verdicts([one, other])
    assert "p = .421 (Holm, 12 tests)" in english[0].said and "p = 1 (Holm, 12 tests)" in korean[1].said
    assert holm([0.0351, 0.5, 0.6, 0.7])[0] == pytest.approx(0.1404)
    assert [(one.name, one.output) for one in english] == [
        (f"H{number}", output) for number in (1, 2, 3, 4) for output in SO
    ]


def test_a_doses_arm_is_known_by_what_it_is():
    """Names say nothing: the study with other names is judged alike."""
    rng = np.random.default_rng(0)
    talk = {arm: rng.normal(0.01 * index, 0.002, 3) for index, arm in enumerate(SHARING)}
    names = {arm: f"x{index}" for index, arm in enumerate(sorted(SHARING))}
    plain, renamed = study_of(talk), study_of(talk, rename=names)
    assert arms.control(plain) == ("do_deep", "do_branch2") and arms.half_depth(plain) == "do_branch2"
    there, here = (verdicts([one])[0][:6] for one in (renamed, plain))
    for arm, name in sorted(names.items(), key=lambda one: -len(one[0])):
        here = [replace(one, said=one.said.replace(arm, name)) for one in here]
    assert there == here
    assert "H1 compares 0, 1, 2, 3, 4 shared blocks." in notes(plain)


def test_a_weaker_pull_helps_one_and_hurts_the_other():
    talk = {"do": [0.10, 0.11, 0.12], "do_pull0": [5, 5, 5]}
    less = {"surface": [0.02, 0.028, 0.042], "meaning": [0.20, 0.23, 0.22]}
    study = study_of(talk | {"do_pull": less})
    assert said(study, "H2").startswith("H2 surface: supported, −8.0 points, do_pull − do [−8.5, −7.5], p ")
    assert said(study, "H2", "meaning").startswith("H2 meaning: supported, +10.7 points, do_pull − do [")
    turned = study_of(talk | {"do_pull": {"surface": less["meaning"], "meaning": less["surface"]}})
    assert all(said(turned, "H2", output).startswith(f"H2 {output}: contradicted, ") for output in SO)


def test_parameters_are_not_the_cure():
    talk = {"do": [0.1, 0.1, 0.2], "do_branch2": [0.0, 0.01, 0.0], "do_branch3": [9, 9, 9]}
    harm, cure = (study_of(talk | {"do_deep": values}) for values in ([0.09, 0.1, 0.1], [-0.09, -0.1, -0.1]))
    assert said(harm, "H3").startswith("H3 surface: supported, +9.3 points, do_deep − do_branch2 [")
    assert said(cure, "H3").startswith("H3 surface: contradicted, −10.0 points, ")


def test_what_is_missing_is_named():
    study = study_of({"do": HARD, "do_branch1": HARD})
    assert said(study, "H2") == "H2 surface: not decided: needs a weaker pull of the meaning (such as do_pull) and do"
    assert said(study, "H3") == "H3 surface: not decided: needs do_deep and a branch arm with as many blocks"
    assert said(study_of({"do_pull": HARD, "do": HARD}), "H1") == "H1 surface: not decided: needs 3 doses, has 2"
    few = study_of({"do": [0.04, 0.08], "do_branch2": [0.02, 0.04]}, seeds=2)
    assert said(few, "H1") == "H1 surface: not decided: needs 3 seeds, has 2 (+1.5 points per block)"
    assert said(few, "H4") == "H4 surface: not decided: needs 3 seeds, has 2"
    [of_study] = verdicts([few])
    assert len(of_study) == 8 and hypotheses.lines(of_study) == [
        "H1 to H4: not decided: need 3 seeds, and systems as in the study sharing"
    ]
    [of_study] = verdicts([study_of({"do": HARD, "do_branch1": HARD, "do_branch3": HARD})])
    assert "H3 surface, meaning: not decided: needs do_deep" in str(hypotheses.lines(of_study))
    uneven = study_of({"do": [0.04, 0.08, 0.09], "do_branch2": [0.02, 0.04]}, seeds=2)
    assert "has 2" in said(uneven, "H1")


@pytest.mark.parametrize("bad", ["do_branch2.2", "so_surface.2"])
def test_what_has_not_learned_counts_in_no_test_of_that_output(bad):
    talk = {"do_branch2": [0.03, 0.9, 0.05, 0.02], "do": [0.08, -0.9, 0.12, 0.16]}
    study = study_of(talk, 4, **{bad: {"not_learned": {"surface": "95% errors"}}})
    without = study_of({arm: [values[i] for i in (0, 2, 3)] for arm, values in talk.items()})
    assert said(study, "H1").split(" (Holm")[0] == said(without, "H1").split(" (Holm")[0]
    assert "+3.0" in said(study, "H1") and "+3.0" not in said(study, "H1", "meaning")
    name = bad.replace(".", ".seed")
    assert f"Excluded from tests of the surface: {name} (not learned: 95% errors)." in notes(study)


# H4 ------------------------------------------------------------------------------------------------
def bounds(**ends):
    """Records of do_branch2 less SO with these ends, in points."""
    return [
        Record(measure, "do_branch2", output, "char", (low + high) / 200, SO[output], interval=(low / 100, high / 100))
        for measure, (low, high) in ends.items()
        for output in (SO if measure == "error_rate" else ["surface"])
    ]


def h4(**ends):
    study = study_of({"do": HARD, "do_branch2": HARD}, records=bounds(**ends))
    kept = [r for r in study.results.records if r.measure != "cross_talk" or r.interval or r.system == "do"]
    return said(StudyResults(replace(study.results, records=kept)), "H4").removeprefix("H4 surface: ")


def test_half_depth_has_bounds():
    kept = {"cross_talk": (-3, 2), "error_rate": (-2, 0), "f1": (0, 4)}
    numbers = "CER −1.0 [−2.0, +0.0]; cross-talk −0.5 [−3.0, +2.0]; F1 +2.0 [+0.0, +4.0]"
    assert h4(**kept) == f"supported, do_branch2 − SO: {numbers}"
    for change, line in (
        ({"cross_talk": (-3, 2.2)}, "not decided: do_branch2 − SO: cross-talk −0.4 [−3.0, +2.2] (bound ≤ +2)"),
        (
            {"cross_talk": (2.2, 4), "error_rate": (-2, 1)},
            "contradicted, do_branch2 − SO: cross-talk +3.1 [+2.2, +4.0] (bound ≤ +2)",
        ),
        ({"f1": (-4, -1)}, "contradicted, do_branch2 − SO: F1 −2.5 [−4.0, −1.0] (bound ≥ 0)"),
        ({"f1": (-2, 4)}, "not decided: do_branch2 − SO: F1 +1.0 [−2.0, +4.0] (bound ≥ 0)"),
    ):
        assert h4(**kept | change) == line


def test_other_systems_have_the_bounds_too():
    """Here `do` has the records that half depth has elsewhere; do_branch3 has none, so no line."""
    records = [replace(one, system="do") for one in bounds(cross_talk=(2.2, 4), error_rate=(-2, 0))]
    study = study_of({"do": HARD, "do_branch2": HARD, "do_branch3": HARD})
    study = StudyResults(replace(study.results, records=records))
    assert hypotheses.losses(study) == [
        "surface, broken: do − SO: cross-talk +3.1 [+2.2, +4.0] (bound ≤ +2)",
        "meaning, kept: do − SO: CER −1.0 [−2.0, +0.0]",
    ]


# Over many studies ---------------------------------------------------------------------------------
def drawn(rng, effect):
    """Five seeds of five arms in both languages: cross-talk rises by ``effect`` a block, seeds vary by 1 point."""
    talk = lambda: {output: rng.normal(size=5) / 100 for output in SO}  # noqa: E731
    depths = {"do_branch2": 2, "do": 4, "do_branch1": 1, "do_branch3": 3, "do_apart": 0}
    return [
        study_of({arm: {o: v + effect * x for o, v in talk().items()} for arm, x in depths.items()}, 5, language=one)
        for one in ("en", "ko")
    ]


@pytest.mark.slow
def test_a_planted_effect_is_found_and_none_where_there_is_none():
    """A slope's error over five seeds is 1 / sqrt(10 * 5) points; with half a point a block its t is noncentral."""
    rng = np.random.default_rng(1)
    wrong, held, found = 0, 0, 0
    for _ in range(150):
        lines = [one for of in verdicts(drawn(rng, 0.0)) for one in of if one.name == "H1"]
        wrong += any(one.verdict == "supported" for one in lines)
    for _ in range(350):
        for study in drawn(rng, 0.005):
            low, high = zip(*(one.estimate.interval for one in hypotheses.tests(study)[:2]), strict=True)
            held += np.sum((np.array(low) <= 0.5) & (np.array(high) >= 0.5))
            found += np.sum(np.array(low) > 0)
    assert wrong / 150 < 0.025 + 0.03  # one side of a family-wise 5 %
    assert held / 1400 == pytest.approx(0.95, abs=0.02)
    power = 1 - scipy_stats.nct.cdf(scipy_stats.t.ppf(0.975, 4), 4, 0.5 * np.sqrt(50))
    assert found / 1400 == pytest.approx(power, abs=0.03)


# The best arm --------------------------------------------------------------------------------------
def rates(**of):
    """Error rates of each seed, both outputs alike."""
    return [
        Record("error_rate", arm, output, "char", 0.1, per_seed={str(s): v for s, v in enumerate(values, 1)})
        for arm, values in of.items()
        for output in SO
    ]


COSTS = {
    "do": {"parameters": 100, "train_seconds": 100.0},
    "do_branch2": {"parameters": 130, "train_seconds": 125.0},
    "do_branch1": {"parameters": 131, "train_seconds": 100.0},
    "do_deep": {"parameters": 100, "train_seconds": 126.0},
    "do_branch3": {"parameters": 100, "train_seconds": 100.0},
}


def developed(split="valid", **of):
    found = {"do": [0.05, 0.05], "do_branch1": [0.01, 0.01], "do_deep": [0.01, 0.01], "do_branch2": [0.08, 0.06],
             "do_branch3": [0.09, 0.07, 0.0]} | of  # fmt: skip
    return study_of({arm: [0, 0] for arm in found}, 2, rates(**found), split=split, **COSTS)


def test_the_best_arm_costs_little_more_and_errs_least():
    lines = choice([developed()])
    assert lines[-1] == "best arm by docs/protocol.md, seeds 1 2: do_branch2"  # of the seeds that all have
    assert "do_branch2: summed error rates 14.0 %, parameters x 1.30, training time x 1.25" in lines
    assert sum(line.endswith("(too costly)") for line in lines) == 2
    both = choice([developed(), developed(do_branch2=[0.12, 0.12])])
    assert both[-1].endswith("do_branch3") and "do_branch3: summed error rates 32.0 %" in both[-2] + both[-3]
    assert choice([developed("test")]) == []
    [section] = sharing.sections([developed()], ["x"])
    assert section.verdicts == lines and section.notes == []


def test_the_table_has_twelve_numbers_an_output_at_most():
    rng = np.random.default_rng(0)
    study = study_of({arm: rng.normal(0.05, 0.01, 3) for arm in SHARING}, records=rates(do=[0.1]))
    table = sharing.table(study)
    assert [head.text for head, _ in table.rows] == ["single output", "do", "do_branch2", "do_branch3"]
    assert len(table.rows) * 3 <= 12 and len(table.columns) == 5
    alone = study_of({arm: [0.07] * 3 for arm in SHARING}, records=rates(do=[0.1])).results
    _, cells = sharing.table(replace(study, ctc=alone)).rows[1]
    assert cells[0].text.endswith(" (+7.0)") and "by CTC alone" in sharing.table(replace(study, ctc=alone)).about
