"""Studies: what a call names, what is refused, and that unlike data never share a directory."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from l2dual.errors import UsageError
from l2dual.recipe import definition, settings
from l2dual.recipe.index import index
from l2dual.recipe.options import GROUPS, parse
from l2dual.recipe.settings import Stages, bash, check, data_name, record_data
from l2dual.recipe.studies import choose, record
from l2dual.recipe.trainings import WHISPER, check_search, check_zero_shot
from tests.checkout import ROOT

DOUBLE = {"base": "tiny", "severity": "double"}
FROZEN = "--encoder_conf rank=null --encoder_conf layers=4 --frontend_conf layers=[3,4,5,6] --batch_bins 2400000"


@pytest.fixture(autouse=True)
def recipe(tmp_path, monkeypatch) -> Path:
    """The directory of an English recipe, which the tests run in."""
    here = tmp_path / "egs2/l2_en"
    here.mkdir(parents=True)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (here / "studies").symlink_to(ROOT / "egs2/l2_en/studies")
    monkeypatch.chdir(here)
    for name in ("my.csv", "other/my.csv", "words.txt", "map.yaml"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text("x\n")
    return here


def call(*words: str):
    return choose(parse(words), "en")


def made(study, run: str = "do.seed1") -> None:
    """As if a run of the study had been trained."""
    record(study, "./run.sh")
    record_data(data_name(study.definition), study.definition)
    (study.directory / run).mkdir(exist_ok=True)


@pytest.mark.parametrize(
    "words, name",
    [
        ("", "mini"),
        ("--study tiny", "tiny"),
        ("--base measure", "measure"),
        ("--severity paper --seeds 2 --nj 7 --stage 9", "mini"),
        ("--severity double", "mini_double"),
        ("--base measure --severity double", "measure_double"),
        ("--study sharing_ctc", "sharing_ctc"),
        ("--study sharing --seeds 1", "sharing"),
        ("--losses ctc", "mini_ctc"),
        ("--surface_convention pronounced", "mini_pronounced"),
        ("--base measure --surface_convention pronounced", "measure_pronounced"),
        ("--max_seconds 12", "mini_max_seconds12"),
        ("--corpus table --db my.csv", "table_my"),
        ("--base measure --corpus table --db my.csv", "table_measure_my"),
        ("--corpus table --db my.csv --train_config tiny", "table_my_tiny"),
        ("--corpus table --db my.csv --columns a=b", f"table_my_columns-{definition.digest('a=b')}"),
        ("--corpus speechocean762 --db other", "speechocean762_own"),
        ("--corpus l2arctic --db other", "l2arctic"),
        ("--leave_out_l1 korean", "mini_without-korean"),
        ("--base measure --train_config transformer", "measure_transformer"),
        ("--train_config ../../conf/train/mini.yaml", "mini"),
        ("--meaning_token_type word", "mini_meaning-word"),
        ("--speed_factors '0.9 1.1'", "mini_sp0.9-1.1"),
    ],
)
def test_a_call_makes_a_study_whose_name_says_what_differs(words, name):
    if name == "measure_pronounced":  # the options of a file's study are that study
        assert not definition.differences(call(*words.split()).definition, call("--study", name).definition)
    study = call(*shlex.split(words))
    assert study.name == name and study.said.startswith(f"study {name} (exp/{name})")


def test_every_setting_of_data_has_directories_of_its_own():
    other = {
        "corpus": "table", "columns": "a=b", "canonical": "dictionary", "assume_surface": "true", "simulate": "measure",
        "severity": "half", "errors": "random", "engine": "kokoro", "prompts": "words.txt", "data_seed": "2",
        "surface_convention": "pronounced", "speed_factors": "0.9 1.0", "audio_format": "wav", "fs": "8000",
        "min_seconds": "1", "max_seconds": "12", "leave_out_l1": "korean", "frames_per_second": "50",
        "field_map": "educational",
    }  # fmt: skip
    options = [o.name for group in ("data", "audio") for o in GROUPS[group] if o.defines and o.name != "db"]
    assert set(options) == set(other)
    start = call().definition
    places = {Stages(call()).dump}
    for name in options:
        changed = start | {name: other[name]}
        places.add(Path("dump", definition.dump_tag(changed, definition.format_tag(changed, data_name(changed)))))
    for config in ("whisper_base", "whisper_finetune", "ssl"):  # which give other numbers of frames
        places.add(Stages(call("--train_config", config)).dump)
    assert len(places) == 1 + len(options) + 3 and Path("dump/simulated_mini_heard") in places
    assert Stages(call("--train_config", "transformer")).dump == Path("dump/simulated_mini_heard")


def test_recordings_have_whisper_where_a_call_names_no_model():
    study = call("--corpus", "table", "--db", "my.csv", "--surface_convention", "heard")
    assert Path(study.definition["train_config"]).stem == "whisper" and study.options["systems"].endswith("do_split")
    kinds = [study.definition[f"{output}_token_type"] for output in ("surface", "meaning")]
    assert kinds == ["char", "whisper"] and study.definition["cache_features"] == "true"
    made(study)
    again = call("--study", study.name, "--stage", "9")
    assert not definition.differences(again.definition, study.definition)
    longer = call("--corpus", "table", "--db", "my.csv", "--train_args", "--max_epoch 5").definition["model"]
    assert (longer["max_epoch"], longer["scheduler_conf"]["warmup_steps"]) == (5, 10)
    own = call("--corpus", "table", "--db", "my.csv", "--train_config", "tiny")
    assert (own.definition["meaning_token_type"], own.options["systems"]) == ("char", "so_surface so_meaning do")


def test_of_another_corpus_a_base_gives_the_model_alone():
    study = call("--base", "measure", "--corpus", "table", "--db", "my.csv")
    made(study)
    assert (study.base, Path(study.definition["train_config"]).stem) == ("measure", "measure")
    with pytest.raises(UsageError, match="study table_measure_my is another"):
        call("--corpus", "table", "--db", "measure_my.csv")
    data = call("--base", "sharing", "--severity", "half", "--corpus", "l2arctic", "--db", "other").options
    assert (data["severity"], data["simulate"], data["losses"]) == ("half", "mini", "fitted")


def test_a_guide_needs_a_surface_in_phones():
    own = ("--corpus", "table", "--db", "my.csv", "--surface_convention", "heard")
    guided = ("--decode_config", "../../conf/decode_guided.yaml")
    with pytest.raises(UsageError, match="not in phones: add --surface_convention pronounced"):
        check_search(call(*own, *guided))
    check_search(call(*own[:-1], "pronounced", *guided))
    check_search(call(*own, *guided, "--stop_stage", "8"))
    check_search(call(*own, *guided, "--systems", "so_meaning_attention"))


def test_how_many_folds_a_rater_has_is_kept():
    study = call("--study", "tiny", "--rater_folds", "3")
    assert study.recorded["rater_folds"] == "3" and call("--study", "tiny").options["rater_folds"] == "2"
    with pytest.raises(UsageError, match="--rater_folds 1 would hear nobody"):
        call("--rater_folds", "1")


def test_a_training_takes_longer_with_more_decoders():
    chosen = call("--systems", "so_surface_ctconly so_meaning do", "--budgets", "half whole")
    variables = Stages(chosen).variables()
    assert [run.name for run in variables["runs"]] == ["do.seed1", "so_surface_ctconly.seed1", "so_meaning.seed1"]
    assert variables["costs"] == [1.5, 1.0, 1.25] and variables["halves"] == variables["runs"]


def test_seeds_share_folds_which_take_a_part_of_the_time():
    words = ("--corpus", "speechocean762", "--db", "other", "--seeds", "1 2")
    train = Stages(call(*words)).data / "train"
    train.mkdir(parents=True)
    for table in ("wav.scp", "utt2scores"):
        (train / table).write_text("s1-1 x\n")
    variables = Stages(call(*words)).variables()
    names = [f"fold{part}.seed{seed}" for seed in (1, 2) for part in (1, 2)]
    assert [fold.name for fold in variables["folds"]] == names and variables["fold_costs"] == [0.5] * 4
    assert Stages(call(*words, "--rater_folds", "0")).variables()["fold_costs"] == []


@pytest.mark.parametrize("search, asked", [("decode", []), ("decode_guided", ["do_split.seed1"])])
def test_a_guided_search_asks_the_raters_of_systems_with_both_outputs(search, asked):
    words = ("--corpus", "speechocean762", "--db", "other", "--decode_config", f"../../conf/{search}.yaml")
    words = (*words, "--systems", "so_surface_ctconly so_meaning_attention do_split")
    train = Stages(call(*words)).data / "train"
    assert Stages(call(*words)).variables()["guided"] == []  # nobody scored the speech
    train.mkdir(parents=True)
    for table in ("wav.scp", "utt2scores"):
        (train / table).write_text("s1-1 x\n")
    for tested in ((), ("--stage", "9", "--test_data", "valid")):
        variables = Stages(call(*words, *tested)).variables()
        assert [run.name for run in variables["guided"]] == asked
        made = [] if tested else ["do_split.seed1", "so_surface_ctconly.seed1"]
        assert [run.name for run in variables["rated"]] == made


def test_a_path_has_one_form(recipe, tmp_path):
    for place in ("my.csv", "./my.csv", f"{recipe}/my.csv", "../l2_en/my.csv"):
        assert call("--corpus", "table", "--db", place).options["db"] == "my.csv"
    for end in ("", "/", "/."):
        assert call("--corpus", "table", "--db", f"../../conf{end}").options["db"] == f"{tmp_path}/conf"


def test_data_of_two_files_with_one_name_lie_apart():
    one, two = (call("--study", name, "--corpus", "table", "--db", f"{place}my.csv") for name, place in
                (("one", ""), ("two", "other/")))  # fmt: skip
    made(one)
    assert data_name(one.definition) == "table_heard_my" and data_name(two.definition) == "table_heard_my_2"
    made(two)
    assert data_name(one.definition) == "table_heard_my" and data_name(two.definition) == "table_heard_my_2"


@pytest.mark.parametrize(
    "words, fault",
    [
        (
            "--study tiny --severity double",
            "study tiny is another: severity is paper, not double: give them with --base",
        ),
        ("--study tiny --train_args=--max_epoch=9", "study tiny is another: max_epoch is 4, not 9"),
        ("--study tiny --corpus speechocean762 --db other", "study tiny is another: corpus is simulated, not speech"),
        ("--study tinny", "no study 'tinny': did you mean tiny? There are measure, measure_pronounced, mini,"),
        ("--study tinny --seeds 2", "A new name needs an option of data or training"),
        ("--base huge", "no study 'huge': did you mean"),
        ("--study a/b --severity double", "--study 'a/b' can be no directory"),
        ("--corpus pansori", "corpus pansori is in ko: run it in egs2/l2_ko"),
        ("--corpus l2arctic --surface_convention heard", "provides its surface as pronounced, not heard"),
        ("--token_joint true --meaning_token_type bpe", "needs one token type: surface is char, meaning bpe"),
        ("--train_config no.yaml", "no.yaml: no such file"),
        ("--corpus nothing", "no corpus 'nothing'"),
    ],
)
def test_what_is_no_study_is_refused(words, fault):
    with pytest.raises(UsageError) as error:
        call(*words.split())
    assert fault in str(error.value)


@pytest.mark.parametrize(
    "words, fault",
    [
        ("--stage 0", "stages are 1 to 12, not 0 to 12"),
        ("--stage 9 --stop_stage 8", "stages are 1 to 12, not 9 to 8"),
        ("--num_nodes 2", "--num_nodes 2 needs Slurm"),
        ("--columns meaning=Text", "--columns is for --corpus table, not simulated"),
        ("--canonical dictionary", "--canonical is for --corpus kaldi or table, not simulated"),
        ("--allow_pipes true", "--allow_pipes is for --corpus kaldi, not simulated"),
        ("--corpus table --db my.csv --severity double", "--severity is for --corpus simulated, not table"),
        ("--corpus table", "no path of table: give --db, or set TABLE in db.sh"),
        ("--db my.csv", "--db my.csv: simulated learners are made, not read: name the --corpus"),
        ("--corpus speechocean762 --db /nowhere", "/nowhere: no such file or directory: check --db"),
        ("--prompts no.txt", "--prompts no.txt: no such file"),
        ("--decode_config no.yaml", "--decode_config no.yaml: no such file"),
        ("--cache_features true", "needs a train_config with frontend: pretrained"),
        ("--systems so_surfaces", "no system so_surfaces: there are do do_apart"),
        ("--test_data dump/x --stage 9", "dump/x/test: not found: prepare that data with --stop_stage 4"),
        ("--test_data ./dump/x --stage 9", "is a directory of dump"),
        ("--test_data dump/x", "then add --stage 9"),
        ("--test_data valid", "then add --stage 9"),
        ("--losses ctc", "--losses ctc makes so_surface and so_surface_ctconly one training: name one of them"),
        ("--test_data test --stage 9", "is a directory of dump, as dump/TAG, or valid, not test"),
    ],
)
def test_options_that_do_not_fit_are_refused_at_once(words, fault):
    with pytest.raises(UsageError) as error:
        check(call(*shlex.split(words)))
    assert fault in str(error.value)


def test_development_data_and_another_search_have_results_of_their_own():
    of = Stages(choose({"test_data": "valid", "stage": "9"}, "en")).variables()
    assert (of["test_set"], of["test_split"]) == (Path("dump/simulated_mini_heard/valid"), "valid")
    assert of["results"] == Path("exp/mini/on_valid") and of["decoded"]["half"] == "decode_half_on_valid"
    config = str(ROOT / "conf/decode_ctc.yaml")
    of = Stages(choose({"decode_config": config}, "en")).variables()
    assert of["decoded"]["whole"] == "decode_ctc" and of["suffixes"] == {"whole": "_ctc", "half": "_ctc_half"}
    with pytest.raises(UsageError, match="--budgets half is for stages 8 to 10: add --stop_stage 10"):
        check(choose({"budgets": "half"}, "en"))
    with pytest.raises(UsageError, match="decode_ctc.yaml is for stages 8 to 10: add --stop_stage 10"):
        check(choose({"decode_config": config}, "en"))


def test_no_system_no_seed_and_one_twice():
    for given, fault in (({"seeds": ""}, "one seed"), ({"systems": " "}, "one system")):
        with pytest.raises(UsageError, match=fault):
            check(choose(given, "en"))
    with pytest.raises(UsageError, match="name exp/mini/so_surface.seed1 twice"):
        Stages(choose({"seeds": "1 1"}, "en")).variables()


def test_a_study_stays_what_it_is_once_it_has_runs(recipe):
    conf = recipe / "conf/train"
    conf.mkdir(parents=True)
    config = yaml.safe_load((ROOT / "conf/train/tiny.yaml").read_text())
    (conf / "tiny.yaml").write_text(yaml.safe_dump(config))
    first = call("--study", "tiny")
    record(first, "./run.sh")
    (conf / "tiny.yaml").write_text(yaml.safe_dump(config | {"max_epoch": 7}))
    made(call("--study", "tiny"))  # nothing was trained
    assert yaml.safe_load((first.directory / "study.yaml").read_text())["definition"]["model"]["max_epoch"] == 7
    (conf / "tiny.yaml").write_text(f"# {config}\n" + yaml.safe_dump(config | {"max_epoch": 7}))
    call("--study", "tiny")  # a comment changes nothing
    (conf / "tiny.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match="max_epoch is 7, not 4: restore that, or give this one a new name"):
        call("--study", "tiny")


def test_a_study_that_options_made_goes_on_by_its_name():
    made(choose(DOUBLE | {"systems": "do_paper", "seeds": "4"}, "en"))
    again = call("--study", "tiny_double", "--stage", "9")
    assert again.options["severity"] == "double" and again.options["simulate"] == "tiny"
    assert Stages(again).variables()["runs"] == [Path("exp/tiny_double/do_paper.seed4")]
    assert call("--base", "tiny_double", "--errors", "random").name == "tiny_double_random"
    with pytest.raises(UsageError, match="study tiny_double is another: severity is double, not half"):
        call("--study", "tiny_double", "--severity", "half")


def test_experiments_in_the_recipe_are_named_from_there(recipe):
    study = call("--expdir", f"{recipe}/my exp")
    assert study.directory == Path("my exp/mini") and Stages(study).variables()["expdir"] == "my exp"
    assert call("--expdir", "/elsewhere").directory == Path("/elsewhere/mini")


def test_runs_of_earlier_calls_are_analysed_too():
    study = choose({"base": "tiny", "seeds": "2"}, "en")
    for name in ("do.seed1", "do.seed1.20260101-000000.old", "so_meaning.seed2", "gone.seed1"):
        made(study, name)
        if name != "gone.seed1":
            (study.directory / name / "trained").touch()
    variables = Stages(study).variables()
    names = [path.name for path in variables["trained"]]
    assert names == ["do.seed1", "so_surface.seed2", "so_meaning.seed2", "do.seed2"]
    assert [path.name for path in variables["runs"]] == ["do.seed2", "so_surface.seed2", "so_meaning.seed2"]


@pytest.mark.parametrize(
    "front",
    [
        "frontend: pretrained  # frozen\nfrontend_conf: {path: ../a model, layers: all, stack: 2}\n",
        "frontend: 'pretrained'\nfrontend_conf:\n    path: ../a model   # weights\n    layers: all\n    stack: 2\n",
    ],
)
def test_yaml_of_any_style_names_the_front_end(recipe, front):
    (recipe / "cached.yaml").write_text(f"{front}encoder: conformer\nencoder_conf: {{input_layer: linear}}\n")
    study = call("--train_config", "cached.yaml", "--cache_features", "true")
    check(study)
    variables = Stages(study).variables()
    assert variables["weights"] == "../a model" and yaml.safe_load(variables["frontend_conf"])["layers"] == "all"
    kept = definition.digest('{"path": "../a model", "layers": "all"}')
    assert str(variables["feats"]) == f"dump/simulated_mini_heard_a-model-2/cached_a-model_{kept}"


@pytest.mark.parametrize(
    "text, changes",
    [
        ("", {}),
        ("--max_epoch 20 --optim_conf lr=1e-3", {"max_epoch": 20, "optim_conf": {"lr": 0.001}}),
        ("--optim=sgd --use_amp true", {"optim": "sgd", "use_amp": True}),
        ("--optim_conf lr=1 --optim_conf momentum=.9", {"optim_conf": {"lr": 1, "momentum": 0.9}}),
        ("--model_conf a.b=2", {"model_conf": {"a": {"b": 2}}}),
        ("--keep_nbest_models -1", {"keep_nbest_models": -1}),
    ],
)
def test_train_args_are_read_as_espnet_reads_them(text, changes):
    assert definition.train_changes(text) == changes


def test_train_args_are_part_of_the_study_and_of_its_training():
    study = call("--base", "tiny", "--train_args", "--max_epoch 5 --optim_conf lr=1e-3")
    assert study.name == "tiny_max_epoch-5-optim-lr-1e-3"
    record(study, "./run.sh")
    stages = Stages(study)
    assert stages.train_config == Path("exp", study.name, "train.yaml") and "tiny_heard" in str(stages.dump)
    written, usual = (yaml.safe_load(path.read_text()) for path in (stages.train_config, ROOT / "conf/train/tiny.yaml"))
    assert written == usual | {"max_epoch": 5, "optim_conf": {"lr": 0.001}}
    before = stages.train_config.read_bytes()  # an input of every training
    record(study, "./run.sh --seeds 2")
    assert stages.train_config.read_bytes() == before
    for wrong in ("max_epoch 5", "--max_epoch", '--optim_conf "lr=1'):
        with pytest.raises(UsageError, match="--train_args"):
            definition.train_changes(wrong)


def test_train_args_that_espnet_does_not_know_are_refused_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["settings", "start", "--language", "en", "--train_args", "--max_epochs 3"])
    with pytest.raises(UsageError, match='^--train_args "--max_epochs 3": unrecognized arguments: --max_epochs 3: '):
        settings.main()
    assert not Path("exp").exists()


@pytest.mark.parametrize(
    "words, fault",
    [
        (("--train_args", "--max_epoch 0"), "^../../conf/train/tiny.yaml --max_epoch 0: max_epoch 0 trains nothing"),
        (("--train_args", "--scheduler_conf decay=1.5"), "warmup_steps 1, decay 1.5: give"),
        (("--budgets", "half whole", "--train_args", "--max_epoch 5"), "max_epoch 5: half the budget needs"),
        (("--train_config", "text.yaml"), "^text.yaml: scheduler_conf: warmup_steps is the text '2e2': write"),
        (("--train_config", "wrong.yaml"), "^wrong.yaml: scheduler: unknown name 'wds': use wsd"),
    ],
)
def test_trainings_that_cannot_be_are_refused_before_anything_is_made(monkeypatch, words, fault):
    tiny = (ROOT / "conf/train/tiny.yaml").read_text()
    Path("text.yaml").write_text(tiny.replace("warmup_steps: 1\n", "warmup_steps: 2e2\n"))
    Path("wrong.yaml").write_text(tiny.replace("scheduler: wsd", "scheduler: wds"))
    command = ["settings", "start", "--language", "en", "--base", "tiny", *words]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(UsageError, match=fault):
        settings.main()
    assert not Path("exp").exists()
    monkeypatch.setattr(sys, "argv", [*command, "--stop_stage", "7"])  # which trains nothing
    settings.main()


def test_a_system_whose_own_settings_cannot_train_is_named(monkeypatch):
    Path("conf/systems").mkdir(parents=True)
    own = Path("conf/systems/mine.yaml")
    own.write_text((ROOT / "conf/systems/so_surface.yaml").read_text() + "optim_conf: {lr: 1e-3}\n")
    monkeypatch.setattr(sys, "argv", ["settings", "start", "--language", "en", "--study", "tiny", "--systems", "mine"])
    with pytest.raises(UsageError, match="^conf/systems/mine.yaml: optim_conf: lr is the text '1e-3'"):
        settings.main()


def test_a_rate_that_never_falls_is_said(monkeypatch, capsys):
    tiny = (ROOT / "conf/train/tiny.yaml").read_text()
    Path("constant.yaml").write_text(tiny.replace("scheduler: wsd", "scheduler: null"))
    for config, said in (("constant.yaml", ": the learning rate never falls: give scheduler: wsd\n"), ("tiny", "")):
        words = ["start", "--language", "en", "--base", "tiny", "--train_config", config]
        monkeypatch.setattr(sys, "argv", ["settings", *words])
        settings.main()
        assert capsys.readouterr().err == f"l2dual: warning: no scheduler{said}" * bool(said)


def test_variables_come_through_bash_as_they_are():
    values = {"a": "it's $(touch x)", "b": ["x y", "", "*"], "c": {"k 1": "'", "k2": "a\nb"}}
    show = 'printf "%s|" "$a" "${#b[@]}" "${b[@]}" "${c[k 1]}" "${c[k2]}"'
    done = subprocess.run(["bash", "-c", f"{bash(values)}\n{show}"], capture_output=True, text=True)
    assert done.stdout == "it's $(touch x)|3|x y||*|'|a\nb|" and not done.stderr


def test_over_whisper_blocks_with_adapters_are_trained_and_whisper_is_a_baseline():
    """What is cached ends below these blocks; stage 11 asks how the outputs agree on their adapters."""
    adapted = call("--study", "speechocean762_whisper", "--db", ".")
    frozen = call("--base", "speechocean762_whisper", "--db", ".", "--train_args", FROZEN)
    for study, layers, analyses in ((adapted, [3, 4], ["gradients"]), (frozen, [3, 4, 5, 6], [])):
        study.definition["model"]["frontend_conf"]["path"] = "weights"
        made = Stages(study).variables()
        assert json.loads(made["frontend_conf"])["layers"] == layers and made["analyses"] == analyses
        assert made["baselines"] == "true" and (made["zero_shot"], made["zero_shot_weights"]) == (200, WHISPER)
        assert study.definition["model"]["batch_bins"] == 600_000 * len(layers)  # as many seconds
        assert made["decode_config"] == Path("../../conf/decode_guided.yaml")
    assert Stages(call()).variables()["baselines"] == "false"


def test_what_whisper_as_it_comes_needs_is_asked_for_before_anything_is_made():
    for words, fault in ((["--fs", "8000"], "Whisper takes 16000 Hz, not --fs 8000"), ([], "run l2dual get_whisper")):
        with pytest.raises(UsageError, match=fault):
            check_zero_shot(call("--zero_shot", "20", *words))
    check_zero_shot(call("--zero_shot", "20", "--stop_stage", "9"))
    assert Stages(call("--zero_shot", "20", "--test_data", "valid")).variables()["zero_shot"] == 0


def test_a_search_of_one_call_is_not_that_of_the_study():
    """A study's file may name its search; a call takes another for itself, and none is kept of it."""
    given = {"study": "speechocean762_whisper", "db": ".", "decode_config": "../../conf/decode.yaml", "zero_shot": "0"}
    chosen = choose(given, "en")
    assert chosen.options["decode_config"] == "../../conf/decode.yaml" and chosen.options["zero_shot"] == "0"
    assert chosen.recorded["decode_config"] == "../../conf/decode_guided.yaml" and chosen.recorded["zero_shot"] == "200"


