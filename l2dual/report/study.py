"""A study as reports read it: its results, its analyses, and how its numbers are written."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from l2dual.analysis.kinds import KINDS, Analysis, read_analysis
from l2dual.scoring.results import Record, Results, Run, read_results
from l2dual.systems import OUTPUTS, System, reference
from l2dual.text import LANGUAGES
from l2dual.text.units import RATES

SURFACE = {  # by convention and language
    ("heard", "en"): "English letters, respelled where the learner erred",
    ("heard", "ko"): "Hangul, respelled where the learner erred",
    ("pronounced", "en"): "ARPAbet phones",
    ("pronounced", "ko"): "Hangul as pronounced",
}


@dataclass(frozen=True)
class StudyResults:
    """What was measured of the systems of one comparison."""

    results: Results
    analyses: dict[str, Analysis] = field(default_factory=dict)  # of stage 11, by `KINDS`
    half: Results | None = None  # of half the training budget
    ctc: Results | None = None  # by CTC alone, where `results` are by a joint search

    @property
    def name(self) -> str:
        """The language, as "English"."""
        return LANGUAGES.get(self.results.meta.language, self.results.meta.language)

    @property
    def written(self) -> str:
        """How the surface is written."""
        meta = self.results.meta
        if meta.surface == "none":
            return "not known here"
        return SURFACE.get((meta.convention, meta.language), meta.convention)

    @property
    def outputs(self) -> list[str]:
        """The outputs that were scored, surface first."""
        return [output for output in OUTPUTS if output in self.results.meta.units]

    @cached_property
    def systems(self) -> dict[str, System]:
        """The systems by name, in their order."""
        found = sorted((run.about for run in self.results.meta.runs), key=lambda one: one.place)
        return {one.name: one for one in found}

    @property
    def dual(self) -> str | None:
        """The first dual-output system."""
        return next((name for name, one in self.systems.items() if not one.single), None)

    def baseline(self, output: str) -> str | None:
        """The system that ``dual`` is set beside; without one, the first that has the output alone."""
        found = list(self.systems.values())
        return reference(self.systems.get(self.dual, found[0]), output, found)

    def trio(self) -> list[str]:
        """``dual`` and its baselines."""
        found = [*(self.baseline(output) for output in self.outputs), self.dual]
        return [system for system in self.systems if system in found]

    def runs_of(self, system: str) -> list[Run]:
        """The runs of a system, by seed."""
        return sorted((r for r in self.results.meta.runs if r.system == system), key=lambda r: r.seed)

    def rate(self, measure: str, system: str, output: str, bin: str = "all") -> Record | None:
        """A measure of one system in the finer unit; None where it was not scored."""
        scored = output in self.results.meta.units
        return self.results.get(measure, system, output, bin=bin) if scored else None

    def difference(
        self, measure: str, output: str, bin: str = "all", system: str | None = None
    ) -> Record | None:
        """A measure of a dual-output system, ``dual`` by default, less its baseline's."""
        unit = self.results.meta.units.get(output, [None])[0]
        wanted = {"measure": measure, "system": system or self.dual, "output": output}
        found = self.results.find(**wanted, unit=unit, bin=bin)
        return next((record for record in found if record.baseline), None)

    def unit(self, output: str) -> str:
        """CER or PER: what an output's error rate is."""
        return RATES[self.results.meta.units[output][0]]


def read_study(exp: Path) -> StudyResults:
    """Read a results file and the analyses beside it.

    Raises:
        DataError: no results.json, or a broken file.
    """
    results = read_results(exp / "results.json")
    names, data = {run.name for run in results.meta.runs}, results.meta.data
    found = read_analyses(exp).items()
    ours = {what: one for what, one in found if one.meta.runs.keys() <= names and one.meta.data == data}
    return StudyResults(results, ours, read_beside(exp, "half", results), read_beside(exp, "ctc", results))


def read_beside(exp: Path, what: str, results: Results) -> Results | None:
    """The results of ``half`` the training budget, or by ``ctc`` alone, if they were scored of these models."""
    file = exp / f"results_{what}.json"
    found = read_results(file) if file.is_file() else None
    commits = {run.name: run.commit for run in results.meta.runs}
    return found if found and all(commits.get(run.name, run.commit) == run.commit for run in found.meta.runs) else None


def read_analyses(directory: Path) -> dict[str, Analysis]:
    """The files of stage 11 in a directory, by `KINDS`."""
    files = {what: directory / f"{what}.json" for what in KINDS}
    return {what: read_analysis(file) for what, file in files.items() if file.is_file()}


def number(value: float | None, decimals: int = 1, sign: str = "") -> str:
    """A number with a true minus; a dash where there is none."""
    return "–" if value is None else f"{value:{sign}.{decimals}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A fraction in percent."""
    return number(None if value is None else 100 * value)


def points(value: float | None) -> str:
    """A difference of fractions in points, with its sign."""
    return number(None if value is None else 100 * value, sign="+")


def ends(interval: tuple[float, float] | None, times: float = 100, decimals: int = 1) -> str:
    """An interval of differences in brackets; nothing where there is none."""
    if not interval:
        return ""
    return "[{}, {}]".format(*(number(times * end, decimals, "+") for end in interval))
