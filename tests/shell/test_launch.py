"""The local launcher, driven as the recipes drive it: through its command line."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from importlib.machinery import SourceFileLoader
from itertools import accumulate
from pathlib import Path

import pytest

LOCAL = Path(__file__).parents[2] / "tools" / "launch" / "local.py"
jobs = SourceFileLoader("jobs", str(LOCAL.with_name("jobs.py"))).load_module()
local = SourceFileLoader("local_launcher", str(LOCAL)).load_module()


def launch(directory, *words, **environment):
    return subprocess.run(
        [sys.executable, "-I", str(LOCAL), *map(str, words)],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
    )


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_text(file):
    return file.exists() and bool(file.read_text().strip())


def test_single_job_log(tmp_path):
    result = launch(tmp_path, "log/one.log", "echo", "hello  there")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    lines = (tmp_path / "log" / "one.log").read_text().splitlines()
    assert lines[0] == "# command: echo 'hello  there'"
    assert lines[1].startswith("# host: ")
    assert lines[2].startswith("# started: 2")
    assert lines[3] == "hello  there"
    assert re.fullmatch(r"# ended: 2.*, status 0, \d+ seconds", lines[4])


def test_array_replaces_its_name_and_keeps_spaces(tmp_path):
    result = launch(tmp_path, "JOB=2:4", "a log/x.JOB.log", "touch", "out JOB.txt", "bJOB")
    assert result.returncode == 0
    for number in (2, 3, 4):
        assert (tmp_path / f"out {number}.txt").exists()
        assert (tmp_path / f"b{number}").exists()
    assert len(list((tmp_path / "a log").iterdir())) == 3


def test_launchers_share_the_cores_that_they_are_given(tmp_path):
    """On one core, the jobs of two launchers run one after another."""
    script = "echo begins >> ../times; sleep .3; echo ends >> ../times"
    launchers = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-I", str(LOCAL)]
        command += ["--progress", ".1", "--num_threads", "2", "JOB=1:2", "JOB.log", "bash", "-c", script]
        environment = os.environ | {"L2DUAL_CORES": str(tmp_path)}
        launchers.append(subprocess.Popen(command, cwd=tmp_path / name, env=environment, stderr=subprocess.PIPE))
    said = b"".join(launcher.communicate(timeout=180)[1] for launcher in launchers)
    assert [launcher.returncode for launcher in launchers] == [0, 0]
    assert b"(the other recipe has the cores)" in said
    assert (tmp_path / "times").read_text().split() == ["begins", "ends"] * 4


def test_the_time_to_go_counts_the_launchers_that_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "core_count", lambda: 4)
    assert local.Cores(None).share() is None
    alone = local.Cores(tmp_path)
    assert alone.share() == 4
    held = f"""import fcntl, time; file = open({str(tmp_path / "launcher0")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"""
    with subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert alone.share() == 2
        other.kill()
    assert alone.share() == 4

    progress = jobs.Progress([jobs.Job(n, Path("x.log"), ["true"]) for n in range(3)], 30, lambda: 0.5)
    progress.start, progress.jobs[0].state = 0.0, "running"
    progress.clock(0.0)
    progress.jobs[0].state = "done"
    progress.clock(100.0)
    assert progress.to_go(100.0) == 400  # two more of 100 seconds, half a job at a time
    progress.jobs[0].cost = 1.25
    assert progress.to_go(100.0) == 320  # which are shorter


def test_jobs_have_the_costs_that_the_environment_tells(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(jobs, "keep", lambda launcher, array: seen.extend(job.cost for job in array))
    monkeypatch.setenv("L2DUAL_COSTS", "1.5 1")
    monkeypatch.setattr(sys, "argv", ["local.py", "JOB=1:2", "JOB.log", "true"])
    with pytest.raises(SystemExit):
        jobs.main(local.Local)
    assert seen == [1.5, 1.0] and "L2DUAL_COSTS" not in os.environ


def test_other_array_names_and_one_number(tmp_path):
    assert launch(tmp_path, "SEED=7", "s.SEED.log", "touch", "SEED").returncode == 0
    assert (tmp_path / "7").exists() and (tmp_path / "s.7.log").exists()


def test_failure_names_the_first_log_and_shows_its_end(tmp_path):
    script = "for i in $(seq 40); do echo line $i; done; exit $((JOB > 1 ? 3 : 0))"
    result = launch(tmp_path, "--max_jobs", 1, "JOB=1:3", "log/x.JOB.log", "bash", "-c", script)
    assert result.returncode == 1
    assert "failed: log/x.2.log" in result.stderr
    assert "log/x.3.log" not in result.stderr
    assert "line 40\n" in result.stderr and "line 22\n" in result.stderr
    assert "line 21\n" not in result.stderr
    assert result.stderr.endswith("2 of 3 jobs failed\n")
    assert "status 3" in (tmp_path / "log" / "x.3.log").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    "words, message",
    [
        (["JOB=1:2", "x.log", "touch", "ran"], "x.log: the log name of an array must contain JOB"),
        (["JOB=3:2", "x.JOB.log", "touch", "ran"], "JOB=3:2: the last job's number is smaller"),
        (["x.log"], "give a log file and a command"),
        (["--max_jobs", "0", "x.log", "touch", "ran"], "--max_jobs must be 1 or more"),
        (["--gpu", "2", "x.log", "touch", "ran"], "--gpu 2: this machine has 1 GPU(s) to use"),
        (["/proc/none/x.log", "touch", "ran"], "'/proc/none'"),
    ],
)
def test_usage_error_is_one_line_and_nothing_runs(tmp_path, words, message):
    result = launch(tmp_path, *words, CUDA_VISIBLE_DEVICES="0")
    assert result.returncode == 1
    assert result.stderr.startswith("local.py: error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_unknown_command(tmp_path):
    result = launch(tmp_path, "x.log", "no-such-command")
    assert result.returncode == 1
    assert "no-such-command: No such file or directory" in result.stderr
    assert "status 127" in result.stderr


@pytest.mark.parametrize("max_jobs", [1, 2])
def test_max_jobs_run_at_a_time(tmp_path, max_jobs):
    together = f"until (($(grep -c begins times) >= {max_jobs})); do sleep 0.05; done"
    script = f"echo begins >> times; {together}; sleep 0.3; echo ends >> times"
    words = ["JOB=1:4", "x.JOB.log", "bash", "-c", script]
    assert launch(tmp_path, "--max_jobs", max_jobs, *words).returncode == 0
    steps = [1 if word == "begins" else -1 for word in (tmp_path / "times").read_text().split()]
    assert len(steps) == 8 and max(accumulate(steps)) == max_jobs


def test_threads_are_exported(tmp_path):
    script = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS"
    assert launch(tmp_path, "--num_threads", 3, "x.log", "bash", "-c", script).returncode == 0
    assert "\n3 3\n" in (tmp_path / "x.log").read_text()


def test_each_running_job_has_its_own_gpus(tmp_path):
    script = "echo gpus $CUDA_VISIBLE_DEVICES; sleep 0.3"
    words = ["--gpu", 2, "JOB=1:3", "x.JOB.log", "bash", "-c", script]
    assert launch(tmp_path, *words, CUDA_VISIBLE_DEVICES="3,4,5,6,7").returncode == 0
    used = [(tmp_path / f"x.{n}.log").read_text().splitlines()[3] for n in (1, 2, 3)]
    assert used[:2] == ["gpus 3,4", "gpus 5,6"]
    assert used[2] in used[:2]


def test_gpus_are_counted_by_nvidia_smi(tmp_path):
    listing = "#!/bin/sh\necho 'GPU 0: Some (UUID: GPU-1)'\necho 'GPU 1: Some (UUID: GPU-2)'\n"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text(listing)
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [sys.executable, str(LOCAL), "--gpu", "2", "x.log"]
    command += ["bash", "-c", "echo gpus $CUDA_VISIBLE_DEVICES"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=180)
    assert "\ngpus 0,1\n" in (tmp_path / "x.log").read_text()


def test_progress_lines_off_a_terminal(tmp_path):
    words = ["--progress", 1e-6, "--max_jobs", 1, "JOB=1:2", "log/train.JOB.log", "sleep", "0.4"]
    lines = re.sub(r"\b00:\d\d\b", "TIME", launch(tmp_path, *words).stderr).splitlines()
    assert "train: 1 running, 0 done, 0 failed of 2, TIME" in lines
    assert "train: 1 running, 1 done, 0 failed of 2, TIME, some 1 min to go" in lines
    assert lines[-1] == "train: 0 running, 2 done, 0 failed of 2, TIME"


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("seconds", [[300] * 6, [520, 320, 320], [360, 300, 320, 340]])
def test_time_to_go_is_right_within_a_third_after_the_first_epoch_of_the_second_job(slots, seconds):
    """Jobs that say after each quarter, as trainings do after an epoch, how long they still take."""
    array = [jobs.Job(number, Path("x.log"), ["true"]) for number in range(len(seconds))]
    progress, said = jobs.Progress(array, 30), {}
    progress.start = 0.0
    for now in range(0, 4000, 10):
        for job in progress.began:
            spent, whole = now - progress.began[job], seconds[job.number]
            if spent >= whole:
                job.state = "done"
            elif spent % (whole // 4) < 10 and spent > 10:
                job.said, job.said_at = f"0:{(whole - spent) // 60:02d}:{(whole - spent) % 60:02d} to go", now
        waiting = [job for job in array if job.state == "waiting"]
        for job in waiting[: slots - sum(each.state == "running" for each in array)]:
            job.state = "running"
        progress.clock(now)
        said[now] = progress.to_go(now)
    assert said[0] is None
    last = min(now for now, left in said.items() if left == 0)
    since = min(progress.began[job] + took for job, took in progress.took.items()) + max(seconds) / 4
    for now in range(int(since // 10 + 1) * 10, last, 10):
        assert said[now] == pytest.approx(last - now, rel=1 / 3, abs=60)


def test_time_to_go_believes_what_a_job_says_of_itself():
    array = [jobs.Job(number, Path("x.log"), ["true"], "running") for number in range(2)]
    progress = jobs.Progress(array, 30)
    progress.start = 0.0
    progress.clock(0.0)
    array[0].said, array[0].said_at = "a epoch 2 of 4, loss 1.00, 0:10:00 to go", 100.0
    assert progress.to_go(400.0) == 300 + 0  # of 700 seconds in all; the other is taken to be alike
    array[1].said, array[1].said_at = "b epoch 2 of 4, loss 1.00, 1:00:00 to go", 400.0
    assert progress.to_go(400.0) == 3600


def screen(written, columns=80):
    """The lines that a terminal shows, of the few controls that the launcher uses."""
    lines, row, column = [""], 0, 0
    for control, count, letter in re.findall(r"(\033\[(\d*)[AJ]|\r|\n)|(.)", written):
        if control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif control == "\r":
            column = 0
        elif control.endswith("A"):
            row -= int(count)
        elif control:
            lines = [*lines[:row], lines[row][:column]]
        else:
            width = 2 if letter > "\u1100" else 1
            if column + width > columns:
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            lines[row], column = lines[row] + letter, column + width
    return lines


def screens(written):
    """What a terminal shows whenever all is drawn anew, and at the end."""
    text = written.decode(errors="ignore").replace("\r\n", "\n")
    drawn = [found.start() for found in re.finditer(r"\r(\033\[\d+A)?\033\[J", text)]
    return [screen(text[:end]) for end in (*drawn[1:], len(text))]


def test_a_terminal_of_80_columns_shows_a_line_a_job(tmp_path):
    """Long lines leave nothing behind when they are drawn anew, second by second."""
    script = f"echo 'progress: JOB 말{'x' * 100}'; until [[ -e seen ]]; do sleep 0.1; done"
    command = [sys.executable, str(LOCAL), "--max_jobs", "2", "JOB=1:2", "train.JOB.log", "bash", "-c", script]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    launcher = subprocess.Popen(command, cwd=tmp_path, stderr=theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # at its end
        while new := os.read(ours, 10000):
            written += new
            if len([lines for lines in screens(written) if len(lines) == 4]) >= 2:
                (tmp_path / "seen").touch()
    os.close(ours)
    assert launcher.wait(timeout=60) == 0
    seen = screens(written)
    during = [lines for lines in seen if len(lines) == 4]
    assert len(during) >= 2
    for counts, *jobs, after in during:
        assert counts.startswith("train: 2 running, 0 done") and after == ""
        assert [job[:5] for job in jobs] == ["  1 말", "  2 말"] and {len(job) for job in jobs} == {78}
    assert len(seen[-1]) == 2 and seen[-1][0].startswith("train: 0 running, 2 done, 0 failed of 2")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_jobs_and_their_children(tmp_path, number):
    script = "sleep 600 & echo $! >child.JOB; echo $$ >job.JOB; wait"
    command = [sys.executable, str(LOCAL), "--max_jobs", "2", "JOB=1:3", "x.JOB.log"]
    launcher = subprocess.Popen(
        [*command, "bash", "-c", script],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup may run the tests
    )
    files = [tmp_path / f"{kind}.{n}" for kind in ("child", "job") for n in (1, 2)]
    wait_until(lambda: all(map(has_text, files)))
    launcher.send_signal(number)
    assert launcher.wait(timeout=60) == 128 + number
    wait_until(lambda: not any(is_alive(int(file.read_text())) for file in files))
    assert not (tmp_path / "x.3.log").exists()
    assert "status -15" in (tmp_path / "x.1.log").read_text()


def test_a_job_that_ignores_the_signal_is_killed(tmp_path):
    script = "trap '' TERM; echo $$ >pid; while :; do sleep 0.1; done"
    command = [sys.executable, str(LOCAL), "x.log", "bash", "-c", script]
    launcher = subprocess.Popen(command, cwd=tmp_path)
    wait_until(lambda: has_text(tmp_path / "pid"))
    launcher.terminate()
    assert launcher.wait(timeout=60) == 143
    assert not is_alive(int((tmp_path / "pid").read_text()))


CMD_SH = LOCAL.parents[2] / "egs2" / "TEMPLATE" / "l2dual1" / "cmd.sh"


def source_cmd_sh(script, **environment):
    command = ["bash", "-euc", f'. "$0"; {script}', str(CMD_SH)]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_cmd_sh_offers_the_local_backend():
    result = source_cmd_sh('echo "$train_cmd $cuda_cmd $decode_cmd"')
    assert result.stdout == "local.py local.py local.py\n"


@pytest.mark.parametrize("backend", ["slurm", "sge", "pbs", "ssh"])
def test_cmd_sh_offers_clusters(backend):
    result = source_cmd_sh(
        'printf "%s\\n" "$train_cmd" "$cuda_cmd" "$decode_cmd"', cmd_backend=backend
    )
    commands = [line.split() for line in result.stdout.splitlines()]
    assert [words[0] for words in commands] == [f"{backend}.py"] * 3
    assert all((LOCAL.parent / words[0]).is_file() for words in commands)


def test_cmd_sh_refuses_another_backend():
    result = source_cmd_sh("echo ran", cmd_backend="lsf")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "l2dual: error: unknown backend lsf: use local, slurm, sge, pbs or ssh\n"
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (["--queue", "q", "x.log", "touch", "ran"], "unrecognized arguments: --queue"),
        (["--mem", "much", "x.log", "touch", "ran"], "'much' is not a size such as 8G or 500M"),
        (["--time", "90", "x.log", "touch", "ran"], "'90' is not a time such as 2:00:00"),
    ],
)
def test_an_option_that_a_cluster_would_refuse(tmp_path, words, message):
    test_usage_error_is_one_line_and_nothing_runs(tmp_path, words, message)


def test_a_directory_with_the_name_of_the_array(tmp_path):
    (tmp_path / "myJOBs").mkdir()
    result = launch(tmp_path, "JOB=1:2", "myJOBs/x.JOB.log", "true")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "myJOBs: has JOB in its name" in result.stderr and "TASK=1:2" in result.stderr
    assert launch(tmp_path, "TASK=1:2", "myJOBs/x.TASK.log", "true").returncode == 0
