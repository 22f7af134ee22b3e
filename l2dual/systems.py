"""The outputs of a system, and how its configuration weighs their losses."""

import math
from collections.abc import Iterable, Mapping

from l2dual.errors import UsageError

OUTPUTS = ("surface", "meaning")
SINGLE = {output: f"so_{output}" for output in OUTPUTS}  # the single-output system of each
CONTROL = {output: f"{name}_ctc" for output, name in SINGLE.items()}  # with CTC : attention 1 : 2
MATCHED = {  # dual-output systems with the CTC : attention of a control instead of so_OUTPUT's
    "do_ctc": CONTROL,
    "do_equal": {"surface": CONTROL["surface"]},
    "do_ctc_meaning": {"meaning": CONTROL["meaning"]},
}
LossWeights = Mapping[str, Mapping[str, float]]


def is_single(system: str) -> bool:
    """Whether a system, by its name, has one output: so_surface, so_meaning or a control of theirs."""
    return system.startswith("so_")


def baseline_of(system: str, output: str, scored: Iterable[str]) -> str | None:
    """The baseline of one output of a dual-output system; None if it is not scored.

    It is the control with the same CTC : attention if that is among ``scored`` (the systems that
    have the output), otherwise so_OUTPUT.
    """
    if is_single(system):
        return None
    wanted = (MATCHED.get(system, {}).get(output), SINGLE[output])
    return next((name for name in wanted if name in set(scored)), None)


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
