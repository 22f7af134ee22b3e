"""The learning rate of a training: warm-up, stable, decay.

Until the decay begins, the rate does not know how long the training is. So the end of the stable part
of a training of half the epochs is a state of the whole one, and only the decay is trained anew.
"""

import torch
from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler
from torch.optim.lr_scheduler import LRScheduler

from l2dual.errors import UsageError
from l2dual.training.checks import DECAY, NAME, WARMUP_STEPS, check_schedule
from l2dual.training.espnet import scheduler_classes


class WarmupStableDecay(LRScheduler, AbsBatchStepScheduler):
    """A rate that rises linearly, stays at its peak, and falls linearly to nearly 0.

    It follows from the number of steps done and to do alone, so that a resumed training has the
    same. Until `fit` is called the training has no end.

    Args:
        optimizer: its ``lr`` is the peak.
        warmup_steps: steps until the peak.
        decay: share of the training in which the rate falls, between 0 and 1.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup_steps: int = WARMUP_STEPS, decay: float = DECAY):
        check_schedule(warmup_steps, decay)
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.steps = float("inf")
        super().__init__(optimizer)

    def fit(self, steps: int) -> None:
        """Let the training have ``steps`` steps; UsageError if the warm-up leaves no room for the decay."""
        stable = round(steps * (1 - self.decay))
        if self.warmup_steps > stable:
            raise UsageError(
                f"scheduler_conf: warmup_steps {self.warmup_steps}, but the decay begins at step {stable} "
                f"of {steps}: lower warmup_steps or decay, or raise max_epoch"
            )
        self.steps = steps

    def get_lr(self) -> list[float]:
        """The rate of the next step, for each group of parameters."""
        step = self.last_epoch + 1
        left, falling = self.steps + 1 - step, self.steps * self.decay
        factor = max(left / falling, 0.0) if left < falling else min(step / self.warmup_steps, 1.0)
        return [factor * rate for rate in self.base_lrs]

    def state_dict(self) -> dict:
        """The steps done: what else there is follows from the configuration."""
        return {"last_epoch": self.last_epoch}


scheduler_classes[NAME] = WarmupStableDecay
