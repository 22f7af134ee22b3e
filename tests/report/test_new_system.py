"""A system with a baseline of its own is everywhere by its file alone."""

import shutil
import sys

import pytest
import yaml

from l2dual.analysis import retrained
from l2dual.analysis.decoders import compare_decoders
from l2dual.analysis.entanglement import AnalysisOptions, analyse
from l2dual.analysis.probes import probe
from l2dual.bin import configure, records
from l2dual.files import read_yaml
from l2dual.models.search import SearchOptions
from l2dual.report.page import page
from l2dual.report.results_md import write_results_md
from l2dual.report.study import read_study
from l2dual.report.summary import summary
from tests.report.test_report import make_study
from tests.systems import SYSTEMS, facts_of, make_data, make_run

SURFACE = {"surface": {"ctc": 0.5, "attention": 0.5}}
SINGLE = {"model_conf": {"loss_weights": SURFACE}, "system": {"label": "mine alone", "order": 5}}
BASELINES = {"surface": ["so_mine"], "meaning": ["so_meaning"]}
DUAL = {
    "model_conf": {"loss_weights": SURFACE | {"meaning": {"ctc": 0.0, "attention": 0.5}}},
    "system": {"label": "mine of both", "order": 5, "baselines": BASELINES},
}
MINE = ("so_mine", "do_mine")
THEIRS = ("so_surface", "so_meaning", "do")


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    folder = shutil.copytree(SYSTEMS, tmp_path_factory.mktemp("conf") / "systems")
    for name, content in zip(MINE, (SINGLE, DUAL), strict=True):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_it_is_copied_into_the_run_and_is_no_option_of_the_training(conf, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_data(tmp_path / "train", n_speakers=1, per_speaker=1)
    command = ["configure", "--train_config", str(root / "conf/train/mini.yaml"), "--data", str(tmp_path)]
    command += ["--system", str(conf / "do_mine.yaml"), "--seed", "1", "--stats", "stats", "--out", "run"]
    monkeypatch.setattr(sys, "argv", [*command, "--surface_tokens", "t", "--meaning_tokens", "t"])
    configure.main()
    said = read_yaml(tmp_path / "run/run.yaml")
    assert {key: said[key] for key in facts_of("do_mine", conf)} == facts_of("do_mine", conf)
    options = read_yaml(tmp_path / "run/train.yaml")
    assert options["model_conf"]["loss_weights"] == DUAL["model_conf"]["loss_weights"]
    assert "system" not in options and "label" not in options


@pytest.mark.slow
def test_results_and_reports(conf, tmp_path, monkeypatch):
    folder = make_study(tmp_path / "dump", (*MINE, *THEIRS), conf=conf)
    study = read_study(folder / "exp")
    assert list(study.systems) == ["so_mine", "so_surface", "so_meaning", "do_mine", "do"]
    talk = study.results.get("cross_talk", "do_mine", "surface", baseline="so_mine")
    rates = [study.rate("error_rate", system, "surface").value for system in ("do_mine", "so_mine")]
    apart = study.results.get("error_rate", "do_mine", "surface", baseline="so_mine").value
    assert talk.interval and apart == pytest.approx(rates[0] - rates[1])
    assert {record.baseline for record in study.results.find(system="do_mine")} == {None, "so_mine", "so_meaning"}
    assert study.trio() == ["so_mine", "so_meaning", "do_mine"]
    html = page(folder / "exp", folder / "test")
    assert "so_mine, so_meaning" in html and "do_mine − so_mine" in html and "do − so_surface" in html
    assert "mine of both" in html and "dual output (do_mine)" in html
    assert any(line.split()[1] == "do_mine" for line in summary([folder / "exp/results.json"]).splitlines()[1:6])
    to = tmp_path / "egs2/l2_en/results/measure"
    exps = map(str, sorted((folder / "exp").glob("*.seed*")))
    monkeypatch.setattr(sys, "argv", ["records", "keep", *exps, "--data", str(folder / "test"), "--to", str(to)])
    records.main()
    write_results_md(tmp_path / "egs2")
    text = (tmp_path / "egs2/l2_en/RESULTS.md").read_text()
    assert "| `do_mine`: mine of both |" in text and "--systems \"so_mine" in text
    over_both = (tmp_path / "egs2/RESULTS.md").read_text()
    assert "`do_mine` (one encoder, both outputs) is compared with `so_mine` and `so_meaning`" in over_both
    assert "do_mine − so_mine: " in over_both


@pytest.mark.slow
def test_analyses(conf, tmp_path, monkeypatch):
    data, fit = make_data(tmp_path / "test"), make_data(tmp_path / "valid", n_speakers=8)
    names = ("so_surface", "so_meaning", *MINE)
    exps = [make_run(tmp_path / name, name, 1, folder=conf) for name in names]

    def pairs(records):
        return {frozenset((record.system_x, record.system_y)) for record in records}

    mine = {frozenset(("do_mine", name)) for name in ("so_mine", "so_meaning")}
    assert mine | {frozenset(("so_mine", "so_meaning"))} <= pairs(analyse(data, exps, AnalysisOptions()))
    assert mine <= pairs(compare_decoders(data, exps, AnalysisOptions()))
    probed = probe(data, fit, exps, AnalysisOptions())
    last = {(r.system, r.target): r for r in probed if (r.layer, r.tokens) == (2, "all")}
    single, dual = (last[name, "surface"] for name in ("so_mine", "do_mine"))
    assert dual.loss == pytest.approx(single.value - dual.value) and single.loss is None
    monkeypatch.setattr(retrained, "MIN_FIT", 5)
    monkeypatch.setattr(retrained, "MIN_UTTERANCES", 5)
    few = AnalysisOptions(search=SearchOptions(beam_size=1), max_utts=6, epochs=1)
    found = {(r.system, r.output): r for r in retrained.retrain(data, fit, [exps[0], *exps[2:]], few)}
    single, dual = (found[name, "surface"] for name in ("so_mine", "do_mine"))
    assert dual.difference == pytest.approx(dual.value - single.value) and single.difference == 0
    assert found["do_mine", "meaning"].difference is None  # so_meaning is not there
