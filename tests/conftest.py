"""Small real models and recordings that the tests share."""

import argparse
import gc
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.warm import warm_python

if TYPE_CHECKING:
    import torch

    from l2dual.models.dual import L2DualModel

UNCHECKED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("l2dual", deadline=None, suppress_health_check=UNCHECKED)  # a slow machine is no fault
settings.load_profile("l2dual")
gc.disable()  # until all is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: many threads wait for each other
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process of a recipe compiles l2dual

ROOT = Path(__file__).resolve().parents[1]
SURFACE_TOKENS = ["<blank>", "<unk>", "a", "b", "c", "<space>", "<sos/eos>"]
MEANING_TOKENS = ["<blank>", "<unk>", "x", "y", "z", "w", "<space>", "<sos/eos>"]

SLOW = ("integration", "shell", "robustness")  # folders of tests that start many processes
LONGEST = ("test_recipe", "test_slurm", "test_encoders", "test_sge", "test_training", "test_guides", "test_distributed")
APART = "test_recipe.py|test_encoders.py"  # whose languages share nothing


class Languages(LoadFileScheduling):
    """One process takes a file, or what a file of recipes has in one language."""

    def _split_scope(self, nodeid: str) -> str:
        return re.sub(r"::.*", "", re.sub(rf"({APART})::\w+\[(en|ko)\b.*", r"\1 \2", nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return Languages(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the slow folders as slow. Long files come first, so that no processor waits at the end."""
    places = {name: place for place, name in enumerate((*LONGEST, *SLOW))}
    last = len(places)
    for item in items:
        if item.path.parent.name in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: min(places.get(name, last) for name in (item.path.stem, item.path.parent.name)))


def pytest_collection_finish() -> None:
    """What was imported stays: nothing looks for garbage there again."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A Python environment whose processes start soon: torch and ESPnet are imported once."""
    with tempfile.TemporaryDirectory(prefix="l2warm") as folder:
        yield from warm_python(Path(folder))


@pytest.fixture
def build_model():
    """Build the tiny model of conf/train/tiny.yaml for a system, with options changed."""
    from l2dual.files import read_yaml  # these take seconds, and pytest-xdist's own process needs none of them
    from l2dual.systems import read_options
    from l2dual.training.runs import merge
    from l2dual.training.task import L2DualTask

    def build(system: str = "do", seed: int = 1, **changes) -> "L2DualModel":
        parser = L2DualTask.get_parser()
        args = vars(parser.parse_args([])) | read_yaml(ROOT / "conf/train/tiny.yaml")
        args = merge(args, read_options(ROOT / "conf" / "systems" / f"{system}.yaml"))
        args |= {"normalize": "utterance_mvn", "normalize_conf": {}, "seed": seed}
        args |= {"surface_token_list": SURFACE_TOKENS, "meaning_token_list": MEANING_TOKENS}
        for part in ("frontend", "encoder", "decoder"):
            if part in changes:
                args[f"{part}_conf"] = {}
        return L2DualTask.build_model(argparse.Namespace(**merge(args, changes)))

    return build


@pytest.fixture
def batch() -> dict[str, "torch.Tensor"]:
    """Three recordings of unlike length with both texts: noise whose loudness changes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([16000, 12800, 9600])
    speech = torch.randn(3, 16000, generator=generator)
    speech *= 0.5 + 0.5 * torch.sin(torch.arange(16000) / 900.0)
    speech[torch.arange(16000) >= lengths[:, None]] = 0.0
    return {
        "speech": speech,
        "speech_lengths": lengths,
        "surface": torch.tensor([[2, 3, 4, 2], [4, 3, 3, -1], [2, 5, -1, -1]]),
        "surface_lengths": torch.tensor([4, 3, 2]),
        "meaning": torch.tensor([[2, 3, 4, 5, 2], [4, 3, 2, -1, -1], [5, 4, -1, -1, -1]]),
        "meaning_lengths": torch.tensor([5, 3, 2]),
    }


def select(batch: dict[str, "torch.Tensor"], index: int) -> dict[str, "torch.Tensor"]:
    """One utterance of a batch, without padding."""
    single = {}
    for name in ("speech", "surface", "meaning"):
        length = batch[f"{name}_lengths"][index]
        single[name] = batch[name][index : index + 1, :length]
        single[f"{name}_lengths"] = length[None]
    return single
