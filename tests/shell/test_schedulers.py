"""The launchers for Grid Engine, PBS and ssh, and of Slurm's what a real one is rarely seen to do.

ssh runs against a real sshd on loopback. For PBS, and what a real Grid Engine (test_sge.py) rarely does, the
launchers meet stand-ins that run the jobs and print what the manuals of qsub, qstat and qacct document.
"""

import argparse
import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS = ROOT / "tools" / "launch"
sys.path.insert(0, str(LAUNCHERS))
import cluster  # noqa: E402
import jobs  # noqa: E402
import pbs  # noqa: E402
import sge  # noqa: E402


def launch(name, directory, *words, **environment):
    return subprocess.run(
        [LAUNCHERS / name, *map(str, words)],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def install(directory, programs):
    """Write stand-ins for a scheduler's programs; return the PATH that has them."""
    (directory / "bin").mkdir()
    for name, script in programs.items():
        (directory / "bin" / name).write_text(f"#!/bin/bash\ncd '{directory}'\n{script}")
        (directory / "bin" / name).chmod(0o755)
    return f"{directory}/bin:{os.environ['PATH']}"


# What `man qstat` (-xml -g d) and `man accounting` of Grid Engine 8.1 describe.
SGE_QUEUE = """<?xml version='1.0'?>
<job_info>
  <queue_info>
    <job_list state="running">
      <JB_job_number>7</JB_job_number><JB_name>train</JB_name><state>r</state>
      <queue_name>all.q@node1</queue_name><slots>1</slots><tasks>1</tasks>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>7</JB_job_number><JB_name>train</JB_name><state>qw</state><tasks>2</tasks>
    </job_list>
    <job_list state="pending">
      <JB_job_number>7</JB_job_number><JB_name>train</JB_name><state>Eqw</state><tasks>3</tasks>
    </job_list>
    <job_list state="pending">
      <JB_job_number>7</JB_job_number><JB_name>train</JB_name><state>hqw</state><tasks>4</tasks>
    </job_list>
  </job_info>
</job_info>
"""


def sge_account(task, failed, status):
    return f"""\
==============================================================
qname        all.q
hostname     node1
jobname      train
jobnumber    7
taskid       {task}
failed       {failed}
exit_status  {status}
"""


def test_grid_engine_queue():
    assert sge.queue_states(SGE_QUEUE) == {
        "7.1": ("running", ""),
        "7.2": ("waiting", ""),
        "7.3": ("failed", "state Eqw: see qstat -j 7"),
        "7.4": ("waiting", "hqw"),
    }


def test_grid_engine_accounts():
    text = sge_account(1, "0", 3) + sge_account(2, "25  : rescheduling", 0)
    text += sge_account(2, "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", 137)
    assert sge.account_states(text) == {
        "7.1": ("done", "exit_status 3"),
        "7.2": ("failed", "failed 37 : qmaster enforced h_rt, h_cpu, or h_vmem limit on node1"),
    }


EMPTY_QUEUE = 'echo "<job_info><queue_info/><job_info/></job_info>"\n'
SGE_RUNS = {
    "qsub": 'echo "$@" > words; cat > script; echo 7.1-2:1\n'
    "for task in 1 2; do SGE_TASK_ID=$task bash script; done; exit 0\n",
    "qstat": EMPTY_QUEUE,
    "qacct": f"cat << END\n{sge_account(1, '0', 0)}{sge_account(2, '0', 3)}END\n",
    "qdel": "echo $@ > deleted\n",
}


def test_grid_engine_end_to_end(tmp_path):
    path = install(tmp_path, SGE_RUNS)
    options = [
        "--mem",
        "2G",
        "--num_threads",
        4,
        "--time",
        "1-0:00:00",
        "--gpu",
        1,
        "--max_jobs",
        3,
    ]
    words = [*options, "--queue", "long", "JOB=1:2", "log/1x y.JOB.log"]
    result = launch("sge.py", tmp_path, *words, "bash", "-c", "exit $((JOB == 2 ? 3 : 0))", PATH=path)
    assert (tmp_path / "words").read_text().split() == (
        "-l h_vmem=2G -l h_rt=24:00:00 -pe smp 4 -l gpu=1 -q long -terse -S /bin/bash -r y -j y "
        "-o /dev/null -N _1x_y -t 1-2 -tc 3"
    ).split()
    assert result.returncode == 1
    assert "failed: log/1x y.2.log (Grid Engine 7.2: status 3), its last lines:" in result.stderr


def test_an_answer_of_grid_engine_that_is_no_xml_is_no_answer(tmp_path):
    broken = f"[ -e asked ] || {{ touch asked; echo '<job_info>a&b'; exit; }}\n{EMPTY_QUEUE}"
    account = f"cat << END\n{sge_account(1, '0', 0)}END\n"
    programs = SGE_RUNS | {
        "qsub": "cat > script; SGE_TASK_ID=1 bash script; echo 7.1-1:1\n",
        "qstat": broken,
        "qacct": account,
    }
    result = launch("sge.py", tmp_path, "--poll", 0.1, "x.log", "true", PATH=install(tmp_path, programs))
    assert result.returncode == 0, result.stderr
    assert "Grid Engine does not answer, waiting: its answer is no XML" in result.stderr


def test_grid_engine_limit_is_named(tmp_path):
    killed = sge_account(1, "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", 137)
    programs = SGE_RUNS | {"qsub": "echo 7.1-1:1\n", "qacct": f"cat << END\n{killed}END\n"}
    result = launch("sge.py", tmp_path, "x.log", "true", PATH=install(tmp_path, programs))
    assert result.returncode == 1
    assert "(Grid Engine 7.1: failed 37 : qmaster enforced h_rt" in result.stderr


# What the reference guide of PBS Professional has for `qstat -x -t -f -F json`.
PBS_QUEUE = """{"timestamp": 1, "pbs_version": "23.06", "pbs_server": "head", "Jobs": {
  "12[].head": {"job_state": "B", "array": "True"},
  "12[1].head": {"job_state": "X", "Exit_status": 0},
  "12[2].head": {"job_state": "X", "Exit_status": 271, "comment": "Subjob finished"},
  "12[3].head": {"job_state": "R"},
  "12[4].head": {"job_state": "Q", "comment": "Not Running: no nodes"},
  "13.head": {"job_state": "F", "Exit_status": -29},
  "14.head": {"job_state": "H"}}}"""


def test_pbs_queue():
    states = pbs.queue_states(PBS_QUEUE)
    del states["12[].head"]
    assert states == {
        "12[1].head": ("done", "Exit_status 0"),
        "12[2].head": ("failed", "Exit_status 271, Subjob finished"),
        "12[3].head": ("running", ""),
        "12[4].head": ("waiting", "Not Running: no nodes"),
        "13.head": ("failed", "Exit_status -29"),
        "14.head": ("waiting", "state H"),
    }
    assert pbs.queue_states('{"timestamp": 1}') == {}


def pbs_programs(*states):
    jobs = ", ".join(f'"12[{n}].head": {state}' for n, state in enumerate(states, 1))
    return {
        "qsub": 'echo "$@" > words; cat > script; echo "12[].head"\n'
        "for task in 1 2; do PBS_ARRAY_INDEX=$task bash script; done; exit 0\n",
        "qstat": f"echo '{{\"Jobs\": {{{jobs}}}}}'\n",
        "qdel": "echo $@ > deleted; echo '{\"Jobs\": {}}'\n",
    }


def test_pbs_end_to_end(tmp_path):
    ended = '{"job_state": "X", "Exit_status": 0}'
    path = install(tmp_path, pbs_programs(ended, ended))
    options = ["--mem", "2G", "--num_threads", 4, "--time", "2:00:00", "--gpu", 1, "--max_jobs", 3]
    words = [*options, "JOB=1:2", "log/x.JOB.log", "touch", "made JOB"]
    result = launch("pbs.py", tmp_path, *words, PATH=path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "words").read_text().split() == (
        "-l select=1:ncpus=4:mem=2G:ngpus=1 -l walltime=02:00:00 -S /bin/bash -r y -j oe -o /dev/null -N x -J 1-2%3"
    ).split()
    assert (tmp_path / "made 1").exists() and (tmp_path / "made 2").exists()


def test_pbs_answers_that_cannot_be_read_are_no_answers(tmp_path):
    programs = pbs_programs() | {
        "qsub": "cat > script; echo >> calls; wc -l < calls; [ $(wc -l < calls) = 1 ] || bash script\n",
        "qstat": "echo >> asked; case $(wc -l < asked) in\n"
        "1) echo '{\"Jobs\": ' ;;\n"
        "2) echo 'qstat: PBS is not configured to maintain job history' >&2; exit 1 ;;\n"
        "3) echo 'qstat: Unknown Job Id 1' >&2; exit 153 ;;\n"
        '*) echo \'{"Jobs": {"2": {"job_state": "F"}}}\' ;;\nesac\n',
    }
    words = ["--poll", 0.2, "--lag", 0.1, "x.log", "true"]
    result = launch("pbs.py", tmp_path, *words, PATH=install(tmp_path, programs))
    assert result.returncode == 0, result.stderr
    silence, answer, lost = result.stderr.splitlines()
    assert "PBS does not answer, waiting: qstat's JSON can't be read (Expecting value" in silence
    assert "PBS answers again" in answer and "x: lost (not in the queue" in lost


def test_ctrl_c_deletes_the_array(tmp_path):
    running = '{"job_state": "R"}'
    programs = pbs_programs(running, running) | {"qsub": "echo '12[].head'\n"}
    programs["qstat"] = f"[ ! -e deleted ] || exec echo '{{}}'\n{programs['qstat']}touch asked\n"
    path = install(tmp_path, programs)
    command = [LAUNCHERS / "pbs.py", "--poll", "0.1", "JOB=1:2", "x.JOB.log", "sleep", "9"]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PATH": path}, stderr=subprocess.PIPE)
    wait_until((tmp_path / "asked").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "deleted").read_text() == "12[].head\n"


ENDED = "echo '# ended: 2026-11-25 10:00:00, status 143, 5 seconds' >> x.log"


@pytest.mark.parametrize(
    "first, queue, note",
    [
        (ENDED, "7_1|PREEMPTED|None|node1|$PWD", "PREEMPTED on node1"),
        (ENDED, "", "not in the queue, status 143"),
        (":", "7_1|RUNNING|None|node1|/somebody/else", "not in the queue, but its log has no end"),
    ],
)
def test_a_job_that_slurm_ended_or_forgot_is_started_again(tmp_path, first, queue, note):
    programs = {
        "sbatch": f"cat > script; echo >> calls; [ $(wc -l < calls) = 2 ] || {{ {first}; echo 7; exit; }}\n"
        "SLURM_ARRAY_TASK_ID=1 bash script; echo 8\n",
        "squeue": f'[ $(wc -l < calls) = 2 ] && echo "8_1|COMPLETED|None|node1|$PWD" || printf "{queue}"\n',
        "sacct": "exit 1\n",
        "scancel": "",
    }
    path = install(tmp_path, programs)
    words = ["--poll", 0.1, "--lag", 0.3, "x.log", "touch", "made"]
    result = launch("slurm.py", tmp_path, *words, PATH=path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith(f"slurm.py: x: lost ({note}")
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("status", [0, 3])
def test_a_job_whose_end_a_killed_controller_forgot_is_not_waited_for(tmp_path, status):
    programs = {
        "sbatch": "cat > script; SLURM_ARRAY_TASK_ID=1 bash script; echo 7\n",
        "squeue": 'echo "7_1|RUNNING|None|node1|$PWD"\n',
        "scancel": "echo $@ > cancelled\n",
    }
    path = install(tmp_path, programs)
    words = ["--poll", 0.1, "--lag", 0.3, "x.log", "bash", "-c", f"exit {status}"]
    result = launch("slurm.py", tmp_path, *words, PATH=path)
    assert (tmp_path / "cancelled").read_text() == "7_1\n"
    assert result.returncode == min(status, 1), result.stderr
    assert ("failed: x.log (Slurm 7_1: status 3)" in result.stderr) == (status == 3)


def settled(tmp_path, log, *states):
    """The state of a job whose log says ``log``, after the scheduler's states, a second apart."""
    options = argparse.Namespace(poll=0.1, lag=1.5)
    launcher = cluster.Cluster.__new__(cluster.Cluster)
    launcher.options, launcher.since = options, {}
    job = jobs.Job(None, tmp_path / "x.log", [])
    job.log.write_text(log)
    launcher.since[job] = time.monotonic()
    for number, state in enumerate(states):
        time.sleep(1.0 if number else 0.0)
        launcher.settle(job, state, "")
    return job.state


FOOTER = "# ended: 2026-11-25 10:00:00, status {}, 5 seconds\n"


@pytest.mark.parametrize(
    "log, states, found",
    [
        (FOOTER.format(0), ("running",) * 3, "done"),
        (FOOTER.format(143), ("running",) * 3, "running"),  # a node's end: the scheduler starts it again
        (FOOTER.format(0) + "\n# started: 2026-11-25 10:00:00\n", ("running",) * 3, "running"),
        ("", ("waiting", "waiting", "done"), "waiting"),  # its end, on another machine, does not show yet
        ("", ("running", "done", "done"), "failed"),
    ],
)
def test_when_a_job_has_ended(tmp_path, log, states, found):
    assert settled(tmp_path, log, *states) == found


def test_a_lost_job_that_slurm_refuses_does_not_end_the_others(tmp_path):
    programs = {
        "sbatch": "echo >> calls; cat > script$(wc -l < calls)\n"
        "[ $(wc -l < calls) = 1 ] || { echo 'job submit limit' >&2; exit 1; }\n"
        "(sleep 1; SLURM_ARRAY_TASK_ID=2 bash script1) > /dev/null 2>&1 & echo 7\n",
        "squeue": 'echo "7_1|NODE_FAIL|None|node1|$PWD"; '
        '[ -e made ] && echo "7_2|COMPLETED|None|node1|$PWD" || echo "7_2|RUNNING|None|node1|$PWD"\n',
        "sacct": "exit 1\n",
        "scancel": "echo $@ > cancelled\n",
    }
    path = install(tmp_path, programs)
    result = launch("slurm.py", tmp_path, "--poll", 0.1, "JOB=1:2", "x.JOB.log", "touch", "made", PATH=path)
    assert result.returncode == 1 and "job submit limit" in result.stderr and "1 of 2 jobs failed" in result.stderr
    assert (tmp_path / "made").exists() and not (tmp_path / "cancelled").exists()


def test_ctrl_c_finds_an_array_that_slurm_took_without_an_answer(tmp_path):
    programs = {
        "sbatch": "echo \"$*\" > words; cat > script; echo 'Zero Bytes were transmitted' >&2; exit 1\n",
        "squeue": "case $* in *--me*) echo \"7|$(grep -o 'l2dual-[0-9a-f]*' words)\" ;;"
        ' *) [ -e cancelled ] || echo "7_1|RUNNING|None|node1|$PWD" ;; esac\n',
        "sacct": "exit 1\n",
        "scancel": "echo $@ > cancelled\n",
    }
    path = install(tmp_path, programs)
    command = [LAUNCHERS / "slurm.py", "--poll", "3", "x.log", "sleep", "9"]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PATH": path}, stderr=subprocess.PIPE)
    wait_until((tmp_path / "script").exists)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "cancelled").read_text() == "7\n"


def test_an_array_that_slurm_took_without_an_answer_is_not_submitted_again(tmp_path):
    error = "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received"
    programs = {
        "sbatch": 'echo "$*" > words; cat > script; echo >> calls; SLURM_ARRAY_TASK_ID=1 bash script; '
        f"echo '{error}' >&2; exit 1\n",
        "squeue": "case $* in *--me*) echo '6|l2dual-of another'; echo \"7|$(grep -o 'l2dual-[0-9a-f]*' words)\" ;;"
        ' *) echo "7_1|COMPLETED|None|node1|$PWD" ;; esac\n',
        "sacct": "exit 1\n",
        "scancel": "",
    }
    path = install(tmp_path, programs)
    words = ["--poll", 0.1, "x.log", "bash", "-c", "echo >> runs"]
    result = launch("slurm.py", tmp_path, *words, PATH=path)
    assert result.returncode == 0, result.stderr
    assert "Slurm does not answer, waiting: sbatch: error: Batch" in result.stderr
    assert (tmp_path / "calls").read_text() == (tmp_path / "runs").read_text() == "\n"


def test_the_end_of_a_lost_run_is_none(tmp_path):
    ended = "# ended: 2026-11-25 10:00:00, status {}, 5 seconds\n"
    job = jobs.Job(None, tmp_path / "x.log", [], note="NODE_FAIL on node1", lost=1)
    job.log.write_text(ended.format(143) + "slurmstepd: error: cut o")
    assert cluster.footer_status(job.log) == 143
    cluster.open_log(job)
    assert cluster.footer_status(job.log) is None
    with open(job.log, "a") as log:
        log.write(ended.format(0))
    assert cluster.footer_status(job.log) == 0


@pytest.mark.parametrize("name, system", [("sge", "Grid Engine"), ("pbs", "PBS")])
def test_a_backend_without_its_scheduler(tmp_path, name, system):
    path = f"{Path(sys.executable).parent}:/nonexistent"
    (tmp_path / "env").symlink_to(shutil.which("env"))
    command = [sys.executable, LAUNCHERS / f"{name}.py", "x.log", "true"]
    result = subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        f"{name}.py: error: no qsub on PATH: run this on a machine that submits to {system}, "
        "or choose another backend in cmd.sh\n"
    )


