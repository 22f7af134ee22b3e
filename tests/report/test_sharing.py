"""Dose against response, and entanglement against cross-talk, of arms whose numbers are known."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from l2dual.analysis.kinds import Analysis, Cosine, Similarity
from l2dual.data.datadir import DataDir
from l2dual.report import arms, records, sharing
from l2dual.report.page import page, page_over
from l2dual.report.results_md import write_results_md
from l2dual.report.sharing_md import over_all
from l2dual.report.study import StudyResults, read_study
from tests.report.test_report import Checker, make_study, similarity

ARMS = {"do_apart": 0, "do_branch1": 1, "do_branch2": 2, "do_branch3": 3, "do": 4}
OTHERS = ("do_pull", "do_pull0_surface", "do_surface_first", "do_deep", "do_paper")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    systems = ("so_surface", "so_meaning", *ARMS, *OTHERS)
    return make_study(tmp_path_factory.mktemp("study") / "dump", systems, (1, 2))


@pytest.fixture(scope="module")
def study(folder):
    """Cross-talk of the surface: 3 points a shared block, one more in seed 2; the meaning has half of it."""
    study = read_study(folder / "exp")
    records = []
    for record in study.results.records:
        if record.measure == "cross_talk" and record.system in ARMS:
            base = 0.03 * ARMS[record.system] * (1 if record.output == "surface" else 0.5)
            record = replace(record, per_seed={"1": base, "2": base + 0.01}, value=base + 0.005)
        records.append(record)
    return StudyResults(replace(study.results, records=records), {})


def test_a_dose_is_what_differs_from_do_alone(study):
    assert arms.arms_by(study, arms.depth) == {blocks: arm for arm, blocks in ARMS.items()}
    assert arms.arms_by(study, arms.pull_of("meaning")) == {0.3: "do_pull", 1: "do"}
    assert arms.arms_by(study, arms.pull_of("surface")) == {0: "do_pull0_surface", 1: "do"}


def test_the_curve_says_what_it_shows(study):
    figure = sharing.dose(study, "x")
    assert "blocks shared: surface 0: +0.5, 1: +3.5, 2: +6.5, 3: +9.5, 4: +12.5; meaning 0: +0.5" in figure.text
    assert "pull of the meaning: surface 0.3: " in figure.text and figure.raw.count("<svg") == 1
    for axis in ("blocks shared", "pull of the surface"):
        assert axis in figure.raw
    for colour in (sharing.DUAL, sharing.SINGLE):  # seeds as points, of both outputs
        assert len(re.findall(rf"<use [^>]*{colour}", figure.raw)) >= 2 * len(ARMS)


def test_entanglement_that_orders_the_arms(study):
    """Cosines that rise with the blocks shared, CKA that falls; two arms are too few for a correlation."""
    cosines = [Cosine(arm, seed, "block1", 0.1 * blocks, 5) for arm, blocks in ARMS.items() for seed in (1, 2)]
    cosines += [Cosine("do_branch1", 1, "other", -9.0, 5), Cosine("do_surface_first", 1, None, None, 0, "none")]
    likes = [similarity(arm, "so_meaning", (1, 2), 2, cka=1 - 0.1 * blocks) for arm, blocks in ARMS.items()]
    likes += [similarity(arm, "so_meaning", (1, 1), 2, cka=np.pi) for arm in ARMS]  # of one seed: left out
    likes += [similarity(arm, "so_meaning", (1, 2), 1, cka=0.0) for arm in ARMS]
    assert isinstance(likes[0], Similarity)
    made = {"gradients": Analysis(None, cosines), "cka": Analysis(None, likes)}
    figure = sharing.entanglement(StudyResults(study.results, made), "x")
    assert "gradient cosine, surface +1.00 (5 arms)" in figure.text
    assert "with so_meaning, meaning −1.00 (5 arms)" in figure.text and "probe" not in figure.text
    few = {"gradients": Analysis(None, [one for one in cosines if one.system in ("do", "do_branch1")])}
    assert sharing.entanglement(StudyResults(study.results, few), "x") is None


@pytest.mark.slow
def test_a_kept_study_has_its_own_page(folder, tmp_path):
    exps = folder / "exp"
    for run in (path for system in ("so_surface", "so_meaning", "do") for path in exps.glob(f"{system}.seed*")):
        shutil.copytree(run / "decode", run / "decode_ctc")
    shutil.copytree(exps / "do_branch2.seed1/decode", exps / "do_branch2.seed1/decode_ctc")
    for name in ("measure", "sharing"):
        exps = sorted((folder / "exp").glob("*.seed*" if name == "sharing" else "*o.seed*"))
        records.keep_study(exps, DataDir.load(folder / "test"), tmp_path / f"egs2/l2_en/results/{name}", "decode", None)
    (tmp_path / "docs").mkdir()
    written = write_results_md(tmp_path / "egs2")
    assert tmp_path / "egs2/l2_en/SHARING.md" in written
    text = (tmp_path / "egs2/l2_en/SHARING.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 4 + 2 + len(ARMS) + len(OTHERS) and all(row.endswith(" |") for row in rows)
    (first, _), (alt, plot) = re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    assert "English SO +0.0 / 1" in first and "do_branch2 +" in first and "do_paper" not in first
    assert "blocks shared: surface" in alt
    for path in (tmp_path / "docs/sharing.svg", tmp_path / "egs2/l2_en" / plot):
        assert path.read_text().startswith("<?xml")
    talk = read_study(folder / "exp").difference("cross_talk", "surface")
    both = f"{100 * talk.value:+.1f} ({100 * talk.value:+.1f})"
    assert not re.search(r"`do_branch2`: [^|]*\| \S+ \(", text)  # by CTC alone it has fewer seeds
    assert f"| `do`: both, matched | {both} |" in text and "speakers and seeds. In parentheses: by CTC alone." in text
    lines = [line for line in text.splitlines() if line.startswith("- H")]
    assert lines == ["- H1 to H4: not decided: need 3 seeds, and systems as in the study sharing"]
    short = (tmp_path / "egs2/l2_en/RESULTS.md").read_text(encoding="utf-8")
    assert "Study `sharing`" in short and "(SHARING.md)" in short and "| `sharing` |" not in short


@pytest.mark.slow
def test_the_page_shows_it_where_arms_share_in_unlike_ways(folder, tmp_path):
    html = page(folder / "exp", folder / "test")
    checker = Checker()
    checker.feed(html)
    assert not checker.open and "#doses" in checker.links and {"doses", "sharing"} <= checker.ids
    assert html.index("H1 to H4: not decided: need 3 seeds") < html.index("<nav")
    assert "Cross-talk in points by what is shared" in html
    both = page_over([folder / "exp", folder / "exp"])
    assert both.count("<h2>Sharing: English</h2>") == 2 and both.count("H1 to H4: not decided") == 2
    plain = make_study(tmp_path / "plain", ("so_surface", "so_meaning", "do", "do_deep"), (1,))
    assert sharing.sections([read_study(plain / "exp")], ["x"]) == [None]
    assert "how much is shared" not in page(plain / "exp", plain / "test")


def test_the_picture_is_of_the_study_that_both_recipes_have(study):
    kept = [{"sharing": study, "sharing_ctc": study}, {"sharing_ctc": study}]
    one, both = (over_all(kept[:number], [dict.fromkeys(of) for of in kept[:number]]) for number in (1, 2))
    assert one.text.count("English") == 1 and both.text.count("English") == 2
    assert over_all([{}], [{}]) is None
