"""Whether the budget of a study's trainings was enough."""

from dataclasses import replace

import pytest

from l2dual.report.budget import budget
from l2dual.report.study import StudyResults, read_study
from l2dual.scoring.results import Results
from tests.report.test_report import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyResults:
    return read_study(make_study(tmp_path_factory.mktemp("study") / "dump") / "exp")


def changed(results: Results, factors: dict[str, float]) -> Results:
    """The error rates of systems multiplied."""
    records = [
        replace(one, per_seed={seed: rate * factors.get(one.system, 1) for seed, rate in one.per_seed.items()})
        if one.measure == "error_rate" and one.value
        else one
        for one in results.records
    ]
    return replace(results, records=records)


@pytest.mark.parametrize(
    "factors, said",
    [
        ({}, "enough"),
        ({"so_surface": 1.04}, "enough"),
        ({"so_surface": 1.04, "so_meaning": 1.2}, "not enough"),
        ({"do": 2.0}, "enough"),  # single-output systems decide
        ({"so_surface": 0.5}, "enough"),  # it got worse
    ],
)
def test_a_budget_is_enough_if_doubling_it_changes_little(study, factors, said):
    found = budget(replace(study, half=changed(study.results, factors)))
    assert found.startswith(f"Budget: {said}. With half of it, so_")
    assert "so_meaning" in found or max(factors, key=factors.get) == "so_surface"


def test_seeds_that_have_no_half_do_not_count(study):
    record = study.results.get("error_rate", "so_surface", "surface")
    lowered = replace(record, per_seed=record.per_seed | {"9": 0.0})
    whole = replace(study.results, records=[lowered if one is record else one for one in study.results.records])
    assert budget(replace(study, results=whole, half=study.results)).startswith("Budget: enough.")


def test_without_half_it_is_not_checked(study):
    assert budget(study) == 'Budget: not checked (needs --budgets "half whole").'