@pytest.mark.parametrize("name", ["sge", "pbs"])
def test_a_queue_that_refuses(tmp_path, name):
    programs = {"qsub": "echo 'qsub: Unknown queue' >&2; exit 1\n", "qdel": "", "qstat": ""}
    result = launch(f"{name}.py", tmp_path, "x.log", "true", PATH=install(tmp_path, programs))
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "refuses x: qsub: Unknown queue" in result.stderr


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A real sshd on loopback; returns the line `command ssh ...` that reaches it."""
    if not SSHD:
        pytest.skip("no sshd: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = subprocess.check_output(
        [
            sys.executable,
            "-c",
            "import socket; print(socket.create_server(('', 0)).getsockname()[1])",
        ],
        text=True,
    ).strip()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    options = [f"HostKey={folder}/host", f"AuthorizedKeysFile={folder}/authorized", f"Port={port}"]
    options += ["ListenAddress=127.0.0.1", "StrictModes=no", "UsePAM=no", "PidFile=none"]
    words = [SSHD, "-D", "-e", "-f", "/dev/null", *(w for o in options for w in ("-o", o))]
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(words, stderr=log)
    ssh = f"ssh -o BatchMode=yes -p {port} -i {folder}/user -o UserKnownHostsFile={folder}/known"
    ssh += f" -o StrictHostKeyChecking=no -o LogLevel=ERROR -l {getpass.getuser()}"
    enter, deadline = [*ssh.split(), "127.0.0.1", "true"], time.monotonic() + 20
    while subprocess.run(enter, stderr=subprocess.DEVNULL).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.terminate()
            pytest.skip(f"sshd does not let us in: {(folder / 'log').read_text()[-300:]}")
        time.sleep(0.1)
    yield f"command {ssh}\n"
    daemon.terminate()
    daemon.wait()


def hosts(directory, *lines):
    (directory / "conf/cluster").mkdir(parents=True)
    (directory / "conf/cluster/ssh.conf").write_text("\n".join(lines))


def test_ssh_runs_jobs_on_its_hosts(sshd, tmp_path):
    hosts(tmp_path, sshd, "host 127.0.0.1 2 0,1,2,3", "host localhost 1")
    (tmp_path / "path.sh").write_text("export FROM_PATH_SH=yes\n")
    script = "echo $FROM_PATH_SH $FROM_SHELL $CUDA_VISIBLE_DEVICES; sleep 0.2; exit $((JOB == 2))"
    words = ["--gpu", 2, "JOB=1:3", "a log/x.JOB.log", "bash", "-c", script]
    result = launch("ssh.py", tmp_path, *words, FROM_SHELL="no")
    assert result.returncode == 1, result.stderr
    assert "failed: a log/x.2.log (host 127.0.0.1: status 1), its last lines:" in result.stderr
    lines = [(tmp_path / "a log" / f"x.{n}.log").read_text().splitlines()[3] for n in (1, 2, 3)]
    assert lines[:2] == ["yes 0,1", "yes 2,3"] and lines[2] in lines[:2]


def test_ssh_goes_to_another_host_when_one_is_lost(sshd, tmp_path):
    hosts(tmp_path, sshd, "host nowhere.invalid 1", "host 127.0.0.1 1")
    result = launch("ssh.py", tmp_path, "--retries", 3, "JOB=1:2", "x.JOB.log", "echo", "JOB")
    assert result.returncode == 0, result.stderr
    assert "x.1: lost (ssh: Could not resolve hostname nowhere.invalid" in result.stderr
    assert "# lost: ssh" in (tmp_path / "x.1.log").read_text()


def test_ctrl_c_ends_what_runs_over_ssh(sshd, tmp_path):
    hosts(tmp_path, sshd, "host 127.0.0.1 2")
    script = "sleep 300 & echo $! > child; wait"
    process = subprocess.Popen([LAUNCHERS / "ssh.py", "x.log", "bash", "-c", script], cwd=tmp_path)
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    wait_until(lambda: not child.exists() or child.read_text().split(") ")[1][0] == "Z")
    assert "status 143" in (tmp_path / "x.log").read_text()


def test_ssh_without_hosts(tmp_path):
    hosts(tmp_path, "command ssh")
    result = launch("ssh.py", tmp_path, "x.log", "true")
    assert result.stderr == (
        "ssh.py: error: conf/cluster/ssh.conf names no machine: add lines `host NAME JOBS [GPUS]`\n"
    )
