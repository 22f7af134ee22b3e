"""Whether models have finished learning: a budget is enough when doubling it changes little."""

from statistics import mean

from l2dual.report.study import StudyResults, percent

ENOUGH = 0.05  # of a single-output system's error; what doubling a budget may take from it


def budget(study: StudyResults) -> str:
    """What to say of it: enough, not enough, or not checked, since no half budget was scored."""
    if study.half is None:
        return 'Budget: not checked (needs --budgets "half whole").'
    falls = {}
    for name, system in study.systems.items():
        for output in system.outputs if system.single else ():
            half, whole = (one.get("error_rate", name, output) for one in (study.half, study.results))
            seeds = half.per_seed.keys() & whole.per_seed.keys() if half and whole else ()
            if seeds and (before := mean(half.per_seed[seed] for seed in seeds)):
                after = mean(whole.per_seed[seed] for seed in seeds)
                falls[1 - after / before] = f"{name} has {percent(before)} % errors; with all, {percent(after)} %"
    if not falls:
        return "Budget: not checked (no single-output system has both budgets)."
    most = max(falls)
    verdict = "enough" if most <= ENOUGH else "not enough"
    return f"Budget: {verdict}. With half of it, {falls[most]}. The limit is a fall of {100 * ENOUGH:.0f} % (relative)."
