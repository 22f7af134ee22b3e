#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on this machine, each with its own log.

    local.py [options] log/x.log command args...
    local.py [options] JOB=1:8 log/x.JOB.log command args with JOB

JOB is replaced by the job's number in the log's name and in every argument. The command is run as
it stands, without a shell: paths with spaces need no more quoting, and a pipe needs `bash -c`.
A line `progress: ...` that a job prints is shown in the progress of the array.
Status 0 if every job ended with 0, else 1. Interrupted or terminated, it ends all its jobs.
"""

import argparse
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
TAIL_LINES = 20


class UsageError(Exception):
    """The command line does not fit; nothing was run."""


class Job:
    """One running or finished command."""

    def __init__(self, log, command, environment, devices):
        self.log = log
        self.devices = devices
        self.start = time.time()
        log.parent.mkdir(parents=True, exist_ok=True)
        self.stream = open(log, "wb")
        self.write(f"# command: {shlex.join(command)}")
        self.write(f"# host: {platform.node()}")
        self.write(f"# started: {time.strftime('%Y-%m-%d %H:%M:%S')}")
        self.process = None
        self.status = None
        self.said = ""
        self.read_until = 0
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self.stream,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self.write(f"{command[0]}: {error.strerror}")
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

    def progress(self):
        """Return what the command last printed behind `progress: `."""
        with open(self.log, "rb") as log:
            log.seek(self.read_until)
            new = log.read()
        self.read_until += len(new) - len(new.rpartition(b"\n")[2])
        said = re.findall(rb"^progress: (.*)\n", new, flags=re.MULTILINE)
        if said:
            self.said = said[-1].decode(errors="replace")
        return self.said

    def kill(self, signal_number):
        """Send a signal to the command and to everything it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal_number)
            except (ProcessLookupError, PermissionError):
                pass


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        usage="local.py [options] [JOB=1:8] LOG COMMAND [ARGUMENT ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gpu", type=int, default=0, help="GPUs for each job")
    parser.add_argument("--num_threads", type=int, default=1, help="threads for each job")
    parser.add_argument("--max_jobs", type=int, help="jobs at a time (default: cores / threads)")
    parser.add_argument("--mem", help="memory for each job; a cluster needs it, not used here")
    parser.add_argument("--time", help="time for each job; a cluster needs it, not used here")
    parser.add_argument(
        "--progress", type=float, default=30, help="seconds between progress lines, off a terminal"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("num_threads", "max_jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be 1 or more, not {value}")
    if options.gpu < 0:
        raise UsageError(f"--gpu must be 0 or more, not {options.gpu}")
    return options


def expand_jobs(words):
    """Return [(log, command), ...] of ``[NAME=first[:last]] LOG COMMAND [ARGUMENT ...]``."""
    array = re.fullmatch(r"(\w+)=(\d+)(?::(\d+))?", words[0]) if words else None
    log, *command = words[1:] if array else words or [""]
    if not command:
        raise UsageError("give a log file and a command: [JOB=1:8] LOG COMMAND [ARGUMENT ...]")
    if not array:
        return [(Path(log), command)]
    name, first, last = array[1], int(array[2]), int(array[3] or array[2])
    if last < first:
        raise UsageError(f"{words[0]}: the last job's number is smaller than the first's")
    if name not in log:
        raise UsageError(f"{log}: the log name of an array must contain {name}")
    return [
        (Path(log.replace(name, str(n))), [word.replace(name, str(n)) for word in command])
        for n in range(first, last + 1)
    ]


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


class Progress:
    """The state of the jobs on stderr: in place on a terminal, else a line now and then."""

    def __init__(self, first_log, total, interval):
        self.name = first_log.name.split(".")[0]
        self.total = total
        self.on_terminal = sys.stderr.isatty()
        self.interval = 1.0 if self.on_terminal else interval
        self.start = self.last = time.monotonic()
        self.shown = False

    def update(self, running, done, failed, last=False):
        """Show the counts, and what the jobs in the list ``running`` last said of themselves."""
        now = time.monotonic()
        due = self.interval > 0 and now - self.last >= self.interval
        if not (due or (last and self.shown)):
            return
        self.last, self.shown = now, True
        minutes, seconds = divmod(int(now - self.start), 60)
        line = (
            f"{self.name}: {len(running)} running, {done} done, {failed} failed "
            f"of {self.total}, {minutes:02d}:{seconds:02d}"
        )
        said = ", ".join(filter(None, (job.progress() for job in running)))
        if said:
            line += f" ({said})"
        if self.on_terminal:
            sys.stderr.write("\r\033[K" + line + ("\n" if last else ""))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def end_jobs(jobs):
    """Ask the jobs to end, and after a grace period make them."""
    for job in jobs:
        job.kill(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(job.poll() is None for job in jobs):
        time.sleep(POLL_SECONDS)
    for job in jobs:
        job.kill(signal.SIGKILL)
        if job.process is not None:
            job.process.wait()
        job.poll()


def catch_signals():
    """Return a list that collects the signals which ask this process to stop."""
    received = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # under nohup
        signal.signal(number, lambda number, _frame: received.append(number))
    return received


def run_jobs(commands, options, slots):
    """Run all jobs; return the failed ones in the order in which they failed."""
    received = catch_signals()
    waiting, running, done, failed = list(commands), [], 0, []
    progress = Progress(commands[0][0], len(commands), options.progress)
    free = list(slots)
    try:
        while waiting or running:
            while waiting and free and not received:
                devices = free.pop(0)
                environment = job_environment(options.num_threads, devices)
                running.append(Job(*waiting.pop(0), environment, devices))
            if received:
                name = signal.Signals(received[0]).name
                print(f"\nlocal.py: {name}: ending {len(running)} job(s)", file=sys.stderr)
                sys.exit(128 + received[0])
            for job in [job for job in running if job.poll() is not None]:
                running.remove(job)
                free.append(job.devices)
                if job.status == 0:
                    done += 1
                else:
                    failed.append(job)
            progress.update(running, done, len(failed))
            if running:
                time.sleep(POLL_SECONDS)
    finally:
        end_jobs(running)
    progress.update([], done, len(failed), last=True)
    return failed


def report_failure(failed, total):
    log = failed[0].log
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"local.py: failed: {log}, its last lines:", file=sys.stderr)
    for line in lines[-TAIL_LINES:]:
        print(f"    {line}", file=sys.stderr)
    print(f"local.py: {len(failed)} of {total} jobs failed", file=sys.stderr)


def main():
    try:
        options = parse_arguments(sys.argv[1:])
        commands = expand_jobs(options.words)
        slots = job_slots(options)
        failed = run_jobs(commands, options, slots)
    except (UsageError, OSError) as error:
        sys.exit(f"local.py: error: {error}")
    if failed:
        report_failure(failed, len(commands))
        sys.exit(1)


if __name__ == "__main__":
    main()
