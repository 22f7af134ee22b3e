#!/usr/bin/env python3
"""Run a command, or an array of numbered commands, on a Grid Engine cluster, each with its own log.

    sge.py [options] log/x.log command args...
    sge.py [options] JOB=1:8 log/x.JOB.log command args with JOB

conf/cluster/sge.conf says how options become qsub's; add your own options there. --max_jobs
throttles the array. The environment of a job is that of ./path.sh, if there is one. Grid Engine
itself restarts a job whose node fails (-r y).
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cluster import Cluster, Silent
from jobs import main

RESCHEDULED = "25"  # qacct's `failed` of a run that was put back into the queue


class GridEngine(Cluster):
    """Arrays of qsub; their states from qstat, and of ended tasks from qacct."""

    name = "sge.py"
    system = "Grid Engine"
    cancels = "qdel"
    task_variable = "SGE_TASK_ID"
    absent = "deleted"  # the master keeps its jobs on disk, and accounts for those that ran

    def array_words(self, jobs):
        words = ["-terse", "-S", "/bin/bash", "-r", "y", "-j", "y", "-o", "/dev/null"]
        words += ["-N", re.sub(r"^(?=\d)|[^\w.-]", "_", jobs[0].array)]
        words += ["-t", f"{jobs[0].task}-{jobs[-1].task}"]
        if self.options.max_jobs:
            words += ["-tc", str(self.options.max_jobs)]
        return words

    def submitted(self, output):
        found = re.search(r"^(\d+)(\.|$)", output, flags=re.MULTILINE)
        return found[1] if found else ""

    def job_id(self, number, job, _size):
        return f"{number}.{job.task}"

    def is_silent(self, error):
        return bool(re.search("unable to (contact|send message to) qmaster", error))

    def states(self, jobs):
        result = self.call(["qstat", "-u", "*", "-g", "d", "-xml"])
        if result.returncode:
            raise Silent(result.stderr)
        try:
            states = queue_states(result.stdout)
        except ElementTree.ParseError as error:
            raise Silent(f"its answer is no XML: {error}") from None
        for number in sorted({j.id.split(".")[0] for j in jobs if j.id not in states}):
            states = account_states(self.call(["qacct", "-j", number]).stdout) | states
        return states

    def cancel_words(self, jobs):
        return sorted({job.id.split(".")[0] for job in jobs})


def queue_states(text):
    """Read `qstat -g d -xml`, which has one record for each task in the queue."""
    states = {}
    for job in ElementTree.fromstring(text).iter("job_list"):
        state = job.findtext("state", "")
        task = f"{job.findtext('JB_job_number')}.{job.findtext('tasks', '1')}"
        if "E" in state:
            states[task] = "failed", f"state {state}: see qstat -j {task.split('.')[0]}"
        elif re.search("[rtRdsST]", state) and "w" not in state:
            states[task] = "running", ""
        else:
            states[task] = "waiting", state if state != "qw" else ""
    return states


def account_states(text):
    """Read `qacct -j NUMBER`: blocks of `key value` lines, one for each run of each task."""
    states = {}
    for block in re.split(r"^=+$", text, flags=re.MULTILINE):
        account = dict(re.findall(r"^(\w+) +(.*?) *$", block, flags=re.MULTILINE))
        failed = " ".join(account.get("failed", "0").split())
        if "jobnumber" not in account or failed.split()[0] == RESCHEDULED:
            continue
        task = account["taskid"] if account.get("taskid", "undefined") != "undefined" else "1"
        node = account.get("hostname", "")
        ended = "done", f"exit_status {account.get('exit_status')}"
        if failed != "0":
            ended = "failed", f"failed {failed} on {node}"
        states[f"{account['jobnumber']}.{task}"] = ended
    return states


if __name__ == "__main__":
    main(GridEngine)
