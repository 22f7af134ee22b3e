"""What the launchers of clusters share: conf/cluster/NAME.conf, the script of an array, the ends of jobs.

A job succeeded if both its log's last line and the scheduler say so. The launcher's machine and the
nodes share the file system that the jobs run in.
"""

import os
import re
import shlex
import shutil
import string
import subprocess
import time
from itertools import pairwise
from pathlib import Path

from jobs import Launcher, UsageError

ROOT = Path(__file__).resolve().parents[2]
CONTRACT_OPTIONS = (
    "gpu",
    "mem",
    "num_threads",
    "time",
    "max_jobs",
    "progress",
    "poll",
    "lag",
    "retries",
)
CANCEL_SECONDS = 40
FOOTER = re.compile(r"^# ended: .*, status (-?\d+), \d+ seconds$", flags=re.MULTILINE)
LOST = "# lost: "
KILLED = (137, 143)  # a command's status after SIGKILL and SIGTERM


class Conf:
    """conf/cluster/NAME.conf: how a launcher's options become words of the command that submits.

    command WORDS            the command that submits
    option NAME=VALUE WORDS  what --NAME VALUE adds to it; * is any other value, $NAME any option's
    default NAME=VALUE       where --NAME isn't given
    host NAME JOBS [GPUS]    ssh.conf: a machine, its jobs at a time, its GPUs as 0,1,2,3
    """

    def __init__(self, path):
        self.path = path
        self.command, self.defaults, self.options, self.hosts = [], {}, [], []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                self.read(*shlex.split(line, comments=True))
            except (IndexError, ValueError):
                raise UsageError(f"{path}, line {number}: not understood: {line}") from None

    def read(self, kind="", *words):
        if kind == "command":
            self.command = list(words)
        elif kind == "option":
            name, value = words[0].split("=", 1)
            self.options.append((name, value, words[1:]))
        elif kind == "default":
            name, value = words[0].split("=", 1)
            self.defaults[name] = value
        elif kind == "host":
            gpus = words[2].split(",") if len(words) > 2 else []
            self.hosts.append((words[0], int(words[1]), gpus))
        elif kind:
            raise ValueError(kind)

    def own_options(self):
        """Return the names that only this file knows, such as a queue or an account."""
        names = dict.fromkeys([name for name, *_ in self.options] + list(self.defaults))
        return [name for name in names if name not in CONTRACT_OPTIONS]

    def words(self, options):
        """Return the command that submits, for the values of the options."""
        values = {name: str(value) for name, value in options.items() if value is not None}
        chosen = {}  # option -> the words of its line with that very value, else of the one with *
        for name, value, words in self.options:
            if values.get(name) == value or (name in values and value == "*"):
                if value != "*" or name not in chosen:
                    chosen[name] = words
        words = [*self.command, *(word for each in chosen.values() for word in each)]
        try:
            return [string.Template(word).substitute(values) for word in words]
        except (KeyError, ValueError) as error:
            raise UsageError(f"{self.path}: ${error.args[0]}: no such option is given") from None


def read_conf(name):
    """Read the recipe's own conf/NAME, else the one that all recipes share."""
    own = Path("conf/cluster") / name
    return Conf(own if own.is_file() else ROOT / "conf/cluster" / name)


def script(jobs, num_threads, task):
    """Return what one task of an array runs; ``task``: where the shell finds its number."""
    cases = "\n".join(
        f"    {job.task}) log={shlex.quote(str(job.log))}"
        f" command={shlex.quote(shlex.join(job.command))}; set -- {shlex.join(job.command)} ;;"
        for job in jobs
    )
    return f"""\
#!/bin/bash
cd {shlex.quote(os.getcwd())} || exit 1
case {task} in
{cases}
esac
exec >> "$log" 2>&1 < /dev/null
started=$(date +%s)
ended() {{ echo "# ended: $(date '+%F %T'), status $1, $(($(date +%s) - started)) seconds"; }}
trap 'ended $?' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
printf '# command: %s\n' "$command"
echo "# host: $(uname -n)"
echo "# started: $(date '+%F %T')"
if [ -f path.sh ]; then . ./path.sh; fi
export L2DUAL_JOB=1 OMP_NUM_THREADS={num_threads} MKL_NUM_THREADS={num_threads}
"$@"
"""


