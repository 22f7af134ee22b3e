"""Files of conf/systems: what they say is read, and what is wrong in them is one line."""

from dataclasses import replace

import pytest
import yaml

from l2dual.errors import DataError, UsageError
from l2dual.systems import OUTPUTS, from_run, read_options, read_system, reference

WEIGHTS = {"surface": {"ctc": 0.1, "attention": 0.4}, "meaning": {"ctc": 0.1, "attention": 0.4}}
MINE = {"label": "mine", "order": 70, "baselines": {"surface": ["so_mine", "so_surface"], "meaning": ["so_meaning"]}}


def write(path, weights=WEIGHTS, **section):
    content = {"model_conf": {"loss_weights": weights}, "system": section}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def systems(root):
    return {path.stem: read_system(path) for path in sorted((root / "conf/systems").glob("*.yaml"))}


def test_every_baseline_is_a_single_output_system_of_that_output(systems):
    assert len(systems) >= 10 and len({one.label for one in systems.values()}) == len(systems)
    for one in systems.values():
        assert one.single == (len(one.outputs) == 1)
        assert set(one.baselines) == (set() if one.single else set(OUTPUTS))
        for output, names in one.baselines.items():
            assert [systems[name].outputs for name in names] == [(output,)] * len(names)


def test_the_first_baseline_that_was_scored(systems):
    mine = replace(systems["do"], baselines={"surface": ("so_surface_ctconly", "so_surface")})

    def of(system, output, *others):
        return system.baseline(output, [systems[one] for one in others or systems])

    assert of(mine, "surface") == "so_surface_ctconly"
    assert of(mine, "surface", "do", "so_surface") == "so_surface"
    assert of(systems["do"], "meaning", "do", "so_surface") is None
    assert of(systems["so_surface_ctconly"], "surface") is None


def test_beside_which_system_one_is_set(systems):
    def of(name, output, *others):
        return reference(systems[name], output, [systems[one] for one in others or systems])

    assert of("do_ctconly", "meaning") == "so_meaning_ctconly" and of("do", "meaning") == "so_meaning"
    assert of("so_surface_ctconly", "surface") == of("so_meaning", "surface") == "so_surface"
    assert of("so_meaning", "surface", "so_meaning", "do") is None
    assert of("do", "surface", "do", "so_surface_ctconly") is None  # of another loss: not its baseline


def test_single_output_systems_come_first(systems):
    places = [one.name for one in sorted(systems.values(), key=lambda one: one.place)]
    assert places[:2] == ["so_surface", "so_meaning"] and places.index("do") == sum(
        one.single for one in systems.values()
    )


def test_a_file_is_read_and_goes_to_the_run_and_back(tmp_path):
    one = read_system(write(tmp_path / "do_mine.yaml", **MINE))
    assert (one.name, one.outputs, one.label, one.order) == ("do_mine", OUTPUTS, "mine", 70)
    assert one.baselines == {"surface": ("so_mine", "so_surface"), "meaning": ("so_meaning",)}
    assert from_run({"system": "do_mine", "seed": 1, "outputs": list(OUTPUTS)} | MINE) == one
    assert read_options(tmp_path / "do_mine.yaml") == {"model_conf": {"loss_weights": WEIGHTS}}


SINGLE = {"surface": WEIGHTS["surface"]}


@pytest.mark.parametrize(
    "weights, change, said",
    [
        (WEIGHTS, {"lable": "x"}, "unknown key 'lable': use label, order, baselines"),
        (WEIGHTS, {"label": 3}, "label is 3: give a line of text"),
        (WEIGHTS, {"label": "two\nlines"}, "label is 'two.nlines': give a line of text"),
        (WEIGHTS, {"order": True}, "order is True: give a whole number"),
        (WEIGHTS, {"order": None}, "order is None: give a whole number"),
        (WEIGHTS, {"baselines": ["so_surface"]}, "baselines is .* for each output a list of systems"),
        (WEIGHTS, {"baselines": {"surface": ["so_surface"]}}, "baselines of 'meaning': None: give a list"),
        (WEIGHTS, {"baselines": {"surface": "so_surface"}}, "baselines of 'surface': 'so_surface': give a list"),
        (WEIGHTS, {"baselines": MINE["baselines"] | {"gloss": ["x"]}}, "'gloss': it has surface and meaning"),
        (SINGLE, {}, "baselines of .*: a single-output system has none"),
        ({}, {}, "all are 0"),
        (None, {}, "needs model_conf: loss_weights"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, weights, change, said):
    path = write(tmp_path / "mine.yaml", weights, **MINE | change)
    with pytest.raises(UsageError, match=f"mine.yaml: .*{said}") as raised:
        read_system(path)
    assert "\n" not in str(raised.value)


def test_a_file_without_its_section_is_told_what_it_needs(tmp_path):
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({"model_conf": {"loss_weights": WEIGHTS}}))
    with pytest.raises(UsageError, match="old.yaml: needs system: with label, order, baselines"):
        read_system(tmp_path / "old.yaml")
    with pytest.raises(DataError, match="label is None: give a line of text"):
        from_run({"system": "old", "outputs": ["surface"], "order": 1})
