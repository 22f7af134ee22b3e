"""Both recipes, all twelve stages, on a handful of utterances; reruns, options, bad input."""

import csv
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from copy import copy as copy_of
from pathlib import Path

import pytest
import yaml

from l2dual.data.datadir import DataDir
from l2dual.scoring.results import read_results
from tests.checkout import TINY, Checkout
from tests.models.conftest import save_weights

BINS = {"all", "0", "1-3", "4-10", "11+"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, warm) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("l2 dual"), warm)  # a path with a space


@pytest.fixture(scope="module", params=["en", "ko"])
def finished(request, checkout) -> tuple[Checkout, str, str]:
    """A checkout where the recipe of a language ran through, the language, and what it printed.

    The English one ran with a Python that imports all anew in each process.
    """
    python = {"VIRTUAL_ENV": sys.prefix} if request.param == "en" else {}
    return checkout, request.param, checkout.run(request.param, *TINY, **python).stdout


def once_is_enough(language: str) -> None:
    if language == "ko":
        pytest.skip("once is enough")


def snapshot(recipe: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in recipe.rglob("*") if path.is_file() and path.name != ".run")
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in files}


def test_every_stage_leaves_its_output(finished):
    checkout, language, output = finished
    recipe = checkout.recipe(language)
    assert re.findall(r"stage (\d+):", output) == [str(n) for n in range(1, 13)]
    exp = recipe / "exp/tiny"
    assert output.startswith("study tiny (exp/tiny)\n")
    runs = sorted(path.parent.name for path in recipe.glob("exp/*/*/run.sh"))
    assert runs == [f"{system}.seed1" for system in ("do", "so_meaning", "so_surface")]
    for run in runs:
        facts = yaml.safe_load((exp / run / "run.yaml").read_text())
        for written in facts["outputs"]:
            assert (exp / run / "decode/test" / f"text.{written}").exists()
        with zipfile.ZipFile(exp / run / "model.zip") as archive:
            assert {"meta.yaml", "model.pth", "stats.npz"} <= set(archive.namelist())
            assert yaml.safe_load(archive.read("run.yaml"))["figures"]
    assert "</html>" in (exp / "report.html").read_text(encoding="utf-8")
    index = (recipe / "exp/index.html").read_text(encoding="utf-8")
    assert '<a href="tiny/report.html">' in index and "do, so_meaning, so_surface" in index and "CER" in index
    assert not list(recipe.rglob("*.tmp")) and not list(recipe.rglob("*.old"))


def test_results_have_a_record_for_each_system_output_unit_and_bin(finished):
    checkout, language, _ = finished
    recipe = checkout.recipe(language)
    results = read_results(recipe / "exp/tiny/results.json")
    rates = results.find(measure="error_rate", baseline=None)
    found = {(r.system, r.output, r.unit, r.bin) for r in rates}
    outputs = [("so_surface", "surface"), ("so_meaning", "meaning")]
    outputs += [("do", "surface"), ("do", "meaning")]
    assert found == {(*o, u, b) for o in outputs for u in ("char", "word") for b in BINS}
    utterances = len((recipe / "dump/simulated_tiny_heard/test/wav.scp").read_text().splitlines())
    assert results.meta.n_utts == utterances == sum(results.meta.bins.values())
    for system, output in outputs:
        counts = {
            bin: results.get("error_rate", system, output, bin=bin).counts["1"] for bin in BINS
        }
        whole = counts.pop("all")
        assert whole == [sum(column) for column in zip(*counts.values(), strict=True)]
        found = results.get("error_rate", system, output)
        assert found.value == sum(whole[:3]) / whole[3] and found.reason
    assert {r.baseline for r in results.find(measure="cross_talk")} == {"so_surface", "so_meaning"}
    assert (results.meta.corpus, results.meta.language) == ("simulated", language)
    for run in results.meta.runs:
        assert run.seed == 1 and run.commit and run.train_config and run.parameters > 1000
        assert run.command.startswith("./run.sh") and run.train_seconds > 0


def test_an_analysis_of_too_little_data_says_so(finished):
    checkout, language, _ = finished
    exp = checkout.recipe(language) / "exp/tiny"
    for name in ("cka", "decoders"):
        records = json.loads((exp / f"{name}.json").read_text())["records"]
        assert records and all(r["cka"] is None and r["reason"] for r in records)
    for name in ("subspaces", "probes"):
        content = json.loads((exp / f"{name}.json").read_text())
        assert content["records"]
        assert all(r["value"] is not None or r["reason"] for r in content["records"])
        assert content["meta"]["commit"] and content["meta"]["command"]
        assert all(content["meta"]["runs"].values())


