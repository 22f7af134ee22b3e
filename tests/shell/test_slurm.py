"""Jobs and both recipes on a real Slurm, which tools/local_slurm.sh starts on this machine."""

import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.checkout import ROOT, Checkout

LOCAL_SLURM = ROOT / "tools" / "local_slurm.sh"
LAUNCHER = ROOT / "tools" / "launch" / "slurm.py"
CONF = (ROOT / "conf/cluster/slurm.conf").read_text()
CONF = CONF.replace("poll=5", "poll=0.2").replace("lag=60", "lag=3")
CONF = CONF.replace("retries=2", "retries=5")  # what a job may lose here, if it is always there

PR_SET_CHILD_SUBREAPER = 36


class Slurm:
    """A running Slurm, its programs, and a directory in which jobs run."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = os.environ | {"SLURM_CONF": str(directory / "slurm.conf")}

    def control(self, verb):
        """tools/local_slurm.sh VERB. Its daemons keep their outputs open: it writes to files."""
        with tempfile.TemporaryFile("w+") as said:
            command = [LOCAL_SLURM, verb, self.directory]
            status = subprocess.run(command, stdout=said, stderr=said, timeout=300).returncode
            said.seek(0)
            return status, said.read()

    def restart(self, how):
        """Killed, Slurm forgets its last seconds: jobs that ended then are in the queue again."""
        assert self.control(how)[0] == 0
        assert self.control("start") == (0, "")
        for ended in ("stop", "gone"):
            self.call("scancel", f"--name={ended}")

    def call(self, *words):
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=True, timeout=180
        ).stdout

    def queue(self, *options):
        return self.call("squeue", "--noheader", "--array", "--format=%i %j %T", *options).split(
            "\n"
        )[:-1]

    def wait_for(self, pattern, seconds=600, ended=()):
        """Wait until a line of the queue has the pattern; return its job's id.

        ``ended`` has what each recipe said that ended: then there is nothing to wait for.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not ended:
            for line in self.queue():
                if re.search(pattern, line):
                    return line.split()[0]
            time.sleep(0.1)
        pytest.fail(f"no {pattern} in the queue\n{ended}\n{self.condition()}")

    def condition(self):
        """What to look at when Slurm does not do what it should."""
        script = "squeue --states=all; sinfo --long -R; tail -n 60 slurmctld.log slurmd.log"
        words = ["bash", "-c", script]
        done = subprocess.run(
            words, cwd=self.directory, env=self.environment, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def start(self, directory, *words, **environment):
        """Start slurm.py there; return the process."""
        return subprocess.Popen(
            [LAUNCHER, *map(str, words)],
            cwd=directory,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, directory, *words, **environment):
        return end(self.start(directory, *words, **environment))


def end(process):
    """Wait for a process; return it with what it wrote."""
    output, error = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


@pytest.fixture(scope="module")
def slurm():
    missing = [p for p in ("slurmctld", "slurmd", "munged", "sbatch") if not find(p)]
    if missing:
        pytest.skip(f"no {missing[0]}: apt-get install slurm-wlm munge")
    directory = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp")) / "s"
    slurm = Slurm(directory)
    adopt_orphans(True)
    try:
        status, said = slurm.control("start")
        if status:
            pytest.skip(f"Slurm does not start here: {said}")
        yield slurm
    finally:
        slurm.control("stop")
        adopt_orphans(False)
        shutil.rmtree(directory.parent)


def adopt_orphans(on):
    """Be the parent of daemons: killed, they stay as zombies, as where the first process reaps none."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def find(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture
def place(tmp_path):
    """A directory with a space, the letters JOB and a % in its name, polled quickly."""
    place = tmp_path / "my JOB 50%"
    (place / "conf/cluster").mkdir(parents=True)
    (place / "conf/cluster/slurm.conf").write_text(CONF)
    return place


# Of path.sh, which a job begins with: trainings wait while a file is there.
HOLD = """
case $* in *"/train.1.sh") while [[ -e {held} ]]; do sleep 0.1; done ;; esac
"""


class Recipes:
    """Both recipes on their way through Slurm, in the background; their trainings are held at first."""

    def __init__(self, slurm, folder, python):
        self.checkout = Checkout(folder, python)
        self.held = folder / "held"
        self.held.touch()
        with (folder / "egs2/TEMPLATE/l2dual1/path.sh").open("a") as script:
            script.write(HOLD.format(held=shlex.quote(str(self.held))))
        self.environment = {"cmd_backend": "slurm", "SLURM_CONF": slurm.environment["SLURM_CONF"]}
        self.done = {}
        for language in ("en", "ko"):
            conf = self.checkout.recipe(language) / "conf/cluster"
            conf.mkdir(parents=True)
            (conf / "slurm.conf").write_text(CONF)
        self.threads = [threading.Thread(target=self.go, args=[name]) for name in ("en", "ko")]
        for thread in self.threads:
            thread.start()

    def go(self, language):
        self.done[language] = self.run(language)

    def run(self, language, *options):
        options = ("--study", "tiny", "--systems", "do", *options)
        return self.checkout.run(language, *options, check=False, **self.environment)


@pytest.fixture(scope="module")
def recipes(slurm, tmp_path_factory, warm):
    recipes = Recipes(slurm, tmp_path_factory.mktemp("JOBs of l2 dual"), warm)
    yield recipes
    recipes.held.unlink(missing_ok=True)
    for thread in recipes.threads:
        thread.join()


@pytest.fixture(scope="module")
def overtime(slurm, tmp_path_factory):
    """A job that needs more than its time: Slurm counts in minutes, so it is begun early."""
    place = tmp_path_factory.mktemp("overtime")
    (place / "conf/cluster").mkdir(parents=True)
    (place / "conf/cluster/slurm.conf").write_text(CONF)
    return slurm.start(place, "--time", "0:00:05", "log/x.log", "sleep", "300")


def test_slurm_is_restarted_and_a_node_lost_under_both_recipes(slurm, recipes):
    slurm.wait_for("(collect_stats|train) RUNNING", ended=recipes.done)
    slurm.restart("kill")  # its last seconds are forgotten, and the jobs that were new then
    slurm.wait_for("train RUNNING", ended=recipes.done)
    slurm.restart("crash")
    assert not recipes.done
    recipes.held.unlink()


def test_a_job_that_will_need_too_long_is_started(overtime):
    assert overtime.poll() is None


def test_array_on_slurm(slurm, place):
    (place / "path.sh").write_text("export FROM_PATH_SH=yes\n")
    script = "echo $FROM_PATH_SH $FROM_SHELL $OMP_NUM_THREADS; date +%s; touch 'out JOB'"
    words = ["--num_threads", 2, "JOB=0:2", "a log/x.JOB.log", "bash", "-c", script]
    result = slurm.run(place, *words, FROM_SHELL="no")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for number in (0, 1, 2):
        lines = (place / "a log" / f"x.{number}.log").read_text().splitlines()
        assert lines[0].startswith("# command: bash -c 'echo $FROM_PATH_SH") and len(lines) == 6
        assert lines[1].startswith("# host: ") and lines[2].startswith("# started: 2")
        assert lines[3] == "yes 2" and lines[4].isdigit()
        assert re.fullmatch(r"# ended: 2.*, status 0, \d+ seconds", lines[5])
        assert (place / f"out {number}").exists()


def test_max_jobs_throttles_the_array(slurm, place):
    script = "touch on.JOB; ls on.* | wc -l; sleep 0.5; rm on.JOB"
    assert (
        slurm.run(place, "--max_jobs", 1, "JOB=1:3", "x.JOB.log", "bash", "-c", script).returncode
        == 0
    )
    assert [(place / f"x.{n}.log").read_text().splitlines()[3] for n in (1, 2, 3)] == ["1"] * 3


def test_failure_names_the_job_its_log_and_the_last_lines(slurm, place):
    script = "for i in $(seq 40); do echo line $i; done; exit $((JOB == 2 ? 3 : 0))"
    words = ["--progress", 0.1, "JOB=1:3", "log/x.JOB.log", "bash", "-c", script]
    result = slurm.run(place, *words)
    assert result.returncode == 1
    assert re.search(
        r"failed: log/x.2.log \(Slurm \d+_2: FAILED on node1, status 3\)", result.stderr
    )
    assert "line 40\n" in result.stderr and "line 20\n" not in result.stderr
    assert result.stderr.endswith("slurm.py: 1 of 3 jobs failed\n")
    assert re.search(r"x: 0 running, 2 done, 1 failed of 3, \d\d:\d\d", result.stderr)


def test_a_job_over_its_memory(slurm, place):
    hog = "import time; block = bytearray(4 * 10**8); time.sleep(300)"
    result = slurm.run(place, "--mem", "200M", "log/x.log", "python3", "-c", hog)
    assert result.returncode == 1
    assert "OUT_OF_MEMORY: --mem 200M" in result.stderr
    assert "exceeded memory limit" in result.stderr  # Slurm's own words, in the job's log


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_a_job_that_somebody_cancels(slurm, place, state):
    words = ["--max_jobs", 1, "JOB=1:2", "log/gone.JOB.log", "sleep", "300"]
    process = slurm.start(place, *words)
    job = slurm.wait_for(f"gone {state}")
    slurm.wait_for("gone RUNNING")
    slurm.call("scancel", job.split("_")[0] if state == "RUNNING" else job)
    if state == "PENDING":
        slurm.call("scancel", slurm.wait_for("gone RUNNING"))
    result = end(process)
    assert result.returncode == 1
    assert re.search(r"failed: log/gone.\d.log \(Slurm \d+_\d: CANCELLED", result.stderr)
    assert result.stderr.endswith("2 of 2 jobs failed\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_all_jobs(slurm, place, number):
    process = slurm.start(place, "--max_jobs", 1, "JOB=1:3", "stop.JOB.log", "sleep", "300")
    slurm.wait_for("stop RUNNING")
    process.send_signal(number)
    result = end(process)
    assert result.returncode == 128 + number
    assert "ending 3 job(s)" in result.stderr and "may still run" not in result.stderr
    assert not [line for line in slurm.queue() if "stop" in line]


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["--partition", "nope", "bad.log", "true"],
            "Slurm refuses bad: sbatch: error: invalid part",
        ),
        (["--mem", "900G", "bad.log", "true"], "Memory specification can not be satisfied"),
        (["--queue", "q", "bad.log", "true"], "unrecognized arguments: --queue"),
        (["--mem", "8", "bad.log", "true"], "'8' is not a size such as 8G"),
        (["--time", "soon", "bad.log", "true"], "'soon' is not a time such as 2:00:00"),
        (["JOB=1:2", "bad.log", "true"], "bad.log: the log name of an array must contain JOB"),
        (["JOB=1:2", "myJOB/bad.JOB.log", "true"], "give the array another name, as TASK=1:2"),
    ],
)
def test_usage_error_is_one_line_and_nothing_runs(slurm, place, words, message):
    (place / "myJOB").mkdir()
    result = slurm.run(place, *words)
    assert result.returncode == 1 and message in result.stderr
    assert result.stderr.startswith("slurm.py: error: ") and result.stderr.count("\n") == 1
    assert not [line for line in slurm.queue() if "bad" in line]


def test_a_conf_file_that_is_wrong(slurm, place):
    (place / "conf/cluster/slurm.conf").write_text("command sbatch\noption mem --mem=$mem\n")
    result = slurm.run(place, "x.log", "true")
    assert (
        result.stderr
        == "slurm.py: error: conf/cluster/slurm.conf, line 2: not understood: option mem --mem=$mem\n"
    )


def test_an_array_while_the_controller_is_down(slurm, place):
    process = slurm.start(place, "JOB=1:2", "log/x.JOB.log", "sleep", "1")
    slurm.restart("kill")
    result = end(process)
    assert result.returncode == 0, result.stderr


def test_both_recipes_survived_it(recipes):
    for thread in recipes.threads:
        thread.join()
    lost = ""
    for language in ("en", "ko"):
        done = recipes.done[language]
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert re.findall(r"stage (\d+):", done.stdout) == [str(n) for n in range(1, 13)]
        exp = recipes.checkout.recipe(language) / "exp/tiny"
        runs = json.loads((exp / "results.json").read_text(encoding="utf-8"))["meta"]["runs"]
        assert {run["command"] for run in runs} == {"./run.sh --study tiny --systems do"}
        assert (exp / "report.html").exists() and list(exp.glob("*/model.zip"))
        lost += done.stderr
    assert re.search(r"lost \(NODE_FAIL on node1\): started again, \d of 5 times", lost), lost


def test_a_cancelled_training_stops_the_recipe_which_then_resumes(slurm, recipes):
    options = ("--seeds", "2", "--stop_stage", "8")
    results = []
    slurm.call("scancel", "--name=train")  # one that ended just before Slurm was killed still counts as running
    recipes.held.touch()
    thread = threading.Thread(target=lambda: results.append(recipes.run("en", *options)))
    thread.start()
    slurm.call("scancel", slurm.wait_for("train RUNNING", ended=results))
    recipes.held.unlink()
    thread.join()
    [result] = results
    assert result.returncode == 1
    assert re.search(r"failed: exp/tiny/log/train.1.log \(Slurm \d+_1: CANCELLED", result.stderr)
    again = "cmd_backend=slurm ./run.sh --study tiny --systems do --seeds 2 --stop_stage 8 --stage 8"
    assert f"l2dual: stage 8 failed. Finished work is kept. Fix the error, then run {again}" in result.stderr
    assert not [line for line in slurm.queue() if "train" in line]
    result = recipes.run("en", *options, "--stage", "8")
    assert result.returncode == 0, result.stderr


def test_run_sh_submits_what_it_names(slurm, recipes):
    [run] = recipes.checkout.recipe("ko").glob("exp/tiny/*.seed1")
    environment = os.environ | recipes.environment
    done = subprocess.run([run / "run.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"slurm: exp/tiny/{run.name}/run.sh, log: exp/tiny/{run.name}/resume.log\n"
    assert "already reached at max_epoch" in (run / "resume.log").read_text()
    assert "resume COMPLETED" in " ".join(slurm.queue("--states=all"))


def test_a_job_over_its_time(overtime):
    result = end(overtime)
    assert result.returncode == 1
    assert re.search(
        r"failed: log/x.log \(Slurm \d+_1: TIMEOUT on node1: --time 00:00:05", result.stderr
    )
    assert "DUE TO TIME LIMIT" in result.stderr