def test_layers_of_another_whisper_are_refused_before_anything_is_made():
    study = call("--base", "speechocean762_whisper", "--db", ".", "--systems", "do_split", "--train_args", FROZEN)
    study.definition["model"]["frontend_conf"]["path"] = "."
    sizes = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads", "decoder_layers", "vocab_size"), 12)
    sizes |= {"model_type": "whisper", "d_model": 768, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    for layers in (12, 6):
        Path("config.json").write_text(json.dumps(sizes | {"encoder_layers": layers}))
        if layers == 12:
            with pytest.raises(UsageError, match="which has layers 0 to 12: name 12 last"):
                settings.check_training(study)
        else:
            settings.check_training(study)
    whole = call("--base", "speechocean762_whisper", "--db", ".", "--train_args", f"{FROZEN} --encoder_conf heads=null")
    whole.definition["model"]["frontend_conf"]["path"] = "."
    study.options["systems"] = whole.options["systems"] = "do"
    settings.check_training(whole)
    whole.definition["surface_token_type"] = "char"
    with pytest.raises(UsageError, match="do.yaml: Whisper's decoder writes the surface: add --surface_token_type wh"):
        settings.check_training(whole)
    with pytest.raises(UsageError, match="do.yaml: the surface has a head .* leave do out of --systems, or add"):
        settings.check_training(study)


def test_a_rate_that_a_pretrained_encoder_does_not_take_is_refused_before_anything_is_made():
    with pytest.raises(UsageError, match="takes 16000 Hz: .* recordings at 16000 Hz and --fs 16000"):
        settings.check_training(call("--train_config", "whisper_base", "--fs", "8000"))
    settings.check_training(call("--fs", "8000"))


def test_the_index_lists_studies_and_what_differs(capsys):
    made(choose(DOUBLE, "en"))
    page = index(Path("exp"))
    assert "<b>tiny_double</b>" in page and "severity is double" in page and "not scored" in page
    broken = choose({"study": "mini"}, "en")
    made(broken)
    (broken.directory / "results.json").write_text("{}")
    assert index(Path("exp")) == page and "exp/mini: not in index.html: " in capsys.readouterr().err


@pytest.mark.slow
def test_gpus_are_asked_for_only_where_jobs_use_them(monkeypatch):
    monkeypatch.setenv("cuda_cmd", "local.py")
    monkeypatch.setenv("decode_cmd", "local.py")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("PATH", f"{ROOT}/tools/launch", prepend=":")
    with pytest.raises(UsageError, match=r"--ngpu 2: this machine has 1 GPU\(s\) to use"):
        settings.check_gpus(call("--ngpu", "2").options)
    settings.check_gpus(call("--ngpu", "2", "--stop_stage", "6").options)
    settings.check_gpus(call("--ngpu", "1", "--gpu_inference", "true").options)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match=r"--gpu_inference true: this machine has 0 GPU\(s\) to use"):
        settings.check_gpus(call("--gpu_inference", "true", "--stage", "9").options)