def test_a_second_run_changes_nothing(finished):
    checkout, language, _ = finished
    before = snapshot(checkout.recipe(language))
    checkout.run(language, *TINY)
    assert snapshot(checkout.recipe(language)) == before


def test_a_copied_tree_is_finished_too_and_trains_in_the_copy(finished, tmp_path):
    checkout, language, _ = finished
    once_is_enough(language)
    shutil.copytree(checkout.root, tmp_path / "copy", symlinks=True)
    copy = copy_of(checkout)
    copy.root = tmp_path / "copy"
    before, original = snapshot(copy.recipe(language)), snapshot(checkout.recipe(language))
    copy.run(language, *TINY)
    assert snapshot(copy.recipe(language)) == before
    [run] = copy.recipe(language).glob("exp/tiny/do.seed1")
    for path in run.rglob("*.sh"), run.glob("*.yaml"):
        assert not any(str(checkout.root) in each.read_text() for each in path)
    for path in [run / "trained", *run.glob("*.pth")]:
        path.unlink()
    copy.run(language, *TINY, "--stage", "8", "--stop_stage", "8")
    assert (run / "checkpoint.pth").exists() and (run / "trained").exists()
    assert snapshot(checkout.recipe(language)) == original


def test_a_changed_option_redoes_what_depends_on_it_and_no_more(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    config = recipe / "conf" / "decode.yaml"  # a recipe's own comes before the shared one
    config.parent.mkdir(exist_ok=True)
    config.write_text("beam_size: 2\nctc_weight: {surface: 0.5, meaning: 0.5}\n")
    before = snapshot(recipe)
    checkout.run(language, *TINY, "--stop_stage", "10")
    changed = {path for path, state in snapshot(recipe).items() if before.get(path) != state}
    places = {Path(path).relative_to(recipe).parts[3] for path in changed if ".seed1/" in path}
    assert places == {"decode"}
    assert not any("/dump/" in path or "/data/" in path for path in changed)
    assert str(recipe / "exp/tiny/results.json") in changed
    config.unlink()
    checkout.run(language, *TINY, "--stage", "9")
    checkout.run(language, *TINY, "--systems", "so_surface", "--stage", "10", "--stop_stage", "10")
    assert len(read_results(recipe / "exp/tiny/results.json").meta.runs) == 3  # fewer systems remove nothing


def test_an_interrupted_stage_leaves_nothing_half_made_and_is_made_again(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    dump = recipe / "dump/simulated_tiny_heard"
    stamp = dump / ".valid.stamp"
    expected, texts = stamp.read_text(), (dump / "valid/text.surface").read_bytes()
    stamp.unlink()  # as if killed between the rename and the stamp
    (dump / "valid/text.surface").write_text("half\n")
    (dump / "valid.tmp").mkdir()
    checkout.run(language, *TINY, "--stage", "4", "--stop_stage", "4")
    assert stamp.read_text() == expected and not (dump / "valid.tmp").exists()
    assert (dump / "valid/text.surface").read_bytes() == texts


def test_two_runs_at_once_of_one_study_are_refused(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    before = snapshot(recipe / "exp")
    with (recipe / "exp/tiny/.run").open() as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        refused = checkout.run(language, *TINY, check=False)
        elsewhere = checkout.run(language, *TINY, "--stop_stage", "1", "--expdir", "exp elsewhere")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert "another run uses exp/tiny: process" in refused.stderr
    assert snapshot(recipe / "exp") == before and "up to date" in elsewhere.stdout
    checkout.run(language, *TINY, "--stop_stage", "1")


@pytest.mark.parametrize(
    "options",
    [
        ("--token_joint", "true", "--surface_token_type", "bpe", "--meaning_token_type", "bpe",
         "--nbpe", "60", "--audio_format", "ark", "--speed_factors", "0.9 1.0",
         "--skip_stages", "11"),
        ("--surface_convention", "pronounced", "--meaning_token_type", "word",
         "--budgets", "half whole"),
    ],
    ids=["bpe-joint-ark-sp", "pronounced-word"],
)  # fmt: skip
def test_other_options_run_through(finished, options):
    checkout, language, _ = finished
    if (language == "ko") == ("bpe" in options):
        pytest.skip("each setting in one language")
    said = checkout.run(language, *TINY, "--systems", "do_paper", "--expdir", "exp other", *options).stdout
    recipe = checkout.recipe(language)
    study = recipe / re.search(r"^study \S+ \((exp other/tiny_\S+)\): tiny, but with", said)[1]
    results = read_results(study / "results.json")
    assert (study / "report.html").exists()
    half = study / "results_half.json"
    assert half.exists() == ("half whole" in options)
    if half.exists():
        [run] = read_results(half).meta.runs
        assert run.decode_dir.endswith("do_paper.seed1/decode_half/test")
    unit = "phone" if ("pronounced" in options and language == "en") else "char"
    assert results.get("error_rate", "do_paper", "surface", unit=unit)


def test_whisper_as_it_comes_stands_beside_the_systems(finished):
    checkout, language, _ = finished
    if language == "en":
        pytest.skip("once is enough")
    save_weights(checkout.root / ".tools/whisper-base")
    only = ("--stage", "10", "--stop_stage", "10", "--zero_shot")
    printed = checkout.run(language, *TINY, *only, "2").stdout
    assert re.search(r"\| Whisper as it comes \| meaning, CER \| 2 \| 1 \| \d", printed)
    exp = checkout.recipe(language) / "exp/tiny"
    texts = (exp / "zero_shot/text.meaning").read_text()
    checkout.run(language, *TINY, *only, "3")  # goes on
    measured = json.loads((exp / "baselines.json").read_text())
    assert measured[0]["utterances"] == 3 and set(texts.splitlines()) < set(
        (exp / "zero_shot/text.meaning").read_text().splitlines()
    )
    assert {"do", "so_meaning"} < {one["system"] for one in measured}


def test_an_l1_is_left_out_of_training(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    l1, options = "japanese", (*TINY, "--stop_stage", "4", "--leave_out_l1")
    done = checkout.run(language, *options, l1)
    dump = checkout.recipe(language) / "dump/simulated_tiny_heard_without-japanese"
    left = {split: set(DataDir.load(dump / split)["utt2l1"].values()) for split in ("train", "test")}
    assert l1 not in left["train"] and left["test"] == {l1}
    assert re.search(r"train: dropped \d+: first language japanese, left out", done.stdout)
    refused = checkout.run(language, *options, "thai", check=False)
    assert refused.returncode == 1 and "nobody has first language thai" in refused.stderr


def test_what_is_trained_is_tested_on_other_data(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    other, options = "dump/simulated_tiny_heard_double", (*TINY, "--test_data")
    refused = checkout.run(language, "--stage", "9", *options, other, check=False)
    assert refused.returncode == 1 and f"{other}/test: not found: prepare that data" in refused.stderr
    checkout.run(language, *TINY, "--severity", "double", "--stop_stage", "4")
    refusals = {
        "then add --stage 9": (other,),
        "is a directory of dump": (f"./{other}", "--stage", "9"),
        "lacks 'sampling_rate: 8000'": (other, "--stage", "9", "--fs", "8000"),
        "lacks 'convention: pronounced'": (other, "--stage", "9", "--surface_convention", "pronounced"),
    }
    for message, more in refusals.items():
        refused = checkout.run(language, *options, *more, check=False)
        assert refused.returncode == 1 and message in refused.stderr
    checkout.run(language, *TINY, "--budgets", "half whole", "--stage", "8", "--stop_stage", "8")
    before = snapshot(recipe / "exp/tiny")
    done = checkout.run(language, "--stage", "9", *options, f"{other}/", "--budgets", "half whole")
    assert "encoders are analysed on their own data" in done.stdout
    found = recipe / "exp/tiny/on_simulated_tiny_heard_double"
    results = read_results(found / "results.json")
    assert results.meta.data == other and "in the training data" not in str(results.meta.warnings)
    assert {run.system for run in results.meta.runs} == {"so_surface", "so_meaning", "do"}
    assert "</html>" in (found / "report.html").read_text(encoding="utf-8")
    halves = read_results(found / "results_half.json")
    for name, content in (("decode", results), ("decode_half", halves)):
        for run in content.meta.runs:
            assert run.decode_dir.endswith(f"/{name}_on_simulated_tiny_heard_double/test")
            assert run.trained_on == "dump/simulated_tiny_heard"
    after = snapshot(recipe / "exp/tiny")
    assert all(after[path] == before[path] for path in before)
    new = after.keys() - before.keys()
    assert not [path for path in new if "on_simulated_tiny_heard_double" not in path]
    assert not [path for path in new if path.endswith("cka.json")]
    checkout.run(language, *TINY, "--systems", "do", "--stage", "9", "--stop_stage", "10", "--test_data", "valid")
    developed = read_results(recipe / "exp/tiny/on_valid/results.json").meta
    assert developed.split == "valid" and developed.runs[0].decode_dir.endswith("do.seed1/decode_on_valid/valid")


def table_of(recipe: Path, *texts: str, splits=("train", "valid", "test"), name="my corpus") -> Path:
    """The simulated recordings as a user's table that has some of the texts."""
    table = recipe.parent / f"{name}.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["audio", "speaker", "split", *texts])
        for split in splits:
            data = DataDir.load(recipe / "data/simulated_tiny_heard" / split)
            for utt, audio in data["wav.scp"].items():
                written = (data[f"text.{text}"][utt] for text in texts)
                rows.writerow([recipe / audio, utt.split("-")[0], split, *written])
    return table


@pytest.mark.parametrize("texts, scored", [(["meaning"], "meaning"), (["surface", "canonical"], "surface")])
def test_a_table_to_test_on_is_scored_as_far_as_it_can_be(finished, texts, scored):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    table = table_of(recipe, *texts, splits=("test",), name=f"only-{scored}")
    own = ("--corpus", "table", "--db", str(table), "--train_config", "tiny")
    done = checkout.run(language, *own, "--stop_stage", "4")
    assert "test: kept 20 of 20 utterances" in done.stdout
    tag = f"table_heard_only-{scored}"
    done = checkout.run(language, *TINY, "--stage", "9", "--test_data", f"dump/{tag}")
    assert f"has {scored} only" in done.stdout
    found = read_results(recipe / f"exp/tiny/on_{tag}/results.json")
    assert {record.output for record in found.records} == {scored}
    assert {run.system for run in found.meta.runs} == {f"so_{scored}", "do"}
    for run in recipe.glob("exp/tiny/*.seed1"):
        outputs = {path.name for path in (run / f"decode_on_{tag}/test").glob("text.*")}
        assert outputs == {path.name for path in (run / "decode/test").glob("text.*")}
    assert "</html>" in (recipe / f"exp/tiny/on_{tag}/report.html").read_text(encoding="utf-8")


def test_a_corpus_without_a_surface(finished):
    checkout, language, _ = finished
    once_is_enough(language)
    recipe = checkout.recipe(language)
    table = table_of(recipe, "meaning")
    mine = ("--corpus", "table", "--db", str(table), "--train_config", "tiny")
    refused = checkout.run(language, *mine, check=False)
    assert refused.returncode == 1
    assert "corpus table does not provide a surface, which so_surface needs" in refused.stderr
    assert '--systems "so_meaning", or' in refused.stderr and "--assume_surface true" in refused.stderr

    meaning = checkout.run(language, *mine, "--systems", "so_meaning")
    assert "not measured: the corpus does not say what was pronounced" in meaning.stdout
    records = read_results(recipe / "exp/table_my-corpus_tiny/results.json").records
    found = {(r.system, r.output, r.bin) for r in records}
    assert found == {("so_meaning", "meaning", "all")}
    assert (recipe / "exp/table_my-corpus_tiny/report.html").exists()


def test_an_assumed_surface_is_labelled(finished):
    checkout, language, _ = finished
    table = table_of(checkout.recipe(language), "meaning")
    options = ("--train_config", "tiny", "--assume_surface", "true", "--surface_convention", "pronounced")
    done = checkout.run(
        language, "--corpus", "table", "--db", str(table), *options, "--stop_stage", "6"
    )
    assert "pronounced (assumed: standard pronunciation of the text)" in done.stdout


@pytest.mark.parametrize(
    "options, fault",
    [
        (["--stagge", "1"], "unknown option --stagge: did you mean --stage?"),
        (["--stage", "0"], "stages are 1 to 12"),
        (["--study", "tiny", "--severity", "double"], "study tiny is another: severity is paper, not double"),
        (["--corpus", "table"], "no path of table: give --db, or set TABLE in db.sh"),
        (["--study", "tiny", "--systems", "do_branch3"], "do_branch3.yaml: sharing: branch: depth 3: the encoder"),
    ],
)
def test_bad_options_are_one_line(checkout, options, fault):
    done = checkout.run("en", *options, check=False)
    assert done.returncode == 1 and done.stderr.startswith("l2dual: error: ") and fault in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_is_no_error(checkout):
    done = checkout.run("en", "--stage", "3", "--help")
    assert "--surface_token_type " in done.stdout and not done.stderr


def test_a_gpu_that_is_not_there_is_refused_at_once(checkout):
    done = checkout.run("en", *TINY, "--ngpu", "2", check=False, CUDA_VISIBLE_DEVICES="3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "l2dual: error: --ngpu 2: this machine has 1 GPU(s) to use\n"


def test_decoding_without_models_names_the_stage_that_makes_them(checkout):
    done = checkout.run("en", *TINY, "--stage", "9", "--expdir", "exp none", check=False)
    assert done.returncode
    assert re.search("error: exp none/tiny/.*seed1/trained: not found: run stage 8 first", done.stderr)
    assert re.search("Run .* --stage 8$", done.stderr.strip())


# Stage 1 that comes to its half and stays there; its last word is the directory to make.
HALF = """\
#!/bin/bash
mkdir -p "${@: -1}/test"
touch half
sleep 600
"""


def test_an_interrupted_run_is_not_called_failed(tmp_path, warm):
    recipe = Checkout(tmp_path / "l2 dual", warm).recipe("ko")
    (recipe / "local/data.sh").write_text(HALF)
    process = subprocess.Popen(
        [recipe / "run.sh", *TINY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run behind &
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (recipe / "half").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    error = process.communicate(timeout=120)[1]
    assert process.returncode in (130, -signal.SIGINT)
    assert "l2dual: stage 1 was stopped. Finished work is kept. To go on, run ./run.sh" in error
    assert "failed" not in error and "Traceback" not in error
    assert not (recipe / "data/simulated_tiny_heard").exists()


def test_run_all_passes_its_options_to_both_recipes(tmp_path):
    """And refuses unknown ones before it sets anything up."""
    root, checkout = Path(__file__).parents[2], Checkout(tmp_path)
    run_all = shutil.copy(root / "run_all.sh", tmp_path)
    for option, fault in (("--studdy", "did you mean --study?"), ("--expdir", "relative to the recipes")):
        done = subprocess.run([run_all, option, "/x"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "") and fault in done.stderr
    (tmp_path / "tools").unlink()
    (tmp_path / "tools").mkdir()
    for name in ("activate.sh", "launch"):
        (tmp_path / "tools" / name).symlink_to(root / "tools" / name)
    (tmp_path / "tools/setup.sh").symlink_to("/bin/true")  # this environment is set up
    done = subprocess.run(
        [run_all, "--study", "tiny", "--stop_stage", "1", "--expdir=exp all"],
        capture_output=True,
        text=True,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"(..): === \1, stage (\d+)", done.stdout)) == [("en", "1"), ("ko", "1")]
    assert (checkout.recipe("ko") / "data/simulated_tiny_heard/test/wav.scp").exists()


def test_bad_data_is_named_and_what_was_made_stays(finished):
    checkout, language, _ = finished
    recipe = checkout.recipe(language)
    table = recipe / "data/simulated_tiny_heard/test/wav.scp"
    good = table.read_text()
    utt, path = good.splitlines()[0].split(maxsplit=1)
    audio = (recipe / path).read_bytes()
    results = (recipe / "exp/tiny/results.json").read_bytes()
    (recipe / path).unlink()
    done = checkout.run(
        language, *TINY, "--audio_format", "wav", "--stage", "3", "--stop_stage", "3", check=False
    )
    (recipe / path).write_bytes(audio)
    assert done.returncode == 1
    assert re.search(rf"l2dual: error: .*no such audio file.* \(utterance {utt}\)", done.stderr)
    assert re.search(r"failed: exp/tiny_wav/log/format_audio\.\d\.log, its last lines:", done.stderr)
    hint = re.search(r"stage 3 failed\. .* kept\. Fix the error, then run (.*)", done.stderr)[1]
    assert hint.count("--stage ") == 1 and hint.endswith("--stop_stage 3 --stage 3")
    assert not (recipe / "dump/simulated_tiny_heard_wav/formatted/test").exists()
    assert (recipe / "exp/tiny/results.json").read_bytes() == results
