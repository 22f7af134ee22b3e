"""Warm-up, stable, decay: the rate at each step, and after a resumption."""

import pytest
import torch

from l2dual.errors import UsageError
from l2dual.training.checks import stable_epochs_of_half
from l2dual.training.schedule import WarmupStableDecay

PEAK = 0.5


def schedule_of(steps: int, **conf) -> WarmupStableDecay:
    """The schedule of a training of ``steps`` steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule = WarmupStableDecay(optimizer, **conf)
    schedule.fit(steps)
    return schedule


def rates(schedule: WarmupStableDecay, steps: int) -> list[float]:
    """The rates of the next steps."""
    found = []
    for _ in range(steps):
        found += schedule.get_lr()
        schedule.optimizer.step()
        schedule.step()
        assert schedule.optimizer.param_groups[0]["lr"] == schedule.get_lr()[0]
    return found


def test_the_rate_rises_stays_and_falls_to_nearly_zero():
    found = rates(schedule_of(20, warmup_steps=4, decay=0.5), 21)
    assert found[:4] == pytest.approx([PEAK * step / 4 for step in (1, 2, 3, 4)])
    assert found[4:11] == [PEAK] * 7
    assert found[11:20] == pytest.approx([PEAK * left / 10 for left in range(9, 0, -1)])
    assert found[20] == 0


@pytest.mark.parametrize("done", [2, 9, 15])  # in each part
def test_a_resumed_training_has_the_same_rates(done):
    whole = rates(schedule_of(20, warmup_steps=4, decay=0.5), 20)
    before = schedule_of(20, warmup_steps=4, decay=0.5)
    rates(before, done)
    after = schedule_of(20, warmup_steps=4, decay=0.5)
    after.load_state_dict(before.state_dict())
    assert rates(after, 20 - done) == whole[done:]


def test_the_stable_part_is_that_of_half_the_training():
    whole, half = (rates(schedule_of(steps, warmup_steps=4, decay=0.5), 10) for steps in (40, 20))
    assert whole == half


def test_the_half_begins_where_its_stable_part_ends_with_an_epoch():
    assert [stable_epochs_of_half(epochs, 0.25) for epochs in (8, 16, 6, 4, 7)] == [3, 6, None, None, None]


def test_what_does_not_fit_is_refused():
    for steps, conf, fault in (
        (20, {"warmup_steps": 11, "decay": 0.5}, "warmup_steps 11, but the decay begins at step 10 of 20"),
        (20, {"warmup_steps": 0, "decay": 0.5}, "give 1 step or more"),
        (20, {"warmup_steps": 4, "decay": 0.0}, "a share between 0 and 1"),
    ):
        with pytest.raises(UsageError, match=fault):
            schedule_of(steps, **conf)
