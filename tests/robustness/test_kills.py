"""Kills at seeded changes of files: the end state is that of a run that was left alone."""

import os
import shutil

import pytest

from tests.checkout import TINY, Checkout
from tests.robustness.kills import Chain, build, differences

KILLS = int(os.environ.get("L2DUAL_KILLS", "12"))  # tools/faults.sh asks for more
CHAIN = 40  # kills of one recipe at most

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler: killer.c can't be built")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Checkout:
    """A recipe that was left alone: stages 1 to 6, or all twelve of the long version."""
    checkout = Checkout(tmp_path_factory.mktemp("quiet"))
    checkout.run("en", *TINY, "--stop_stage", str(last_stage()))
    return checkout


def last_stage() -> int:
    return 12 if KILLS > CHAIN else 6


@pytest.mark.timeout(12 * 3600)
@pytest.mark.parametrize("seed", range(-(-KILLS // CHAIN)))
def test_a_run_that_is_killed_ends_as_one_that_is_not(seed, quiet, tmp_path, record_property):
    options = (*TINY, "--stop_stage", str(last_stage()))
    chain = Chain(Checkout(tmp_path / "killed"), "en", options, build(tmp_path), seed)
    chain.run(min(CHAIN, KILLS - CHAIN * seed))
    record_property("kills", chain.kills)
    assert chain.kills
    assert not differences(chain.checkout.recipe("en"), quiet.recipe("en"))
