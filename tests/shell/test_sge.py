"""Jobs on a real Grid Engine, which tools/local_sge.sh starts on this machine."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "tools" / "launch" / "sge.py"
CONF = next((ROOT / "conf").rglob("sge.conf")).read_text()
CONF = CONF.replace("poll=5", "poll=0.3").replace("lag=60", "lag=5")


class GridEngine:
    """A running Grid Engine and its programs."""

    def __init__(self, directory):
        self.directory, self.environment = directory, {}

    def control(self, verb):
        """tools/local_sge.sh VERB. Its daemons keep their outputs open: it writes to files."""
        with tempfile.TemporaryFile("w+") as said:
            command = [ROOT / "tools" / "local_sge.sh", verb, self.directory]
            status = subprocess.run(command, stdout=said, stderr=said, timeout=200).returncode
            said.seek(0)
            return status, said.read()

    def read_environment(self):
        lines = ["-c", 'eval "$1"; env', "bash", self.control("env")[1]]
        output = subprocess.run(["bash", *lines], capture_output=True, text=True, check=True).stdout
        self.environment = dict(line.split("=", 1) for line in output.splitlines() if line.startswith(("SGE", "PATH")))

    def call(self, *words):
        environment = os.environ | self.environment
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    def wait_for(self, name, state, seconds=300):
        """Wait until a job of that name is in that state; return its number."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(rf"^ *(\d+) +\S+ +{name} +\S+ +{state} ", self.call("qstat"), flags=re.MULTILINE):
                return found[1]
            time.sleep(0.2)
        pytest.fail(f"no {name} in state {state}:\n{self.call('qstat')}")

    def start(self, directory, *words):
        return subprocess.Popen(
            [LAUNCHER, *map(str, words)],
            cwd=directory,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, directory, *words):
        return end(self.start(directory, *words))


def end(process):
    output, error = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


def wait_for_files(*files, seconds=300):
    deadline = time.monotonic() + seconds
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def sge():
    if not Path("/usr/lib/gridengine/sge_qmaster").exists() or os.geteuid():
        pytest.skip("no Grid Engine: as root, apt-get install gridengine-master gridengine-exec gridengine-client")
    directory = Path(tempfile.mkdtemp(prefix="sge", dir="/tmp")) / "s"
    sge = GridEngine(directory)
    try:
        status, said = sge.control("start")
        if status:
            pytest.skip(f"Grid Engine does not start here: {said}")
        sge.read_environment()
        yield sge
    finally:
        sge.control("stop")
        shutil.rmtree(directory.parent)


@pytest.fixture
def place(tmp_path):
    """A directory with a space, the letters JOB and a % in its name, polled quickly."""
    place = tmp_path / "my JOB 50%"
    (place / "conf/cluster").mkdir(parents=True)
    (place / "conf/cluster/sge.conf").write_text(CONF)
    return place


def test_array(sge, place):
    (place / "path.sh").write_text("export FROM_PATH_SH=yes\n")
    script = "echo $FROM_PATH_SH $OMP_NUM_THREADS $NSLOTS; touch 'out JOB'"
    words = ["--num_threads", 2, "--mem", "1G", "JOB=1:3", "a log/x.JOB.log", "bash", "-c", script]
    result = sge.run(place, *words)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for number in (1, 2, 3):
        lines = (place / "a log" / f"x.{number}.log").read_text().splitlines()
        assert lines[3] == "yes 2 2" and re.fullmatch(r"# ended: 2.*, status 0, \d+ seconds", lines[4])
        assert (place / f"out {number}").exists()


def test_max_jobs_throttles_the_array(sge, place):
    script = "touch on.JOB; ls on.* | wc -l; sleep 0.5; rm on.JOB"
    assert sge.run(place, "--max_jobs", 1, "JOB=1:3", "x.JOB.log", "bash", "-c", script).returncode == 0
    assert [(place / f"x.{n}.log").read_text().splitlines()[3] for n in (1, 2, 3)] == ["1"] * 3


def test_failure_names_the_job_and_its_log(sge, place):
    result = sge.run(place, "JOB=1:3", "log/x.JOB.log", "bash", "-c", "echo line JOB; exit $((JOB == 2 ? 3 : 0))")
    assert result.returncode == 1 and "line 2\n" in result.stderr
    assert re.search(r"failed: log/x.2.log \(Grid Engine \d+.2: status 3\)", result.stderr)
    assert result.stderr.endswith("sge.py: 1 of 3 jobs failed\n")


def test_a_job_over_its_time(sge, place):
    result = sge.run(place, "--time", "0:00:03", "log/x.log", "sleep", "300")
    assert result.returncode == 1
    assert "failed 37 : qmaster enforced h_rt, h_cpu, or h_vmem limit on localhost" in result.stderr


def test_a_job_over_its_memory(sge, place):
    result = sge.run(place, "--mem", "200M", "log/x.log", "python3", "-c", "block = bytearray(10**9)")
    assert result.returncode == 1 and "MemoryError" in result.stderr


@pytest.mark.parametrize("state", ["r", "qw"])
def test_a_job_that_somebody_deletes(sge, place, state):
    process = sge.start(place, "--max_jobs", 1, "JOB=1:2", "log/gone.JOB.log", "sleep", "300")
    sge.wait_for("gone", "r")
    sge.call("qdel", sge.wait_for("gone", state))
    result = end(process)
    assert result.returncode == 1 and result.stderr.endswith("2 of 2 jobs failed\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_deletes_all_jobs(sge, place, number):
    process = sge.start(place, "--max_jobs", 1, "JOB=1:3", "stop.JOB.log", "sleep", "300")
    sge.wait_for("stop", "r")
    process.send_signal(number)
    result = end(process)
    assert result.returncode == 128 + number
    assert "ending 3 job(s)" in result.stderr and "may still run" not in result.stderr
    assert "stop" not in sge.call("qstat")


def test_a_node_that_loses_its_job_starts_it_again(sge, place):
    script = "if [ -e first ]; then echo again; else touch first; sleep 300; fi"
    process = sge.start(place, "again.log", "bash", "-c", script)
    number = sge.wait_for("again", "r")
    wait_for_files(place / "first")
    sge.call("qmod", "-rj", number)  # as after a lost node: -r y lets it run again
    result = end(process)
    assert result.returncode == 0, result.stderr
    assert "\nagain\n" in (place / "again.log").read_text()


def test_an_array_while_the_daemons_are_down(sge, place):
    script = "touch on.JOB; until [ -e go ]; do sleep 0.1; done"
    process = sge.start(place, "JOB=1:2", "log/x.JOB.log", "bash", "-c", script)
    wait_for_files(place / "on.1", place / "on.2")
    assert sge.control("kill")[0] == 0
    assert "Grid Engine does not answer, waiting: " in process.stderr.readline()
    (place / "go").touch()
    assert sge.control("start") == (0, "")
    result = end(process)
    assert result.returncode == 0, result.stderr


def test_refused(sge, place):
    result = sge.run(place, "--queue", "nope", "bad.log", "true")
    assert result.returncode == 1 and "Grid Engine refuses bad: " in result.stderr and result.stderr.count("\n") == 1
