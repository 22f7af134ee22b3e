#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on machines over ssh, each with its own log.

    ssh.py [options] log/x.log command args...
    ssh.py [options] JOB=1:8 log/x.JOB.log command args with JOB

conf/cluster/ssh.conf names the machines and how many jobs each runs at a time. --mem and --time are not
used. The environment of a job is that of ./path.sh, if there is one. A job whose connection is lost
is restarted, on another machine if one is free (--retries).
"""

import select
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cluster import footer_status, open_log, read_conf, script
from jobs import Launcher, UsageError, main

GRACE_SECONDS = 5.0
CONNECTION_LOST = 255
# The script comes on stdin; it runs in a session of its own, whose number it prints.
REMOTE = 'exec setsid --wait bash -c "echo \\$\\$; $(cat)"'


class Ssh(Launcher):
    """One ssh for each running job; the machines' slots are taken in turn."""

    name = "ssh.py"
    system = "host"

    def __init__(self, options):
        super().__init__(options)
        self.conf = read_conf("ssh.conf")
        if not self.conf.hosts:
            raise UsageError(
                f"{self.conf.path} names no machine: add lines `host NAME JOBS [GPUS]`"
            )
        self.free = slots(self.conf.hosts, options)
        self.lost = []  # slots of machines that could not be reached
        self.running = {}  # job -> (ssh, slot)

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument(
            "--retries", type=int, help="restarts of a job that lost its connection"
        )
        parser.set_defaults(retries=2, **read_conf("ssh.conf").defaults)

    def start(self, jobs):
        for job in jobs:
            open_log(job)

    def poll(self, jobs):
        if not self.free and not self.running:
            self.free, self.lost = self.lost, []
        for job in jobs:
            if job.state == "waiting" and self.free:
                self.run(job, self.free.pop(0))
        for job in jobs:
            if job.state == "running" and self.running[job][0].poll() is not None:
                self.settle(job)

    def run(self, job, slot):
        host, gpus = slot
        text = script([job], self.options.num_threads, job.task)
        if gpus:
            text = f"export CUDA_VISIBLE_DEVICES={','.join(gpus)}\n{text}"
        process = subprocess.Popen(
            [*self.conf.command, host, REMOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        job.state, job.id = "running", host
        self.running[job] = process, slot
        try:
            process.stdin.write(text)
            process.stdin.close()
        except BrokenPipeError:  # ssh says why
            pass

    def settle(self, job):
        process, slot = self.running.pop(job)
        logged = footer_status(job.log)
        status = process.returncode if logged is None else logged
        job.state = "done" if status == 0 else "failed"
        job.note = f"status {status}"
        if logged is None and status:
            job.note = " ".join(process.stderr.read().split()) or job.note
            job.state = "lost" if status == CONNECTION_LOST else "failed"
        (self.lost if job.state == "lost" else self.free).append(slot)

    def cancel(self, jobs):
        """Ask the jobs to end, and after a grace period make them."""
        running = [(*self.running[job], job) for job in jobs if job in self.running]
        sessions = [(slot[0], session_of(process)) for process, slot, _job in running]
        for number in ("TERM", "KILL"):
            self.signal(number, sessions)
            deadline = time.monotonic() + GRACE_SECONDS
            while running and time.monotonic() < deadline:
                running = [each for each in running if each[0].poll() is None]
                time.sleep(self.poll_seconds)
            if not running:
                return
        for process, slot, job in running:
            process.kill()
            self.say(f"{job.name} may still run on {slot[0]}")

    def signal(self, number, sessions):
        """Send a signal to everything that runs in sessions of other machines."""
        kills = [
            subprocess.Popen(
                [*self.conf.command, host, f"kill -{number} -- -{session}"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for host, session in sessions
            if session
        ]
        for kill in kills:
            kill.wait()


def session_of(process):
    """Return the number that the remote shell printed, if it has come so far."""
    ready, _, _ = select.select([process.stdout], [], [], GRACE_SECONDS)
    return process.stdout.readline().strip() if ready else ""


def slots(hosts, options):
    """Return one (host, GPUs) for each job that may run at a time, machines in turn."""
    found = []
    for host, jobs, gpus in hosts:
        if options.gpu:
            starts = range(0, len(gpus) - options.gpu + 1, options.gpu)
            found += [
                (i, host, gpus[start : start + options.gpu]) for i, start in enumerate(starts)
            ]
        else:
            found += [(i, host, []) for i in range(max(1, jobs // options.num_threads))]
    if not found:
        raise UsageError(f"--gpu {options.gpu}: no machine in conf/cluster/ssh.conf has that many GPUs")
    return [slot for _, *slot in sorted(found, key=lambda each: each[0])][: options.max_jobs]


if __name__ == "__main__":
    main(Ssh)
