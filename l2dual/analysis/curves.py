"""What ESPnet's trainer logged for TensorBoard."""

import math
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EVERY_EVENT = {"scalars": 0}


def read_scalars(log: Path, prefix: str) -> dict[str, dict[int, float]]:
    """Scalars whose names begin with ``prefix``, without it: ``{name: {step: value}}``.

    Values that are nan (not measured since the last entry) are left out, and names without any
    value. Empty if there is no log.
    """
    if not log.is_dir():
        return {}
    events = EventAccumulator(str(log), size_guidance=EVERY_EVENT).Reload()
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
