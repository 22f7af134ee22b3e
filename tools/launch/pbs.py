#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on a PBS cluster, each with its own log.

    pbs.py [options] log/x.log command args...
    pbs.py [options] JOB=1:8 log/x.JOB.log command args with JOB

For OpenPBS and PBS Professional. conf/cluster/pbs.conf says how options become qsub's; add your own options
there. --max_jobs throttles the array. The environment of a job is that of ./path.sh, if there is
one. PBS itself restarts a job whose node fails (-r y).
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cluster import Cluster, Silent
from jobs import main

NO_HISTORY = "not configured to maintain job history"
UNKNOWN_JOB = "Unknown Job Id"


class Pbs(Cluster):
    """Arrays of qsub; their states from qstat, ended ones included where the server keeps them."""

    name = "pbs.py"
    system = "PBS"
    cancels = "qdel"
    task_variable = "PBS_ARRAY_INDEX"

    def array_words(self, jobs):
        words = ["-S", "/bin/bash", "-r", "y", "-j", "oe", "-o", "/dev/null"]
        words += ["-N", re.sub(r"[^\w-]", "_", jobs[0].array)[:15]]
        if len(jobs) > 1:  # PBS has no arrays of one
            throttle = f"%{self.options.max_jobs}" if self.options.max_jobs else ""
            words += ["-J", f"{jobs[0].number}-{jobs[-1].number}{throttle}"]
        return words

    def submitted(self, output):
        return output.strip()

    def job_id(self, number, job, size):
        return number.replace("[]", f"[{job.number}]") if size > 1 else number

    def is_silent(self, error):
        return bool(re.search("cannot connect to server|Connection refused", error))

    def states(self, jobs):
        words = ["-t", "-f", "-F", "json", *self.cancel_words(jobs)]
        result = self.call(["qstat", "-x", *words])
        if NO_HISTORY in result.stderr:
            result = self.call(["qstat", *words])
        if self.is_silent(result.stderr):
            raise Silent(result.stderr)
        if UNKNOWN_JOB in result.stderr and not result.stdout.strip():
            return {}
        try:
            return queue_states(result.stdout)
        except ValueError as error:
            raise Silent(f"qstat's JSON can't be read ({error}) {result.stderr}") from None

    def cancel_words(self, jobs):
        return sorted({re.sub(r"\[\d+\]", "[]", job.id) for job in jobs})


def queue_states(text):
    """Read `qstat -x -t -f -F json`: job_state, and Exit_status of ended jobs."""
    records = json.loads(text).get("Jobs", {})
    return {name: verdict(record) for name, record in records.items()}


def verdict(record):
    state, comment = record["job_state"], record.get("comment", "")
    if state in "RESUB":
        return "running", ""
    if state not in "FX":
        return "waiting", comment if state == "Q" else f"state {state}"
    status = record.get("Exit_status", 0)
    if status == 0:
        return "done", "Exit_status 0"
    return "failed", ", ".join(filter(None, (f"Exit_status {status}", comment)))


if __name__ == "__main__":
    main(Pbs)
