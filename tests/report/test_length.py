"""What longer training changes: kept studies of known numbers, of other numbers of epochs."""

from dataclasses import replace

import pytest

from l2dual.report import length
from l2dual.report.study import StudyResults, read_study
from tests.report.test_report import make_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "dump", ("so_surface", "so_meaning", "do"), (1, 2, 3))


def trained(results, epochs, talk):
    """The results of a training of so many epochs, with a cross-talk of the surface in points."""
    runs = [replace(run, epochs=epochs) for run in results.meta.runs]
    records = [
        replace(one, value=talk / 100, interval=((talk - 1) / 100, (talk + 1) / 100))
        if one.measure == "cross_talk" and one.output == "surface"
        else one
        for one in results.records
    ]
    return replace(results, meta=replace(results.meta, runs=runs), records=records)


@pytest.fixture(scope="module")
def lengths(folder):
    results = read_study(folder / "exp").results
    eight = StudyResults(trained(results, 8, 2.5), half=trained(results, 4, -99))
    four = StudyResults(trained(results, 4, 7), half=trained(results, 2, 9))
    unknown = StudyResults(trained(results, None, -99))  # kept before epochs were
    return length.by_epochs([eight, unknown, four])


def test_a_whole_training_wins_over_half_of_a_longer_one(lengths):
    talks = {epochs: study.difference("cross_talk", "surface").value for epochs, study in lengths.items()}
    assert talks == {2: 0.09, 4: 0.07, 8: 0.025} and list(lengths) == [2, 4, 8]


def test_half_a_budget_of_single_outputs_alone_is_no_length(folder):
    whole = trained(read_study(folder / "exp").results, 4, 7)
    runs = [run for run in whole.meta.runs if len(run.outputs) == 1]
    half = replace(whole, meta=replace(whole.meta, runs=runs), records=[r for r in whole.records if r.system != "do"])
    assert list(length.by_epochs([StudyResults(whole, half=half)])) == [4]


def test_table_and_figure_say_it(lengths):
    table = length.table(lengths)
    assert table.columns[:3] == ["surface: SO, CER %", "surface: do", "surface: cross-talk"]
    assert [head.text for head, _ in table.rows] == ["2", "4", "8"]
    cell = table.rows[2][1][2]
    assert (cell.text, cell.below) == ("+2.5", "[+1.5, +3.5]") and table.rows[2][1][-1].text == "3"
    single, dual = (lengths[8].rate("error_rate", name, "surface").value for name in ("so_surface", "do"))
    figure = length.figure(lengths, "x")
    assert f"8: {100 * single:.1f} / {100 * dual:.1f} / +2.5" in figure.text and figure.raw.count("<svg") == 1
    for label in ("surface, single output", "meaning, dual output", "epochs"):
        assert label in figure.raw


def test_the_longest_training_in_a_line(lengths):
    said = length.longest(lengths)
    assert said.startswith("Cross-talk of `do` after 8 epochs: surface +2.5 [+1.5, +3.5], meaning ")
    assert length.longest(length.by_epochs([lengths[8]])) == ""


def test_studies_that_differ_in_their_epochs():
    names = ["sharing_ctc", "sharing_ctc_max_epoch-8", "sharing_ctc_max_epoch-16", "sharing_ctc_max_epoch-8_on_valid"]
    assert length.longer("sharing_ctc", [*names, "sharing_ctc2_max_epoch-8"]) == names[1:3]
    assert length.by_epochs([]) == {}


def test_lengths_of_a_kept_study(lengths):
    kept = {"a": lengths[4], "a_max_epoch-8": lengths[8], "b": lengths[2]}
    assert list(length.lengths_of("a", kept)) == [4, 8] and list(length.lengths_of("b", kept)) == [2]