def open_log(job):
    """Empty the log of a job; a job that was lost continues its log."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "ab" if job.lost else "wb") as log:
        if job.lost:
            log.write(f"\n{LOST}{job.note}; started again\n".encode())


def footer_status(log):
    """Return the status in the last line that a job's log has of its end, or None.

    The end of a run that was lost is none, nor is that of one before the last start.
    """
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 8192))
            end = stream.read().decode(errors="replace")
    except OSError:
        return None
    found = FOOTER.findall(end.rpartition(f"\n{LOST}")[2].rpartition("\n# started: ")[2])
    return int(found[-1]) if found else None


def ranges(jobs):
    """Split jobs where their numbers are not consecutive: schedulers take arrays FIRST-LAST."""
    if not jobs:
        return []
    breaks = [i for i, (a, b) in enumerate(pairwise(jobs), 1) if b.number != a.number + 1]
    return [jobs[i:j] for i, j in pairwise([0, *breaks, len(jobs)])]


class Silent(Exception):
    """The scheduler does not answer; it may later."""


class Cluster(Launcher):
    """Jobs in the queue of a scheduler.

    A subclass says how to submit an array, to ask for the states of its tasks, and to cancel it.
    """

    system = "the scheduler"
    submits = cancels = "true"  # programs that must be here
    task_variable = ""  # where a task finds its number
    absent = "gone"  # what a task is that the scheduler does not know: "gone" is submitted again

    def __init__(self, options):
        super().__init__(options)
        self.conf = read_conf(self.conf_name())
        self.poll_seconds = options.poll
        self.silent = False
        self.unanswered = False  # the last submission, for all that the launcher knows
        self.since = {}  # job -> when it was submitted, or when it ended without a last line
        for program in (*self.conf.command[:1], self.cancels):
            if not shutil.which(program):
                raise UsageError(
                    f"no {program} on PATH: run this on a machine that submits to {self.system}, "
                    "or choose another backend in cmd.sh"
                )

    @classmethod
    def conf_name(cls):
        return cls.name.replace(".py", ".conf")

    @classmethod
    def add_arguments(cls, parser):
        conf = read_conf(cls.conf_name())
        parser.add_argument(
            "--poll", type=float, default=5, help="seconds between two polls of the jobs"
        )
        parser.add_argument(
            "--lag", type=float, default=60, help="seconds until a log's end, or a new job, shows"
        )
        parser.add_argument(
            "--retries", type=int, default=2, help="restarts of a job that was lost"
        )
        for name in conf.own_options():
            parser.add_argument(f"--{name}", help=f"see {conf.path}")
        parser.set_defaults(**conf.defaults)

    def start(self, jobs):
        for job in jobs:
            open_log(job)
            job.id = ""

    def submit(self, jobs):
        """Put one array into the queue, and note its tasks' names there."""
        number = self.accepted(jobs) if self.unanswered else ""
        self.unanswered = False
        try:
            number = number or self.submit_array(jobs)
        except UsageError as error:
            if not jobs[0].lost:
                raise
            for job in jobs:  # of others, some may run
                job.state, job.note = "failed", f"{job.note}; {error}"
            return
        self.number(jobs, number)

    def number(self, jobs, number):
        """Note the names that the tasks of an array have in the queue."""
        for job in jobs:
            job.id = self.job_id(number, job, len(jobs))
            self.since[job] = time.monotonic()

    def accepted(self, jobs):
        """Return the number of an array in the queue whose submission got no answer, or nothing."""
        return ""

    def submit_array(self, jobs):
        """Submit an array; return its number."""
        text = script(jobs, self.options.num_threads, self.task(jobs))
        result = self.call(self.conf.words(vars(self.options)) + self.array_words(jobs), text)
        if result.returncode and self.is_silent(result.stderr):
            self.unanswered = True
            raise Silent(result.stderr)
        number = self.submitted(result.stdout)
        if result.returncode or not number:
            said = " ".join((result.stderr or result.stdout).split())
            raise UsageError(f"{self.system} refuses {jobs[0].name}: {said}")
        return number

    def task(self, jobs):
        """Return where the shell of a task finds its number."""
        return f"${{{self.task_variable}:-{jobs[0].task}}}"

    def environment(self):
        return os.environ

    def call(self, words, text=""):
        """Run a program of the scheduler, out of reach of the terminal's Ctrl-C."""
        return subprocess.run(
            [shutil.which(words[0]) or words[0], *words[1:]],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environment(),
            start_new_session=True,
        )

    def is_silent(self, error):
        """Whether an error means that the scheduler can't be reached now."""
        return False

    def tell_silence(self, error):
        if not self.silent:
            self.say(f"{self.system} does not answer, waiting: {' '.join(error.split())}")
        self.silent = True

    def poll(self, jobs):
        try:
            for array in ranges([job for job in jobs if not job.id]):
                self.submit(array)
            there = [job for job in jobs if job.id]
            states = self.states(there) if there else {}
        except Silent as error:
            self.tell_silence(str(error))
            return
        if self.silent:
            self.say(f"{self.system} answers again")
        self.silent = False
        for job in jobs:
            if not job.ended:
                self.settle(job, *states.get(job.id, (self.absent, "")))

    def settle(self, job, state, note):
        """Take over what the scheduler says of a job, if its log agrees."""
        if state == "waiting":
            self.since[job] = time.monotonic()
        if state == "waiting" or (state == "running" and not self.ended_unnoticed(job)):
            job.state, job.note = state, note
            return
        if state == "running":
            self.call([self.cancels, job.id])  # so that it keeps no place of the array
        status = footer_status(job.log)
        if state == "failed":
            note = self.reason(job, note)
            job.state = "failed"
            job.note = note if status is None else f"{note}, status {status}"
        elif status in KILLED and state in ("lost", "gone"):
            if state == "lost" or self.is_late(job):  # else the scheduler may yet say why it ended
                job.state, job.note = "lost", note or f"not in the queue, status {status}"
        elif status is not None:
            job.state = "done" if status == 0 else "failed"
            job.note = "" if status == 0 else f"status {status}"
        elif state == "lost":
            job.state, job.note = "lost", note
        elif self.is_late(job):
            where = "was it killed, or do the nodes not share this directory?"
            job.state = "lost" if state == "gone" else "failed"
            job.note = f"{note or 'not in the queue'}, but its log has no end: {where}"

    def ended_unnoticed(self, job):
        """Whether a job ended longer ago than the lag, though the scheduler counts it as running.

        A controller that was killed may have forgotten the end, and waits for it for ever.
        """
        if footer_status(job.log) in (None, *KILLED):  # what was killed may be started again by the scheduler
            self.since[job] = time.monotonic()
        return self.is_late(job)

    def is_late(self, job):
        """Whether the log and the scheduler have had their time to say how the job ended."""
        return time.monotonic() - self.since[job] > self.options.lag

    def reason(self, job, note):
        """Say better, from the job's log, why the scheduler ended it."""
        return note

    def cancel(self, jobs):
        self.find_unanswered([job for job in jobs if not job.id and not job.ended])
        started = self.without_gone([job for job in jobs if job.id and not job.ended])
        if not started:
            return
        words = [self.cancels, *self.cancel_words(started)]
        self.call(words)
        deadline = time.monotonic() + CANCEL_SECONDS
        while started and time.monotonic() < deadline:
            try:
                states = self.states(started)
            except Silent:
                break
            there = [job for job in started if job.id in states]
            started = [job for job in there if states[job.id][0] in ("waiting", "running")]
            time.sleep(min(0.5, self.poll_seconds))
        if started:
            self.say(f"may still run: {', '.join(j.id for j in started)}; try: {shlex.join(words)}")

    def find_unanswered(self, jobs):
        """Note the number of an array that was submitted without an answer, if it is in the queue."""
        if not (self.unanswered and jobs):
            return
        array = ranges(jobs)[0]  # arrays behind it were not submitted
        try:
            number = self.accepted(array)
        except Silent:
            number = ""
        if number:
            self.number(array, number)
        else:
            self.say(f"{self.system} did not answer when {array[0].array} was submitted: look for it in the queue")

    def without_gone(self, jobs):
        """Leave out jobs whose numbers the scheduler has given to others."""
        try:
            states = self.states(jobs) if jobs else {}
        except Silent:
            states = {}
        return [job for job in jobs if states.get(job.id, ("",))[0] != "gone"]
