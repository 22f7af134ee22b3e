"""What the training of the dual-output systems logged of their gradients: exp/gradients.json."""

from pathlib import Path
from statistics import mean

from l2dual.analysis.curves import read_scalars
from l2dual.gradients import PREFIX
from l2dual.score import read_run

NO_LOG = (
    "no gradient cosine in the run's TensorBoard log: gradient_interval 0, all layers frozen, or "
    "epochs shorter than log_interval"
)


def gradient_records(exp_dirs: list[Path]) -> list[dict]:
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
        keys = ("corpus", "language", "convention", "data", "system", "seed", "commit")
        head = {"kind": "gradient_cosine", **{key: run[key] for key in keys}}
        head |= {"exp_dir": str(exp_dir)}
        records += [head | _summary(*curve) for curve in _curves(exp_dir / "tensorboard")] or [
            head | {"layer": None, "mean": None, "reason": NO_LOG}
        ]
    return records


def _curves(log: Path) -> list[tuple[str, dict[int, float]]]:
    """Measurements per layer; the means that ESPnet logs at an epoch's end are left out."""
    ends = read_scalars(log / "valid", "loss").get("", {})
    return [
        (layer, {step: value for step, value in curve.items() if step not in ends})
        for layer, curve in read_scalars(log / "train", PREFIX).items()
        if curve.keys() - ends.keys()
    ]


def _summary(layer: str, curve: dict[int, float]) -> dict:
    cosines, half = list(curve.values()), len(curve) // 2
    return {
        "layer": layer,
        "n": len(cosines),
        "mean": mean(cosines),
        "first_half": mean(cosines[:half]) if half else None,
        "second_half": mean(cosines[half:]),
        "steps": list(curve),
        "cosines": [round(value, 4) for value in cosines],
        "reason": None,
    }
