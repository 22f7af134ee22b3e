import pytest

from tests.systems import OUTPUTS, make_data, make_run


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "test")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    exp = tmp_path_factory.mktemp("exp")
    return {system: make_run(exp / system, system, 1) for system in OUTPUTS}
