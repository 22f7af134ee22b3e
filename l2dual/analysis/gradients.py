"""What the training of the dual-output systems logged: gradient cosines, for exp/gradients.json."""

import math
from pathlib import Path
from statistics import mean

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from l2dual.analysis.kinds import Cosine
from l2dual.models.loss_gradients import PREFIX
from l2dual.scoring.score import read_run

NO_LOG = (
    "no gradient cosine in the run's TensorBoard log: gradient_interval 0, all layers frozen, nothing that both "
    "outputs train, or epochs shorter than log_interval"
)


def cosines(exp_dirs: list[Path]) -> list[Cosine]:
    """One record per dual-output run and layer of its encoder: the mean over training.

    A run whose log has none gives one record without a value, with the reason.

    Raises:
        DataError: a run.yaml is missing or broken.
    """
    records = []
    for exp_dir in exp_dirs:
        run = read_run(exp_dir / "run.yaml")
        if len(run["outputs"]) < 2:
            continue
        log = exp_dir / "tensorboard"
        ends = read_scalars(log / "valid", "loss").get("", {})  # ESPnet logs an epoch's means there
        curves = {
            layer: [value for step, value in curve.items() if step not in ends]
            for layer, curve in read_scalars(log / "train", PREFIX).items()
        }
        found = [(layer, mean(values), len(values), None) for layer, values in curves.items() if values]
        records += [
            Cosine(run["system"], run["seed"], *one) for one in found or [(None, None, 0, NO_LOG)]
        ]
    return records


def read_scalars(log: Path, prefix: str) -> dict[str, dict[int, float]]:
    """TensorBoard's scalars whose names begin with ``prefix``, without it: ``{name: {step: value}}``.

    Values that are nan (not measured since the last entry) are left out, and names without any
    value. Empty if there is no log.
    """
    if not log.is_dir():
        return {}
    events = EventAccumulator(str(log), size_guidance={"scalars": 0}).Reload()
    curves = {
        name.removeprefix(prefix): {
            event.step: event.value
            for event in events.Scalars(name)
            if not math.isnan(event.value)
        }
        for name in sorted(events.Tags()["scalars"])
        if name.startswith(prefix)
    }
    return {name: curve for name, curve in curves.items() if curve}
