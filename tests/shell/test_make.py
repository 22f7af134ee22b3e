"""How stages make files: killed at every step, killed as a whole, given other recordings."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "egs2/TEMPLATE/l2dual1"
HEAD = f"""\
set -euo pipefail
. "{TEMPLATE}/options.sh"
. "{TEMPLATE}/make.sh"
made_by() {{ echo 4; }}
direct() {{ bash "${{4//JOB/1}}"; }}  # a launcher
log_dir=log
"""
MAKE = {
    "file": 'plan out -- bash -c \'echo "$1" > "$2"\' _ "$1" @OUT@; launch make direct',
    "directory": 'plan out -- bash -c \'mkdir "$2"; echo "$1" > "$2/x"\' _ "$1" @OUT@; launch make direct',
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


def bash(directory: Path, script: str, *arguments: str, **environment: str):
    return subprocess.run(
        ["bash", "-c", HEAD + script, "bash", *arguments],
        cwd=directory,
        env=os.environ | {"PATH": f"{directory}/bin:{ROOT}/tools/launch:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", MAKE)
def test_a_stamp_never_describes_other_content(tmp_path, kind, when):
    (tmp_path / "bin").mkdir()
    for name in ("rm", "mv"):
        (tmp_path / "bin" / name).write_text(SHIM)
        (tmp_path / "bin" / name).chmod(0o755)

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


JOB = "echo $$ > job; sleep 60 & echo $! > child; wait"
RUN = f"claim exp; plan out -- bash -c '{JOB}'; launch make local.py; echo went on"


@pytest.fixture
def run(tmp_path):
    """A run with a job at work, and the processes of the job."""
    environment = os.environ | {"PATH": f"{ROOT}/tools/launch:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-c", HEAD + RUN], cwd=tmp_path, env=environment, start_new_session=True
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
    assert not any(map(alive, pids))


def test_jobs_that_outlive_their_launcher_hold_the_lock(tmp_path, run):
    process, pids = run
    keeper = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(") ")[2].split()[1])
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


def test_a_recording_that_was_replaced_is_another_input(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "a b.wav").write_bytes(b"old")
    (tmp_path / "data/wav.scp").write_text("a-1 a b.wav\na-2 no.wav\na-3 a.ark:8\n")
    plan = 'plan out data recordings:data -- cp data/wav.scp @OUT@; echo "planned: ${planned[*]}"; launch x direct'
    assert "planned: out" in bash(tmp_path, plan).stdout
    assert "out: up to date" in bash(tmp_path, plan).stdout
    for name, content in (("a b.wav", b"new"), ("a.ark", b"other")):
        (tmp_path / name).write_bytes(content)
        assert "planned: out" in bash(tmp_path, plan).stdout
        assert "out: up to date" in bash(tmp_path, plan).stdout


def test_what_is_made_alike_by_another_command_is_no_other_input(tmp_path):
    (tmp_path / "in").write_text("1")
    plans = 'plan out in -- cp in @OUT@ ${1:-}; launch x direct; plan next out -- cp out @OUT@; launch y direct'
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
        plan formatted data recordings:data -- cp -r data @OUT@; launch x direct
        plan filtered formatted -- cp -r formatted @OUT@; launch y direct
    """
    bash(tmp_path, plans)
    (tmp_path / "a.wav").write_bytes(b"new!")
    assert bash(tmp_path, plans).stdout == ""
    assert bash(tmp_path, plans).stdout == "formatted: up to date\nfiltered: up to date\n"


def test_a_missing_input_names_the_stage_that_makes_it(tmp_path):
    done = bash(tmp_path, "plan out none -- true")
    assert (done.returncode, done.stderr) == (1, "l2dual: error: none: not found: run stage 4 first\n")


OPTIONS = """\
# Options: --name value
stage=1          # first stage
train_config=    # a file
# End of options
"""


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--train_config", "a b"], "1|a b"),
        (["--train-config=x=y", "--stage=3"], "3|x=y"),
        (["--train_config="], "1|"),
        (["--stagge", "2"], "error: unknown option --stagge: did you mean --stage? See --help"),
        (["--trainconfig=x"], "error: unknown option --trainconfig: did you mean --train_config?"),
        (["--x[$(touch ran)]", "1"], "error: unknown option --x[$(touch ran)]:"),
        (["--stage\n$(touch ran)", "1"], "error: unknown option --stage\n"),
        (["--stage train_config", "1"], "error: unknown option"),
        (["--dial=double"], "error: --dial is now --severity"),
        (["--", "1"], "error: unknown option --:"),
        (["--stage"], "error: option --stage needs a value"),
        (["--train_config", "--stage"], "error: option --train_config needs a value"),
        (["tiny"], "error: unexpected argument 'tiny'"),
    ],
)
def test_options_are_understood_or_the_nearest_is_named(tmp_path, arguments, said):
    (tmp_path / "options").write_text(OPTIONS)
    script = '. ./options; parse_options options "$@"; echo "$stage|$train_config"'
    done = bash(tmp_path, script, *arguments)
    assert said in done.stdout + done.stderr
    assert (done.returncode == 0) == ("error" not in said)
    assert [path.name for path in tmp_path.iterdir()] == ["options"]
