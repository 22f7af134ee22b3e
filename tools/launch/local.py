#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on this machine, each with its own log.

local.py [options] log/x.log command args...
local.py [options] JOB=1:8 log/x.JOB.log command args with JOB
"""

import fcntl
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from jobs import Launcher, UsageError, main

GRACE_SECONDS = 5.0


class Process:
    """The running command of a job, and its log."""

    def __init__(self, job, environment):
        self.start = time.time()
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self.stream = open(job.log, "wb")  # noqa: SIM115 (open as long as the job)
        self.write(f"# command: {shlex.join(job.command)}")
        self.write(f"# host: {platform.node()}")
        self.write(f"# started: {time.strftime('%Y-%m-%d %H:%M:%S')}")
        self.process = None
        self.status = None
        try:
            self.process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=self.stream,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                close_fds=False,  # a job holds the lock of the run that it belongs to
            )
        except OSError as error:
            self.write(f"{job.command[0]}: {error.strerror}")
            self.finish(127)

    def write(self, line):
        self.stream.write(line.encode(errors="surrogateescape") + b"\n")
        self.stream.flush()

    def poll(self):
        """Return the exit status, or None while the command runs."""
        if self.status is None and self.process.poll() is not None:
            self.finish(self.process.returncode)
        return self.status

    def finish(self, status):
        self.status = status
        ended = time.strftime("%Y-%m-%d %H:%M:%S")
        self.write(f"# ended: {ended}, status {status}, {time.time() - self.start:.0f} seconds")
        self.stream.close()

    def kill(self, signal_number):
        """Send a signal to the command and to everything it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal_number)
            except (ProcessLookupError, PermissionError):
                pass


class Cores:
    """The cores of this machine, which launchers share if they are given the same directory.

    A core is a file there. A launcher holds a lock on it while a job of its own has it, and a lock
    on a file of its own for as long as it lives.
    """

    def __init__(self, directory):
        self.paths = [os.path.join(directory, str(core)) for core in range(core_count())] if directory else []
        self.held = {}
        self.directory = Path(directory or ".")
        self.own = None
        if directory:
            self.own = os.open(self.directory / f"launcher{os.getpid()}", os.O_CREAT | os.O_RDWR)
            fcntl.flock(self.own, fcntl.LOCK_EX)

    def share(self):
        """How many cores there are for each launcher that lives, or None if none are shared."""
        if self.own is None:
            return None
        return len(self.paths) / sum(map(is_locked, self.directory.glob("launcher*")))

    def take(self, job, number):
        """Take cores for a job, all that it needs or none; whether it has them."""
        taken = []
        for path in self.paths:
            if len(taken) < min(number, len(self.paths)):
                core = os.open(path, os.O_CREAT | os.O_RDWR)
                try:
                    fcntl.flock(core, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    taken.append(core)
                except BlockingIOError:
                    os.close(core)
        self.held[job] = taken
        if len(taken) < min(number, len(self.paths)):
            self.give_back(job)
            return False
        return True

    def give_back(self, job):
        """Let others have the cores of a job."""
        for core in self.held.pop(job):
            os.close(core)


def is_locked(path):
    """Whether a process holds a lock on a file."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Local(Launcher):
    """Processes of this machine, as many at a time as there are slots."""

    name = "local.py"

    def __init__(self, options):
        super().__init__(options)
        self.free = job_slots(options)
        self.most = len(self.free)
        self.cores = Cores(os.environ.get("L2DUAL_CORES"))
        self.slots = {}
        self.processes = {}

    def poll(self, jobs):
        for job in jobs:
            if job.state == "waiting" and self.free:
                job.note = "" if self.cores.take(job, self.options.num_threads) else "the other recipe has the cores"
                if not job.note:
                    self.run(job, self.free.pop(0))
        for job in jobs:
            status = self.processes[job].poll() if job.state == "running" else None
            if status is not None:
                job.state = "done" if status == 0 else "failed"
                self.free.append(self.slots[job])
                self.cores.give_back(job)

    def run(self, job, devices):
        environment = job_environment(self.options.num_threads, devices)
        self.processes[job] = Process(job, environment)
        self.slots[job] = devices
        job.state = "running"

    def at_a_time(self):
        """As many as there are slots, and cores in its share of them."""
        share = self.cores.share()
        return share and min(self.most, share / self.options.num_threads)

    def cancel(self, jobs):
        """Ask the jobs to end, and after a grace period make them."""
        processes = [self.processes[job] for job in jobs if job in self.processes]
        for process in processes:
            process.kill(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and any(each.poll() is None for each in processes):
            time.sleep(self.poll_seconds)
        for process in processes:
            process.kill(signal.SIGKILL)
            if process.process is not None:
                process.process.wait()
            process.poll()


def visible_gpus():
    """Return the ids of the GPUs that may be used: CUDA_VISIBLE_DEVICES, else nvidia-smi's."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return re.findall(r"^GPU (\d+):", listing.stdout, flags=re.MULTILINE)


def gpu_slots(gpus_per_job):
    """Return the sets of GPUs that jobs may hold at one time, as CUDA_VISIBLE_DEVICES values."""
    gpus = visible_gpus()
    if gpus_per_job > len(gpus):
        raise UsageError(f"--gpu {gpus_per_job}: this machine has {len(gpus)} GPU(s) to use")
    starts = range(0, len(gpus) - gpus_per_job + 1, gpus_per_job)
    return [",".join(gpus[start : start + gpus_per_job]) for start in starts]


def core_count():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def job_slots(options):
    """Return one entry per job that may run at a time: its GPUs, or None."""
    if options.gpu:
        return gpu_slots(options.gpu)[: options.max_jobs]
    return [None] * (options.max_jobs or max(1, core_count() // options.num_threads))


def job_environment(num_threads, devices):
    environment = dict(os.environ)
    environment["OMP_NUM_THREADS"] = environment["MKL_NUM_THREADS"] = str(num_threads)
    if devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = devices
    return environment


if __name__ == "__main__":
    main(Local)
