"""The best arm by docs/protocol.md, chosen on development data: the lowest error of those that cost little more."""

from math import isfinite
from statistics import mean

from l2dual.report.arms import arms
from l2dual.report.study import StudyResults, number

VALID = "valid"  # the split of the development data
MOST = {"parameters": 1.3, "train_seconds": 1.25}  # of an arm, as a multiple of what `do` costs


def choice(studies: list[StudyResults]) -> list[str]:
    """A line for each arm, and the best; of several languages together. Nothing on test data.

    An arm's error is the sum of both outputs' rates over the languages, of the seeds that all arms have.
    """
    chooses = [one.results.meta.split == VALID and one.dual and len(one.outputs) > 1 for one in studies]
    if not studies or not all(chooses):
        return []
    found = [name for name in arms(studies[0]) if all(name in arms(one) for one in studies)]
    do = studies[0].dual
    if len(found) < 2 or any(one.runs_of(do)[0].sharing for one in studies):
        return []
    places = [(one, arm, output) for one in studies for arm in found for output in one.outputs]
    seeds = sorted(set.intersection(*(set(_rates(*place)) for place in places)), key=int)
    if not seeds:
        return ["best arm: not chosen: no seed is decoded for every arm"]
    sums = {arm: 100 * sum(mean(_rates(one, arm, output)[seed] for seed in seeds)
            for one in studies for output in one.outputs) for arm in found}  # fmt: skip
    lines, cheap = [], []
    for arm in found:
        costs = {name: max(_cost(one, arm, name) / _cost(one, do, name) for one in studies) for name in MOST}
        dear = any(costs[name] > most for name, most in MOST.items())
        if all(costs[name] <= most for name, most in MOST.items()) and arm != do:
            cheap.append(arm)
        times = f"parameters x {costs['parameters']:.2f}, training time x {costs['train_seconds']:.2f}"
        if not all(map(isfinite, costs.values())):
            times = "cost not known"
        lines.append(f"{arm}: summed error rates {number(sums[arm])} %, {times}{' (too costly)' if dear else ''}")
    best = min(cheap, key=sums.__getitem__, default="none")
    return [*lines, f"best arm by docs/protocol.md, seeds {' '.join(seeds)}: {best}"]


def _rates(study: StudyResults, arm: str, output: str) -> dict[str, float]:
    found = study.rate("error_rate", arm, output)
    return found.per_seed if found else {}


def _cost(study: StudyResults, arm: str, name: str) -> float:
    """The least of its runs, since others may have shared the machine; not a number if none is known."""
    found = [value for run in study.runs_of(arm) if (value := getattr(run, name)) is not None]
    return min(found, default=float("nan"))
