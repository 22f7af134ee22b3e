"""Settings that can't train are refused by themselves, without torch and data."""

import subprocess
import sys

import pytest

from l2dual.errors import UsageError
from l2dual.files import parse_yaml, read_yaml
from l2dual.training.checks import check_half, check_settings, scheduler_of
from l2dual.training.runs import merge
from tests.checkout import ROOT

TINY = read_yaml(ROOT / "conf/train/tiny.yaml")


@pytest.mark.parametrize(
    "text, fault",
    [
        ("scheduler_conf: {warmup_steps: 2e2}", "scheduler_conf: warmup_steps is the text '2e2': write the number as"),
        ("scheduler_conf: {decay: '.5'}", "scheduler_conf: decay is the text '.5'"),
        ("optim_conf: {lr: 1e-3}", "optim_conf: lr is the text '1e-3'"),
        ("optim_conf: {betas: [0.9, 98e-2]}", "optim_conf: betas is the text '98e-2'"),
        ("encoder_conf: {dropout_rate: 1e-1}", "encoder_conf: dropout_rate is the text '1e-1'"),
        ("model_conf: {loss_weights: {surface: {ctc: 3e-1}}}", "loss_weights: surface: ctc is the text '3e-1'"),
        ("scheduler: warmuplr\nscheduler_conf: {warmup_steps: 2e2}", "scheduler_conf: warmup_steps is the text '2e2'"),
        ("scheduler_conf: {warmup_steps: many}", "warmup_steps many, decay 0.5: give"),
        ("scheduler_conf: {warmup_steps: true}", "warmup_steps True, decay 0.5: give"),
        ("scheduler_conf: {warmup_steps: 0}", "warmup_steps 0, decay 0.5: give 1 step or more"),
        ("scheduler_conf: {decay: 1.0}", "decay 1.0: give 1 step or more, and a share between 0 and 1"),
        ("scheduler_conf: {decay: null}", "decay None: give"),
        ("scheduler_conf: {warmup: 5}", "scheduler_conf: unknown option 'warmup': use warmup_steps, decay"),
        ("scheduler: wsd\nscheduler_conf:", "scheduler_conf: None: give its options as `key: value` lines"),
        ("optim_conf: [1]", "optim_conf: [1]: give its options"),
        ("optim_conf: {lr: 0}", "optim_conf: lr is 0: give a number above 0"),
        ("optim_conf: {lr: fast}", "optim_conf: lr is fast: give"),
        ("optim_conf: {lr: .inf}", "optim_conf: lr is inf: give"),
        ("max_epoch: 0", "max_epoch 0 trains nothing: give a whole number, 1 or more"),
        ("max_epoch: 4.0", "max_epoch 4.0 trains nothing"),
        ("max_epoch: 2e1", "max_epoch 2e1 trains nothing"),
        ("scheduler: wds", "scheduler: unknown name 'wds': use wsd or another of ESPnet's"),
        ("scheduler: warmuplr\nscheduler_conf: {decay: 0.5}", "unknown option 'decay': use warmup_steps"),
    ],
)
def test_settings_that_cannot_train_are_named(text, fault):
    with pytest.raises(UsageError) as error:
        check_settings(merge(TINY, parse_yaml(text)))
    assert fault in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_epoch": 5},  # half of it is not whole
        {"max_epoch": 2},  # nor is the half's stable part
        {"scheduler_conf": {"decay": 0.4}},
        {"scheduler": None},
    ],
)
def test_a_budget_whose_half_is_none_is_named(changes):
    check_half(TINY)
    with pytest.raises(UsageError, match=r"^half the budget needs scheduler wsd with max_epoch / 2 .*--budgets$"):
        check_half(merge(TINY, changes))


def test_the_scheduler_is_the_one_that_espnet_takes():
    found = [scheduler_of({"scheduler": name}) for name in ("WSD", "NoamLR", "none", None)]
    assert found == ["wsd", "noamlr", None, None] and scheduler_of({}) is None


def test_our_configurations_pass_and_need_no_torch():
    code = (
        "import sys; from pathlib import Path; from l2dual.files import read_yaml; from l2dual.training import checks\n"
        "for path in sys.argv[1:]: checks.check_settings(read_yaml(Path(path)))\n"
        "assert not {'torch', 'espnet2'} & sys.modules.keys()"
    )
    files = sorted((ROOT / "conf/train").glob("*.yaml"))
    assert len(files) > 5
    subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True)
