"""How stages make files: killed at every step, killed as a whole, given other recordings."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "egs2/TEMPLATE/l2dual1/l2dual.sh").read_text()
HEAD = (
    SCRIPT[: SCRIPT.index("\nset -a\n")]
    + """
log=log jobs=() L2DUAL_COMMAND=./run.sh
"""
)
TWICE = """\
#!/bin/bash
set -o pipefail
{ bash "${4//JOB/1}" & bash "${4//JOB/1}" & wait -n && wait -n; } | tee said
"""  # a launcher of a cluster that lost sight of a job, which goes on: the log is what it prints
DIRECT = """\
#!/bin/bash
exec bash "${4//JOB/1}"
"""  # a launcher
MAKE = {
    "file": 'job out -- bash -c \'echo "$1" > "$2"\' _ "$1" @OUT@; launch make direct',
    "directory": 'job out -- bash -c \'mkdir "$2"; echo "$1" > "$2/x"\' _ "$1" @OUT@; launch make direct',
}
# Stands before rm and mv on PATH: at call KILL_AT it kills the job, before or after doing its work.
SHIM = """\
#!/bin/bash
calls=$(($(cat calls) + 1))
echo "$calls" > calls
[[ $KILL_AT != "$calls before" ]] || kill -KILL $PPID
[[ $KILL_AT == "$calls before" ]] || "/bin/${0##*/}" "$@"
[[ $KILL_AT != "$calls after" ]] || kill -KILL $PPID
"""


def variables(directory: Path) -> dict[str, str]:
    """The environment of a recipe, and a directory bin on PATH with the launcher `direct`."""
    if not (directory / "bin/direct").exists():  # a program that runs can't be written
        (directory / "bin").mkdir(exist_ok=True)
        write(directory / "bin/direct", DIRECT)
    path = f"{directory}/bin:{ROOT}/tools/launch:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def write(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def bash(directory: Path, script: str, *arguments: str, **environment: str):
    return subprocess.run(
        ["bash", "-c", HEAD + script, "bash", *arguments],
        cwd=directory,
        env=variables(directory) | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", MAKE)
def test_a_stamp_never_describes_other_content(tmp_path, kind, when):
    (tmp_path / "bin").mkdir()
    for name in ("rm", "mv"):
        write(tmp_path / "bin" / name, SHIM)

    def make(option: str, kill_at: str = "") -> tuple[str, int]:
        (tmp_path / "calls").write_text("0")
        done = bash(tmp_path, MAKE[kind], option, KILL_AT=kill_at)
        assert done.returncode == 0 or kill_at, done.stderr
        out = tmp_path / ("out" if kind == "file" else "out/x")
        return out.read_text() if out.exists() else "", int((tmp_path / "calls").read_text())

    assert make("A")[0] == "A\n"
    calls = make("B")[1]
    assert calls >= 5
    for number in range(1, calls + 1):
        assert make("A")[0] == "A\n"
        make("B", f"{number} {when}")
        assert make("A")[0] == "A\n"
    assert not list(tmp_path.glob("*.old")) and not list(tmp_path.glob("*.tmp"))


JOB = "echo $$ > job; sleep 600 & echo $! > child; wait"
RUN = f"claim exp; job out -- bash -c '{JOB}'; launch make local.py; echo went on"


@pytest.fixture
def run(tmp_path):
    """A run with a job at work, and the processes of the job."""
    process = subprocess.Popen(
        ["bash", "-c", HEAD + RUN], cwd=tmp_path, env=variables(tmp_path), start_new_session=True
    )
    files = [tmp_path / "job", tmp_path / "child"]
    wait_until(lambda: all(file.exists() and file.read_text().strip() for file in files))
    pids = [int(file.read_text()) for file in files]
    yield process, pids
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["leader", "group"])
def test_jobs_end_with_a_run_that_is_killed_and_hold_its_lock_until_then(tmp_path, run, kill):
    process, pids = run
    kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: bash(tmp_path, "claim exp").returncode == 0)
    wait_until(lambda: not any(map(alive, pids)))  # an ending process closes its files first


def test_jobs_that_outlive_their_launcher_hold_the_lock(tmp_path, run):
    process, pids = run
    keeper = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(") ")[2].split()[1])
    os.killpg(process.pid, signal.SIGSTOP)  # so that the launcher can't end its jobs meanwhile
    os.kill(keeper, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert all(map(alive, pids))
    refused = bash(tmp_path, "claim exp")
    assert refused.returncode == 1 and "another run uses exp" in refused.stderr
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended with the other
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: bash(tmp_path, "claim exp").returncode == 0)


def test_a_job_that_is_started_again_while_it_runs_is_done_once(tmp_path):
    (tmp_path / "bin").mkdir()
    write(tmp_path / "bin/twice", TWICE)
    job = 'echo x >> times; until [[ -s said ]]; do sleep 0.05; done; cp times "$1"'
    made = bash(tmp_path, f"job out -- bash -c '{job}' _ @OUT@; launch make twice")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "# an earlier attempt still runs: waiting for it\n"
    assert (tmp_path / "out").read_text() == (tmp_path / "times").read_text() == "x\n"


def test_a_recording_that_was_replaced_is_another_input(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "a b.wav").write_bytes(b"old")
    (tmp_path / "data/wav.scp").write_text("a-1 a b.wav\na-2 no.wav\na-3 a.ark:8\n")
    plan = "job out data recordings:data -- cp data/wav.scp @OUT@; launch x direct"
    assert bash(tmp_path, plan).stdout == ""
    assert bash(tmp_path, plan).stdout == "out: up to date\n"
    for name, content in (("a b.wav", b"new"), ("a.ark", b"other")):
        (tmp_path / name).write_bytes(content)
        assert bash(tmp_path, plan).stdout == ""
        assert bash(tmp_path, plan).stdout == "out: up to date\n"


def test_what_is_made_alike_by_another_command_is_no_other_input(tmp_path):
    (tmp_path / "in").write_text("1")
    plans = "job out in -- cp in @OUT@ ${1:-}; launch x direct; job next out -- cp out @OUT@; launch y direct"
    bash(tmp_path, plans)
    again = bash(tmp_path, plans, "-f").stdout
    assert "out: up to date" not in again and "next: up to date" in again
    (tmp_path / "in").write_text("2")
    assert "up to date" not in bash(tmp_path, plans, "-f").stdout
    assert bash(tmp_path, plans).stdout.splitlines()[-1] == "next: up to date"


def test_a_recording_used_where_it_lies_is_another_input_further_on(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "a.wav").write_bytes(b"old")
    (tmp_path / "data/wav.scp").write_text("a a.wav\n")
    plans = """
        job formatted data recordings:data -- cp -r data @OUT@; launch x direct
        job filtered formatted -- cp -r formatted @OUT@; launch y direct
    """
    bash(tmp_path, plans)
    (tmp_path / "a.wav").write_bytes(b"new!")
    assert bash(tmp_path, plans).stdout == ""
    assert bash(tmp_path, plans).stdout == "formatted: up to date\nfiltered: up to date\n"


@pytest.mark.parametrize(
    "path, stage",
    [
        ("data/x", 1), ("data/x_sp0.9-1.1/train_sp", 2), ("dump/x/formatted/test", 3), ("dump/x/test", 4),
        ("dump/x/tokens/joint_char", 5), ("dump/x/cached_w_1a/test", 7), ("exp/s/stats", 7), ("exp/s/do.seed1", 8),
        ("exp/s/do.seed1/trained", 8), ("exp/s/do.seed1/decode/test", 9), ("exp/s/do.seed1/decode/score", 10),
        ("exp/s/on_x/results_half.json", 10), ("exp/s/do.seed1/rater", 8),
    ],
)  # fmt: skip
def test_a_missing_input_names_the_stage_that_makes_it(tmp_path, path, stage):
    begun = "number=11 L2DUAL_COMMAND='./run.sh --stage 11 --seeds 1'; trap 'ended $?' EXIT"
    done = bash(tmp_path, f"{begun}; job out {path} -- true; launch x direct")
    assert done.stderr == (
        f"l2dual: error: {path}: not found: run stage {stage} first\n"
        f"l2dual: stage 11 failed. Finished work is kept. Run ./run.sh --seeds 1 --stage {stage}\n"
    )


def test_an_input_that_was_made_and_is_gone_is_missed(tmp_path):
    rater = "exp/s/do.seed1/rater"
    ask = f"job {{}} {rater} -- touch @OUT@; launch y direct"
    bash(tmp_path, f"job {rater} -- touch @OUT@; launch x direct; {ask.format('out')}")
    (tmp_path / rater).unlink()
    assert bash(tmp_path, ask.format("out")).stdout == "out: up to date\n"
    missed = bash(tmp_path, ask.format("other")).stderr
    assert missed.startswith(f"l2dual: error: {rater}: not found: run stage 8 first")
    assert not (tmp_path / "other").exists()


def test_what_is_to_be_trained_first_is_trained_without_test_data(tmp_path):
    begun = "number=9 L2DUAL_COMMAND='./run.sh --test_data dump/x --stage 9 --seeds 1'; trap 'ended $?' EXIT"
    done = bash(tmp_path, f"{begun}; job out exp/s/do.seed1/trained -- true; launch x direct")
    assert done.stderr.splitlines()[1].endswith("Run ./run.sh --seeds 1 --stage 8")
    done = bash(tmp_path, f"{begun}; job out -- false; launch x direct")
    assert done.stderr.splitlines()[-1].endswith("then run ./run.sh --test_data dump/x --seeds 1 --stage 9")


def test_a_listing_counts_by_names_sizes_and_times(tmp_path):
    (tmp_path / "db/a").mkdir(parents=True)
    (tmp_path / "db/a/x.wav").write_bytes(b"1")
    plan = "job out listing:db -- touch @OUT@; launch x direct"
    assert bash(tmp_path, plan).stdout == "" and "up to date" in bash(tmp_path, plan).stdout
    (tmp_path / "db").rename(tmp_path / "moved")
    moved = plan.replace("listing:db", "listing:moved")
    assert "up to date" in bash(tmp_path, moved).stdout
    (tmp_path / "moved/a/x.wav").write_bytes(b"2")
    assert bash(tmp_path, moved).stdout == ""


def test_options_that_change_no_result_are_left_out(tmp_path):
    plan = "job out -- bash -c 'echo >> count' _ --nj $1 --ngpu $1 --config $2 {}; launch x direct --ignore config"
    for words, made in (("1 a", 1), ("2 a", 1), ("2 b", 1)):
        bash(tmp_path, plan.format(""), *words.split())
        assert (tmp_path / "count").read_text().count("\n") == made
    bash(tmp_path, plan.format("--other"), "1", "a")
    assert (tmp_path / "count").read_text().count("\n") == 2


def test_the_launcher_learns_the_costs_of_what_is_to_be_made(tmp_path):
    plan = "job a -- touch @OUT@; {} launch x direct --costs '1.5 1.25'"
    bash(tmp_path, "job a -- touch @OUT@; launch x direct")
    tell = "job b -- bash -c 'echo $L2DUAL_COSTS > $1' _ @OUT@;"
    assert bash(tmp_path, plan.format(tell)).returncode == 0
    assert (tmp_path / "b").read_text() == "1.25\n"


def test_a_command_without_an_output_leaves_a_mark_in_one_process(tmp_path):
    (tmp_path / "step.sh").write_text("[[ $1 == yes ]] && [[ $0 == log/x.1.sh ]]\n")
    script = "job out -- source ./step.sh $1; launch x direct"
    assert bash(tmp_path, script, "no").returncode == 1 and not (tmp_path / "out").exists()
    assert bash(tmp_path, script, "yes").returncode == 0 and (tmp_path / "out").read_bytes() == b""


def test_what_is_set_aside_has_the_name_that_is_printed(tmp_path):
    plan = "job dir in -- cp -r in @OUT@; launch x direct --set_aside"
    for content in ("1", "2"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in/file").write_text(content)
        said = bash(tmp_path, plan).stdout
    kept = said.strip().rpartition(" ")[2]
    assert said == f"dir: its inputs changed: the old one is kept as {kept}\n"
    assert (tmp_path / kept / "file").read_text() == "1" and (tmp_path / "dir/file").read_text() == "2"
    assert bash(tmp_path, plan).stdout == "dir: up to date\n"


def test_words_come_to_a_job_as_they_are(tmp_path):
    words = ["", "a b", "it's", "$x", "*", "a\nb", "JOB"]
    bash(tmp_path, 'job out -- bash -c \'printf "%s|" "${@:2}" > "$1"\' _ @OUT@ "$@"; launch x direct', *words)
    assert (tmp_path / "out").read_text() == "|a b|it's|$x|*|a\nb|JOB|"


def test_data_that_studies_share_are_made_by_one_run_at_a_time(tmp_path):
    slow = "job data/x -- bash -c 'until [[ -e go ]]; do sleep 0.05; done; touch $1' _ @OUT@; launch x direct"
    first = subprocess.Popen(["bash", "-c", HEAD + slow], cwd=tmp_path, env=variables(tmp_path))
    wait_until((tmp_path / "log/x.1.sh").exists)
    second = subprocess.Popen(
        ["bash", "-c", HEAD + slow.replace("data/x", "dump/y")], cwd=tmp_path, env=variables(tmp_path),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert second.stdout.readline() == "waiting for the run of another study, which prepares data\n"
    assert bash(tmp_path, "job exp/z -- touch @OUT@; launch z direct").returncode == 0
    (tmp_path / "go").touch()
    assert [first.wait(90), second.wait(90)] == [0, 0] and (tmp_path / "dump/y").exists()
