"""The page, the page over both languages, the terminal's table and RESULTS.md, of real result files."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from l2dual.analysis.kinds import Analysis, AnalysisMeta, Cosine, Similarity, write_analysis
from l2dual.bin.report import main as report_main
from l2dual.data.datadir import DataDir, write_table
from l2dual.data.divergence import bin_of, divergences
from l2dual.errors import DataError, run
from l2dual.report import claims as found_in
from l2dual.report import plots, results_md, tables
from l2dual.report.examples import choose, columns_of, examples, lay_out
from l2dual.report.page import page, page_over
from l2dual.report.study import StudyResults, number, read_study
from l2dual.report.summary import summary
from l2dual.scoring.outcomes import gather, outcomes
from l2dual.scoring.results import read_results, write_results
from l2dual.scoring.score import run_of, score
from l2dual.text.units import align
from l2dual.training.runs import write_yaml
from tests.systems import OUTPUTS, SYSTEMS, facts_of, make_data

COMMIT = {"commit": "abc", "command": "python -m l2dual.bin.results"}


def hypotheses(data, facts, seed, wrong):
    """References with errors; two outputs also write the other's text in every second utterance."""
    rng, found = np.random.default_rng(seed), {}
    for output in facts["outputs"]:
        other = {"surface": "meaning", "meaning": "surface"}[output]
        texts = {}
        for index, (utt, text) in enumerate(sorted(data[f"text.{output}"].items())):
            if len(facts["outputs"]) > 1 and (index + seed) % 4 < 2:
                text = data[f"text.{other}"][utt]
            kept = [letter for letter in text if rng.random() > wrong]
            texts[utt] = "".join(kept) or "c"
        found[output] = texts
    return found


