#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on a Slurm cluster, each with its own log.

    slurm.py [options] log/x.log command args...
    slurm.py [options] JOB=1:8 log/x.JOB.log command args with JOB

conf/cluster/slurm.conf says how options become sbatch's; add your own options there. --max_jobs
throttles the array. The environment of a job is that of ./path.sh, if there is one. A job is
restarted if its node fails or it is preempted (--retries).
"""

import os
import re
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cluster import Cluster, Silent
from jobs import main

MARK = f"l2dual-{uuid.uuid4().hex}"  # of this launcher's arrays
WAITING = "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT".split()
RUNNING = "RUNNING COMPLETING SUSPENDED STOPPED RESIZING SIGNALING STAGE_OUT".split()
LOST = "NODE_FAIL BOOT_FAIL PREEMPTED".split()
KEPT_VARIABLES = "HOME|USER|LOGNAME|LANG|TMPDIR|SLURM_CONF"
NO_ANSWER = re.compile(
    "Unable to contact slurm controller|Connection (refused|reset)|Zero Bytes were transmitted|"
    "timed out on send/recv|Transport endpoint is not connected"
)
OVER_MEMORY = re.compile(r"slurmstepd.*(exceeded (job )?memory limit|oom.?kill)", re.IGNORECASE)


def verdict(state, reason="", node=""):
    """Return what a state of Slurm's means to a launcher, and a note."""
    if state in WAITING:
        return "waiting", "" if reason == "None" else reason
    if state in RUNNING:
        return "running", ""
    if state == "COMPLETED":
        return "done", state
    note = f"{state} on {node}" if node not in ("", "None assigned") else state
    return ("lost" if state in LOST else "failed"), note


def state_of(words, directory):
    """Return the verdict on a job of this directory, ("gone", "") on another's.

    A controller that lost its last seconds gives their numbers again, to anybody's jobs.
    """
    return verdict(*words) if directory == os.getcwd() else ("gone", "")


class Slurm(Cluster):
    """Arrays of sbatch; their states from squeue, and of jobs that the controller forgot, sacct."""

    name = "slurm.py"
    system = "Slurm"
    cancels = "scancel"
    task_variable = "SLURM_ARRAY_TASK_ID"

    def array_words(self, jobs):
        array = f"{jobs[0].task}-{jobs[-1].task}"
        if self.options.max_jobs:
            array += f"%{self.options.max_jobs}"
        return [
            "--parsable",
            "--export=ALL",  # all of environment()
            "--no-requeue",  # a lost job is started again from here, and counted
            f"--array={array}",
            f"--job-name={jobs[0].array}",
            f"--comment={MARK}",
            f"--chdir={os.getcwd()}",
            f"--output={self.log_pattern(jobs)}",
            "--open-mode=append",
        ]

    def log_pattern(self, jobs):
        """Return the jobs' logs as sbatch takes them: what Slurm says of a job's end goes there."""
        directory, log = os.getcwd().replace("%", "%%"), self.options.words[0]
        if jobs[0].number is not None:
            array, log = log.partition("=")[0], self.options.words[1].replace("%", "%%")
            log = log.replace(array, "%a")
        return os.path.join(directory, log)

    def environment(self):
        """Return what jobs begin with: path.sh makes the rest, not the user's shell."""
        kept = {k: v for k, v in os.environ.items() if re.fullmatch(KEPT_VARIABLES, k)}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", **kept}

    def submitted(self, output):
        return output.strip().split(";")[0]

    def job_id(self, number, job, _size):
        return f"{number}_{job.task}"

    def is_silent(self, error):
        return bool(NO_ANSWER.search(error))

    def accepted(self, jobs):
        words = ["squeue", "--noheader", "--me", f"--name={jobs[0].array}", "--states=PD,CF,R"]
        result = self.call([*words, "--format=%F|%k"])
        if result.returncode:
            raise Silent(result.stderr)
        known = {job.id.split("_")[0] for job in self.since}
        rows = [line.split("|", 1) for line in result.stdout.splitlines()]
        return next((n for n, mark in rows if mark == MARK and n not in known), "")

    def states(self, jobs):
        numbers = sorted({job.id.split("_")[0] for job in jobs})
        words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N|%Z"]
        result = self.call([*words, f"--jobs={','.join(numbers)}"])
        if result.returncode and "Invalid job id" not in result.stderr:
            raise Silent(result.stderr)
        rows = [line.split("|", 4) for line in result.stdout.splitlines()]
        states = spread({row[0]: state_of(row[1:4], row[4]) for row in rows}, jobs)
        if any(job.id not in states for job in jobs):
            states = spread(self.accounting(numbers), jobs) | states
        return states

    def accounting(self, numbers):
        """Return what sacct has of the jobs, nothing where a cluster keeps no accounts."""
        words = [
            "sacct",
            "--noheader",
            "--parsable2",
            "--allocations",
            "--format=JobID,State,NodeList,WorkDir",
        ]
        result = self.call([*words, f"--jobs={','.join(numbers)}"])
        rows = [line.split("|", 3) for line in result.stdout.splitlines()]
        return {row[0]: state_of([row[1].split()[0], "", row[2]], row[3]) for row in rows}

    def reason(self, job, note):
        text = job.log.read_text(encoding="utf-8", errors="replace") if job.log.exists() else ""
        if "OUT_OF_MEMORY" not in note and OVER_MEMORY.search(text):
            return f"OUT_OF_MEMORY: --mem {self.options.mem} ({note})"
        if "TIMEOUT" in note:
            return f"{note}: --time {self.options.time}"
        return note

    def cancel_words(self, jobs):
        return sorted({job.id.split("_")[0] for job in jobs})


def spread(states, jobs):
    """Give a record of a whole array, as of one cancelled while it waited, to its tasks."""
    whole = {job.id: states[job.id.split("_")[0]] for job in jobs if job.id.split("_")[0] in states}
    return whole | states


if __name__ == "__main__":
    main(Slurm)