def test_finished_stages_wait_for_no_heavy_import():
    script = (
        "import sys, l2dual.recipe.settings as s, l2dual.recipe.jobs, l2dual.recipe.index; s.facts('simulated'); "
        "print({'torch', 'espnet2', 'librosa', 'scipy', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_a_baseline_without_a_file_is_named(recipe):
    own = recipe / "conf/systems/do_mine.yaml"
    own.parent.mkdir(parents=True)
    text = (ROOT / "conf/systems/do.yaml").read_text(encoding="utf-8")
    own.write_text(text.replace("[so_surface]", "[so_surfce]"), encoding="utf-8")
    with pytest.raises(UsageError, match="do_mine.yaml: no system so_surfce: there are do "):
        check(choose({"systems": "do_mine"}, "en"))


def test_two_corpora_of_ones_own_are_two_studies(recipe, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").touch()
    one, two = (choose({"corpus": "table", "db": str(tmp_path / f"{name}.csv")}, "en") for name in ("one", "two"))
    assert one.name != two.name and Stages(one).data != Stages(two).data


def test_outputs_by_ctc_alone_are_another_study_of_the_same_data():
    plain, ctc = (Stages(call("--base", "tiny", *words)) for words in ((), ("--losses", "ctc")))
    assert plain.variables()["losses"] == [] and ctc.variables()["losses"] == ["--losses", "ctc"]
    assert plain.dump == ctc.dump and plain.study.directory != ctc.study.directory
    made(ctc.study)
    with pytest.raises(UsageError, match="study tiny_ctc is another: losses is ctc, not unset"):
        call("--study", "tiny_ctc", "--losses", "")


@pytest.mark.parametrize("name", ["sharing", "sharing_ctc"])
def test_a_study_of_sharing_has_every_arm(name):
    study = call("--study", name)
    check(study)
    arms = {path.stem for path in (ROOT / "conf/systems").glob("*.yaml") if "\nsharing:" in path.read_text()}
    assert {*arms, "so_surface", "so_meaning", "do", "do_deep"} <= set(study.options["systems"].split())
    assert study.options["seeds"].split() == list("12345")
    korean = (ROOT / f"egs2/l2_ko/studies/{name}.yaml").read_text()
    assert korean == (ROOT / f"egs2/l2_en/studies/{name}.yaml").read_text()
