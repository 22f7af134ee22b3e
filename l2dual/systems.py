"""What a system is: its outputs, and what its file of conf/systems says of it beside the training.

    system:
        label: both, matched    # as tables show it
        order: 10                      # place in tables, after all single-output systems
        baselines:                     # of a dual-output system: of each output, the first that was scored
            surface: [so_surface]
            meaning: [so_meaning]
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml

OUTPUTS = ("surface", "meaning")
SECTION = "system"  # of a file of conf/systems; the rest are options of the training
KINDS = {  # of the section, whose keys run.yaml has too
    "label": (str, "a line of text"),
    "order": (int, "a whole number"),
    "baselines": (dict, "for each output a list of systems"),
}
CTC_SHARES = {  # by --losses: CTC's share of an output's weight
    "fitted": {"surface": 0.7, "meaning": 0.5},  # docs/training.md
    "ctc": {"surface": 1.0, "meaning": 1.0},
}
LossWeights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class System:
    """A system. A single-output one has no baselines, a dual-output one has some of each output."""

    name: str
    outputs: tuple[str, ...]
    label: str
    order: int
    baselines: Mapping[str, Sequence[str]]  # by output, the preferred first

    @property
    def single(self) -> bool:
        """Whether it has one output."""
        return not self.baselines

    @property
    def place(self) -> tuple:
        """Key of its place in tables."""
        return not self.single, self.order, self.name

    def baseline(self, output: str, systems: Iterable["System"]) -> str | None:
        """The baseline of an output, of those among ``systems``; None if there is none."""
        singles = {one.name for one in systems if one.single and output in one.outputs}
        return next((name for name in self.baselines.get(output, ()) if name in singles), None)


def reference(system: System, output: str, systems: Iterable[System]) -> str | None:
    """Beside which of ``systems`` one is set: its baseline; of a single-output one, the first of the output."""
    systems = sorted(systems, key=lambda one: one.place)
    if system.baselines:
        return system.baseline(output, systems)
    return next((one.name for one in systems if one.single and output in one.outputs), None)


def read_system(path: Path) -> System:
    """Read a file of conf/systems.

    Raises:
        UsageError: no such file, no or wrong loss weights, an unknown or missing key, baselines of a
            single-output system, or not those of each output of a dual-output one.
    """
    content = read_yaml(path)
    try:
        outputs = active_outputs(content["model_conf"]["loss_weights"])
        return _checked(path.stem, outputs, content.get(SECTION))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: needs model_conf: loss_weights: {{surface: ...}}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def read_options(path: Path, losses: str | None = None) -> dict:
    """The options of the training that a file of conf/systems gives: all but its section, with ``losses``."""
    options = {key: value for key, value in read_yaml(path).items() if key != SECTION}
    if losses:
        options["model_conf"]["loss_weights"] = reweighted(options["model_conf"]["loss_weights"], losses)
    return options


def reweighted(loss_weights: LossWeights, losses: str) -> LossWeights:
    """The same weight on each output, CTC's share of it by `CTC_SHARES`.

    ``fitted`` leaves the weights as they are unless every output has CTC and attention.
    """
    if losses == "fitted" and not all(own["ctc"] and own["attention"] for own in loss_weights.values()):
        return loss_weights
    found: dict[str, dict[str, float]] = {}
    for output, own in loss_weights.items():
        total, share = sum(own.values()), CTC_SHARES[losses][output]
        found[output] = {"ctc": round(total * share, 6), "attention": round(total * (1 - share), 6)}
    return found


def from_run(run: Mapping) -> System:
    """The system of a run, given the content of its run.yaml.

    Raises:
        DataError: it does not say what `read_system` reads.
    """
    try:
        return _checked(run["system"], tuple(run["outputs"]), {key: run[key] for key in KINDS if key in run})
    except UsageError as error:
        raise DataError(str(error)) from error


def _checked(name: str, outputs: tuple[str, ...], said: object) -> System:
    if not isinstance(said, dict):
        raise UsageError(f"needs {SECTION}: with {', '.join(KINDS)}")
    for key in said.keys() - KINDS.keys():
        raise UsageError(f"{SECTION}: unknown key {key!r}: use {', '.join(KINDS)}")
    said = dict[str, Any](baselines={}) | said
    for key, (kind, words) in KINDS.items():
        if type(said.get(key)) is not kind or "\n" in str(said[key]):
            raise UsageError(f"{SECTION}: {key} is {said.get(key)!r}: give {words}")
    baselines, wanted = said["baselines"], outputs if len(outputs) > 1 else ()
    for output in baselines.keys() - set(wanted):
        why = f"it has {' and '.join(outputs)}" if wanted else "a single-output system has none"
        raise UsageError(f"{SECTION}: baselines of {output!r}: {why}")
    for output in wanted:
        names = baselines.get(output)
        if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
            raise UsageError(f"{SECTION}: baselines of {output!r}: {names!r}: give a list of single-output systems")
    return System(name, outputs, said["label"], said["order"], {output: tuple(baselines[output]) for output in wanted})


def active_outputs(loss_weights: LossWeights) -> tuple[str, ...]:
    """The outputs that carry weight, in the fixed order surface, meaning.

    An output whose weights are all 0 is not built: such a dual-output configuration is the
    single-output model.

    Raises:
        UsageError: an unknown output or loss, a weight that is no finite number or negative, or no
            weight at all.
    """
    for output, weights in loss_weights.items():
        if output not in OUTPUTS:
            raise UsageError(f"loss_weights: unknown output '{output}': use {' or '.join(OUTPUTS)}")
        if set(weights) != {"ctc", "attention"}:
            raise UsageError(f"loss_weights of {output}: give ctc and attention, got {weights}")
        if not all(isinstance(w, int | float) and abs(w) < math.inf for w in weights.values()):
            raise UsageError(f"loss_weights of {output}: a weight is not a finite number: {weights}")
        if min(weights.values()) < 0:
            raise UsageError(f"loss_weights of {output}: a weight is negative: {weights}")
    active = tuple(o for o in OUTPUTS if o in loss_weights and any(loss_weights[o].values()))
    if not active:
        raise UsageError("loss_weights: all are 0: give surface or meaning a weight")
    return active
