"""What the training of the dual-output systems logged: gradient cosines, for exp/gradients.json."""

import math
from pathlib import Path
from statistics import mean

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from l2dual.analysis.records import Cosine
from l2dual.gradients import PREFIX
from l2dual.score import read_run

NO_LOG = (
    "no gradient cosine in the run's TensorBoard log: gradient_interval 0, all layers frozen, or "
    "epochs shorter than log_interval"
)


def cosines(exp_dirs: list[Path]) -> list[Cosine]:
    """One record per dual-output run and layer of its encoder.

    ``steps`` and ``cosines`` are the single measurements, each of one batch, so they scatter:
    ``mean`` is over all, ``first_half`` and ``second_half`` over half of them each. A run whose
    log has none gives one record without values, with the reason.

    Raises:
        DataError: a run.yaml is missing or broken.
    """
    records = []
    for exp_dir in exp_dirs:
        run = read_run(exp_dir / "run.yaml")
        if len(run["outputs"]) < 2:
            continue
        head, log = {"system": run["system"], "seed": run["seed"]}, exp_dir / "tensorboard"
        ends = read_scalars(log / "valid", "loss").get("", {})  # ESPnet logs an epoch's means there
        curves = {
            layer: {step: value for step, value in curve.items() if step not in ends}
            for layer, curve in read_scalars(log / "train", PREFIX).items()
        }
        found = [Cosine(**head, **_summary(*curve)) for curve in curves.items() if curve[1]]
        empty = dict.fromkeys(("layer", "mean", "first_half", "second_half"))
        records += found or [Cosine(**head, **empty, steps=[], cosines=[], reason=NO_LOG)]
    return records


def _summary(layer: str, curve: dict[int, float]) -> dict:
    values, half = list(curve.values()), len(curve) // 2
    return {
        "layer": layer,
        "mean": mean(values),
        "first_half": mean(values[:half]) if half else None,
        "second_half": mean(values[half:]),
        "steps": list(curve),
        "cosines": [round(value, 4) for value in values],
        "reason": None,
    }


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
