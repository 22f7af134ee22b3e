"""What kind of arm a system is, by its configuration: how much its outputs share, and what its control is.

An arm is compared with the single-output systems of ``study.dual``, and has its losses.
"""

from collections.abc import Callable

from l2dual.report.study import StudyResults
from l2dual.scoring.results import Run

Take = Callable[[Run], float | None]


def depth(run: Run) -> float | None:
    """The blocks that the outputs of a run share, if it differs from `do` in them alone."""
    if run.sharing.keys() == {"branch"}:
        return run.sharing["branch"]["depth"]
    return None if run.sharing else run.blocks


def pull_of(output: str) -> Take:
    """How hard an output pulls in a run, if that differs from `do` in it alone."""

    def pull(run: Run) -> float | None:
        pulls = {"surface": 1.0, "meaning": 1.0} | run.sharing.get("pull", {})
        others = {one for name, one in pulls.items() if name != output}
        return pulls[output] if run.sharing.keys() <= {"pull"} and others == {1.0} else None

    return pull


def arms_by(study: StudyResults, take: Take) -> dict[float, str]:
    """The system of each dose, in order: those of the loss, decoders and baselines of ``study.dual``."""
    found: dict[float, str] = {}
    for system in arms(study):
        run = study.runs_of(system)[0]
        if (run.sharing or system == study.dual) and (x := take(run)) is not None:
            found.setdefault(x, system)
    return dict(sorted(found.items()))


def arms(study: StudyResults) -> list[str]:
    """The dual-output systems with the baselines of ``study.dual``, in their order."""
    duals = {name: one for name, one in study.systems.items() if not one.single}
    return [name for name, one in duals.items() if one.baselines == duals[study.dual].baselines]


def half_depth(study: StudyResults) -> str | None:
    """The arm whose outputs share half of the blocks."""
    found = arms_by(study, depth)
    return next((arm for x, arm in found.items() if 2 * x == study.runs_of(arm)[0].blocks), None)


def control(study: StudyResults) -> tuple[str, str] | None:
    """An arm that shares all of more blocks than `do`, and the branch that has as many blocks in all."""
    branches = {
        2 * study.runs_of(arm)[0].blocks - x: arm
        for x, arm in arms_by(study, depth).items()
        if study.runs_of(arm)[0].blocks and arm != study.dual
    }
    for arm in arms(study):
        run = study.runs_of(arm)[0]
        if arm != study.dual and not run.sharing and run.blocks in branches:
            return arm, branches[run.blocks]
    return None


def talks(study: StudyResults, system: str, output: str) -> dict[str, float]:
    """The cross-talk of each seed, in points."""
    found = study.difference("cross_talk", output, system=system)
    if found is None or found.value is None:
        return {}
    return {seed: 100 * value for seed, value in found.per_seed.items()}


def learned(study: StudyResults, system: str, output: str) -> dict[str, float]:
    """The same, of seeds whose system and baseline have learned the output."""
    found = study.difference("cross_talk", output, system=system)
    names = (system, found.baseline) if found else ()
    unlearned = {str(run.seed) for name in names for run in study.runs_of(name) if output in run.not_learned}
    return {seed: value for seed, value in talks(study, system, output).items() if seed not in unlearned}