def make_study(folder, systems=tuple(OUTPUTS), seeds=(1, 2, 3), wrong=0.1, conf=SYSTEMS, **info):
    """A data directory, decoded runs and results.json, as stage 10 leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "test").exists():
        with (make_data(folder / "test") / "corpus.yaml").open("a") as info_file:
            info_file.write("sampling_rate: 16000\n")
    data = DataDir.load(folder / "test")
    data.info.update(info)
    scored = []
    for system in systems:
        for seed in seeds:
            exp = folder / f"exp/{system}.seed{seed}"
            facts = facts_of(system, conf) | {"seed": seed, "data": str(folder)}
            facts |= {key: data.info[key] for key in ("corpus", "language", "convention")}
            facts |= {"train_config": "t.yaml", "command": "./run.sh", "commit": "abc"}
            texts = hypotheses(data, facts, seed, wrong)
            for output, table in texts.items():
                write_table(exp / f"decode/test/text.{output}", table)
            write_yaml(exp / "run.yaml", facts)
            one = run_of(facts, exp.name, str(exp / "decode/test"), "d.yaml", 1_900_000, 720.0)
            scored.append(score(data, texts, one))
    results = outcomes(gather(data, scored), COMMIT)
    write_results(folder / "exp/results.json", results)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "dump")


@pytest.fixture(scope="module")
def html(folder):
    return page(folder / "exp", folder / "test")


class Checker(HTMLParser):
    """Fails on a tag that is not closed, a duplicate id, or a picture without its text."""

    VOID = {"meta", "input", "br", "img", "path", "use", "link", "rect"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.before_details = [], set(), set(), True

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert attrs.get("id") not in self.ids, attrs
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        if tag == "a":
            self.links.add(attrs["href"])
        if tag == "svg":
            assert attrs["role"] == "img" and len(attrs["aria-label"]) > 40
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def first_screen(html):
    """The text before the table of contents."""
    return re.sub(r"<[^>]+>", " ", html[html.index("<header>") : html.index("<nav")])


def test_page_opens_with_the_answer(html, folder):
    checker = Checker()
    checker.feed(html)
    assert not checker.open
    assert {link[1:] for link in checker.links} <= checker.ids
    first = first_screen(html)
    assert "is what was pronounced" in first and first.count("Cross-talk: ") == 2
    assert html.index("<audio") < html.index("<nav") and html.index("<svg") < html.index("<nav")
    assert html[: html.index("<nav")].count("<table") == 1 and "<details open" not in html
    study = read_study(folder / "exp")
    talk = study.difference("cross_talk", "surface")
    assert talk.interval[0] > 0 and f"{100 * talk.value:+.1f} points" in first and "significant" in first
    assert "36 test utterances of 12 speakers, 3 seeds." in html
    assert "dual output (do)" in html and "prefers-color-scheme: dark" in html
    assert "<img" not in html and "http" not in html.replace("http://www.w3.org", "")


def test_what_was_not_measured_is_one_line(html, folder, tmp_path):
    assert "Similarity" not in html
    few = [replace(similarity(), cka=None, reason="55 frames; needs 128, four a dimension")] * 12
    write(folder / "exp/cka.json", "cka", few, runs={"do.seed1": "abc"})
    made = page(folder / "exp", folder / "test")
    (folder / "exp/cka.json").unlink()
    line = "Similarity of the encoders (CKA): not measured: 55 frames; needs 128, four a dimension."
    assert made.count("Similarity of the encoders") == 1 and line in made


def test_nothing_learned_is_said_first(tmp_path):
    folder = make_study(tmp_path / "dump", wrong=1.0, corpus="simulated")
    html = page(folder / "exp", folder / "test")
    first = first_screen(html)
    assert first.index("No system has learned yet") < first.index("error rate")
    assert "cross-talk of" not in first and "<svg" not in html and "points [" not in first
    said = summary([folder / "exp/results.json"])
    assert said.startswith("No system has learned yet") and "next: ./run.sh --study mini" in said
    own = folder / "exp/on_other/results.json"
    own.parent.mkdir()
    content = (folder / "exp/results.json").read_text()
    own.write_text(content.replace('"corpus": "simulated"', '"corpus": "table"', 1))
    said = summary([own])
    assert "next: train on more data or use a pretrained encoder" in said
    assert re.search("hypotheses: (.*?)/RUN/", said)[1] == str(folder / "exp")


def test_one_seed_is_not_comparable(tmp_path):
    folder = make_study(tmp_path / "dump", seeds=(1,))
    html = page(folder / "exp", folder / "test")
    assert first_screen(html).count("not comparable: needs 3 seeds, has 1") == 2
    assert "significant" not in first_screen(html) and '--seeds "1 2 3"' in summary([folder / "exp/results.json"])


def test_without_a_dual_system(tmp_path):
    folder = make_study(tmp_path / "dump", systems=("so_surface", "so_meaning"))
    html = page(folder / "exp", folder / "test")
    assert "No dual-output system was scored" in first_screen(html) and "<svg" not in html
    alone = make_study(tmp_path / "alone", systems=("so_meaning",))
    assert "meaning, CER %" in page(alone / "exp", alone / "test")


def test_an_assumed_surface_and_other_data_are_named(folder, tmp_path):
    results = read_results(folder / "exp/results.json")
    runs = [replace(one, trained_on="dump/mine") for one in results.meta.runs]
    meta = replace(results.meta, runs=runs, surface="assumed", convention="pronounced")
    write_results(tmp_path / "results.json", replace(results, meta=meta))
    html = page(tmp_path, folder / "test")
    assert "The surface is assumed, not annotated" in html
    assert "trained on dump/mine" in first_screen(html)
    other = make_data(tmp_path / "other", n_speakers=1)
    with pytest.raises(DataError, match=f"results are of {folder}/test, not {other}: check --data"):
        page(tmp_path, other)


def test_a_corpus_without_surface(tmp_path):
    folder = make_study(tmp_path / "dump", systems=("so_meaning",))
    for name in ("text.surface", "text.canonical"):
        (folder / "test" / name).unlink()
    info = folder / "test/corpus.yaml"
    info.write_text(info.read_text() + "surface: none\n")
    folder = make_study(folder, systems=("so_meaning",))
    html = page(folder / "exp", folder / "test")
    assert "Divergence: not measured" in html and "△</span>" not in html.replace("<span class=\"l\">△</span>", "")
    assert "what was pronounced (not known here)" in html


@pytest.mark.slow
def test_names_are_text(tmp_path):
    name = "do_$\\foo$<b>&"
    folder = make_study(tmp_path / "dump", systems=("so_surface", "so_meaning", name))
    html = page(folder / "exp", folder / "test")
    checker = Checker()
    checker.feed(html)
    assert "<b>&" not in html.replace("&lt;b&gt;", "") and "do_$\\foo$&lt;b&gt;&amp;" in html
    assert html.count("<svg") == 2


def test_analyses_of_other_runs_are_left_out(folder, html):
    write(folder / "exp/cka.json", "cka", [similarity()], runs={"elsewhere.seed1": "abc"})
    assert page(folder / "exp", folder / "test") == html
    write(folder / "exp/cka.json", "cka", [similarity()], data="dump/else", runs={"do.seed1": "abc"})
    assert page(folder / "exp", folder / "test") == html
    (folder / "exp/cka.json").unlink()


def similarity(x="so_surface", y="so_meaning", seeds=(1, 2), layer=1, **values):
    given = {"cka": 0.5, "null": 0.1, "floor": 0.3, "ceiling": 0.9, "ceiling_without": None}
    given |= {"interval": (0.4, 0.6), "reason": None} | values
    size = {"n_frames": 500, "n_utts": 36, "n_clusters": 12, "dim": 8}
    return Similarity(x, seeds[0], y, seeds[1], layer, **size, **given)


def write(path, what, records, data=None, runs=None):
    facts = {"corpus": "noise", "language": "en", "convention": "heard", "split": "test"}
    data = data or str(path.parents[1])
    write_analysis(path, Analysis(AnalysisMeta(what, **facts, data=data, runs=runs or {}, **COMMIT), records))


def test_tables_of_layers_are_means_over_unlike_seeds(folder):
    records = [similarity(layer=layer, cka=0.2 * layer + 0.1 * seed, seeds=(1, seed))
               for layer in (1, 2) for seed in (1, 2, 3)]  # fmt: skip
    cosines = [Cosine("do", seed, "block1", seed / 10, 7, None) for seed in (1, 2)]
    meta = read_results(folder / "exp/results.json")
    made = {what: Analysis(None, found) for what, found in (("cka", records), ("gradients", cosines))}
    encoders, gradients = tables.analyses(StudyResults(meta, made))
    assert encoders.columns == ["layer 1", "layer 2"]
    head, cells = encoders.rows[0]
    assert head.text == "so_surface and so_meaning" and [cell.text for cell in cells] == ["0.45", "0.65"]
    assert cells[0].below == "[0.40, 0.60]" and encoders.rows[1][0].text == "– null"
    assert gradients.rows == [(tables.Cell("do"), [tables.Cell("0.15")])]


def test_by_bin_and_detection(folder):
    study = read_study(folder / "exp")
    table = tables.by_bin(study, "surface")
    assert [head.text for head, _ in table.rows] == ["so_surface", "do", "do − so_surface"]
    assert sum(int(column.split("n = ")[1]) for column in table.columns) == 36
    (single, _), (_, dual) = tables.detection(study).rows
    assert single.text == "so_surface" and float(dual[2].text) < 90


# The paper's findings -----------------------------------------------------------------------------
def test_findings_of_error_rates(folder):
    study = read_study(folder / "exp")
    rows = dict(found_in.claims([study]))
    assert len(rows) == 5
    ((hurts,), (grows,), (alike,)) = (
        rows[next(claim for claim in rows if word in claim)] for word in ("hurts", "grows", "alike")
    )
    record = study.difference("error_rate", "surface")
    assert record.interval[0] > 0 and hurts.verdict == "holds"
    assert f"{number(100 * record.value, 1, '+')} points [" in hurts.said
    assert grows.verdict in ("holds", "inconclusive") and "points per edit" in grows.said
    assert alike.verdict == "not comparable" and "both languages" in alike.said
    helps = next(found[0] for claim, found in rows.items() if "helps" in claim)
    assert helps.verdict in ("does not hold", "inconclusive") and "do − so_meaning: +" in helps.said


@pytest.mark.parametrize(
    "interval,sign,verdict",
    [((0.1, 0.2), 1, "holds"), ((0.1, 0.2), -1, "does not hold"), ((-0.1, 0.2), 1, "inconclusive"),
     ((-0.2, -0.1), -1, "holds"), ((0.0, 0.2), 1, "inconclusive")],
)  # fmt: skip
def test_verdicts(interval, sign, verdict):
    assert found_in._verdict(interval, sign) == verdict


def pairs(values, ceiling=0.95):
    """Records of so_surface and so_meaning of three seeds; a value a block."""
    noise = {(1, 2): 0.01, (2, 1): 0.0, (1, 3): -0.01, (3, 1): 0.005, (2, 3): 0.0, (3, 2): -0.005}
    without = {str(seed): ceiling for seed in (1, 2, 3)}
    return [
        similarity(seeds=seeds, layer=layer, cka=value + more, ceiling=ceiling, ceiling_without=without)
        for layer, value in enumerate(values, 1)
        for seeds, more in noise.items()
    ]


@pytest.mark.parametrize(
    "english,korean,verdict",
    [([0.8, 0.7, 0.3], [0.4, 0.4, 0.5], "holds"), ([0.4, 0.4, 0.3], [0.8, 0.7, 0.5], "does not hold"),
     ([0.8, 0.7, 0.6], [0.4, 0.4, 0.5], "does not hold"), ([0.8, 0.7, 0.5], [0.4, 0.4, 0.5], "inconclusive"),
     ([0.95, 0.7, 0.3], [0.4, 0.4, 0.5], "inconclusive"), ([0.8, 0.7], [0.4, 0.4, 0.5], "not comparable")],
)  # fmt: skip
def test_more_alike_in_english_but_for_the_last_block(folder, english, korean, verdict):
    results = read_results(folder / "exp/results.json")
    studies = [
        StudyResults(replace(results, meta=replace(results.meta, language=name)), {"cka": Analysis(None, pairs(of))})
        for name, of in (("en", english), ("ko", korean))
    ]
    claim, found = found_in.claims(studies)[3]
    assert "more alike" in claim and [one.verdict for one in found] == [verdict] * 2


def test_jackknife_over_seeds():
    """Of a mean of independent values, a value a seed, it is the t-interval."""
    seeds = {1: 0.2, 2: 0.5, 3: 0.4}
    records = [similarity(seeds=(seed, seed)) for seed in seeds]

    def value(without):
        return np.mean([v for seed, v in seeds.items() if seed != without])

    estimate = found_in.over_seeds(value, records)
    reach = 4.302653 * np.std(list(seeds.values()), ddof=1) / np.sqrt(3)
    assert estimate.value == pytest.approx(np.mean(list(seeds.values())))
    assert estimate.interval == pytest.approx((estimate.value - reach, estimate.value + reach), abs=1e-5)
    assert "has 2" in found_in.over_seeds(value, records[:2]).reason


# Both languages, the terminal, RESULTS.md ---------------------------------------------------------
@pytest.fixture(scope="module")
def korean(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("korean") / "dump", systems=[*OUTPUTS, "do_branch3"], language="ko")


def test_page_over_both_languages(folder, korean):
    html = page_over([folder / "exp", korean / "exp"])
    checker = Checker()
    checker.feed(html)
    assert not checker.open and html.count("<svg") == 2
    assert html.index("English") < html.index("Korean") and html.count("Cross-talk: ") == 4


def test_terminal_ends_with_about_ten_lines(folder, korean):
    (folder / "exp/report.html").write_text("page")
    said = summary([one / "exp/results.json" for one in (folder, korean)])
    (folder / "exp/report.html").unlink()
    lines = said.splitlines()
    assert len(lines) <= 13 and lines[-1] == "next: open the report"
    half = folder / "exp/results_half.json"
    half.write_text((folder / "exp/results.json").read_text())
    assert summary([half]).count("hypotheses: ") == 1
    assert "Budget" in summary([folder / "exp/results.json"]) and "Budget" not in summary([half])
    half.unlink()
    talk = read_study(folder / "exp").difference("cross_talk", "surface").value
    row = next(line for line in lines if line.startswith("en  do "))
    assert f"{100 * talk:+.1f}" in row and "CER" in row
    assert len(summary([folder / "exp/results.json"]).splitlines()) <= 10
    assert f"report: {folder}/exp/report.html" in said and "hypotheses: " in said and "models: " in said


@pytest.mark.slow
def test_results_md_is_one_screen(folder, tmp_path, monkeypatch):
    from l2dual.bin.records import main as records_main
    from l2dual.report import records

    for recipe in ("l2_en", "l2_xx"):
        for study in ("measure", "measure_heard", "other"):
            to = tmp_path / f"egs2/{recipe}/results/{study}"
            exps = map(str, sorted((folder / "exp").glob("*.seed*")))
            args = ["records", "keep", *exps, "--data", str(folder / "test"), "--to", str(to)]
            monkeypatch.setattr(sys, "argv", args)
            records_main()
            assert (to / f"{records.REFERENCES}{records.SUFFIX}").is_file()
    monkeypatch.setattr(sys, "argv", ["records", "publish", str(tmp_path / "egs2")])
    records_main()
    text = (tmp_path / "egs2/l2_en/RESULTS.md").read_text()
    results = read_results(folder / "exp/results.json")
    kept = results_md.read_kept(to).results
    assert [r.per_seed for r in kept.records] == [r.per_seed for r in results.records]
    assert [r.p for r in kept.records] == [r.p for r in results.records]
    talk = read_study(folder / "exp").difference("cross_talk", "meaning")
    assert f"{number(100 * talk.value, 1, '+')} [" in text and "| `other` |" in text and "`do` of each study" in text
    assert len(re.findall(r"^\d\. ", text, re.M)) == 3 and "The paper’s findings, here](../" in text
    assert "](../../docs/cross_talk.svg)" in text and (tmp_path / "docs/cross_talk.svg").read_text().startswith("<?xml")
    both = (tmp_path / "egs2/RESULTS.md").read_text()
    assert both.count("| `do`: both, matched |") == 2 and "(l2_xx/RESULTS.md)" in both
    assert both.count("**") == 10 and "| first models |" in both and "results/measure_heard" in both
    for line in [*text.splitlines(), *both.splitlines()]:
        assert not line.startswith("|") or line.endswith("|"), line


def test_command_refuses_broken_results(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "results.json").write_text("{}")
    args = ["report", "--exp", str(tmp_path), "--data", str(folder / "test"), "--out", str(tmp_path / "r.html")]
    monkeypatch.setattr(sys, "argv", args)
    with pytest.raises(SystemExit):
        run(report_main)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "results.json" in error and not (tmp_path / "r.html").exists()


# Plots and examples -------------------------------------------------------------------------------
def test_plots_follow_the_page_and_stand_alone(folder):
    study = read_study(folder / "exp")
    figure = plots.cross_talk([study], "a")
    assert "var(--dual)" in figure.svg and plots.DUAL not in figure.svg and 'id="a-' in figure.svg
    assert plots.DUAL in figure.raw and "var(" not in figure.raw
    rate = study.rate("learner_error_rate", "do", "surface").value
    assert f"surface, do {100 * rate:.1f}" in figure.text
    assert "surface" in plots.by_divergence(study, "b").text


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


def test_examples_take_turns_over_bins_and_speakers(folder):
    data = DataDir.load(folder / "test")
    found = {utt: divergence.learner for utt, divergence in divergences(data).items()}
    chosen = choose(found, data["utt2spk"], 6)
    assert len(set(chosen)) == 6
    assert len({bin_of(found[utt]) for utt in chosen}) == len(set(map(bin_of, found.values())))
    assert len({data["utt2spk"][utt] for utt in chosen}) >= 5
    assert len(choose(found, data["utt2spk"], 100)) == len(found)


def test_the_first_example_has_a_learners_error_and_three_systems(folder):
    study, data = read_study(folder / "exp"), DataDir.load(folder / "test")
    first, *others = examples(study, data)
    assert first["divergence"] == min(one["divergence"] for one in [first, *others] if one["divergence"])
    assert [block.labels for block in first["blocks"]] == [
        ["intended", "surface", "so_surface", "do"], ["meaning", "so_meaning", "do"]
    ]  # fmt: skip
    assert first["audio"].startswith("data:audio/flac;base64,")
