"""What all launchers share: command line, states of jobs, progress and report.

A launcher is a subclass of Launcher and one line, `main(Slurm)`.
"""

import argparse
import itertools
import math
import os
import re
import signal
import sys
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 20
CONTRACT = """\
JOB is replaced by the job's number in the log's name and in every argument. The command is run as
given, without a shell: paths with spaces need no more quoting, and a pipe needs `bash -c`. A line
`progress: ...` that a job prints is shown in the progress of the array. Status 0 if every job ended
with 0, else 1. Interrupted, terminated or killed, it ends all its jobs; also when the process
$L2DUAL_PARENT, which called it, was killed."""


class UsageError(Exception):
    """The command line does not fit; nothing was run."""


@dataclass(eq=False)
class Job:
    """One command of an array, its log and its state."""

    number: int | None
    log: Path
    command: list[str]
    state: str = "waiting"  # then running, then done, failed or lost (with its machine)
    note: str = ""  # what the system that runs it says of that
    id: str = ""  # its name there
    cost: float = 1.0  # how long it takes, beside the others
    lost: int = 0  # how often its machine was lost
    said: str = ""
    said_at: float = 0.0
    read_until: int = 0

    @property
    def name(self):
        return self.log.stem

    @property
    def array(self):
        """The name that all jobs of an array share: x of log/x.JOB.log."""
        return self.log.name.split(".")[0]

    @property
    def task(self):
        """Its number in an array of a scheduler, where a single job is an array of one."""
        return 1 if self.number is None else self.number

    @property
    def ended(self):
        return self.state in ("done", "failed")

    def progress(self):
        """Return the command's last line `progress: ...`, without that word."""
        try:
            with open(self.log, "rb") as log:
                log.seek(self.read_until)
                new = log.read()
        except OSError:
            return self.said
        self.read_until += len(new) - len(new.rpartition(b"\n")[2])
        said = re.findall(rb"^progress: (.*)\n", new, flags=re.MULTILINE)
        if said:
            self.said, self.said_at = said[-1].decode(errors="replace"), time.monotonic()
        return self.said

    def says_left(self, now):
        """Return the seconds that its last `progress: ... H:MM:SS to go` leaves, or None."""
        found = re.search(r"(\d+):(\d\d):(\d\d) to go$", self.said)
        if not found:
            return None
        hours, minutes, seconds = map(int, found.groups())
        return max(0.0, 3600 * hours + 60 * minutes + seconds - (now - self.said_at))


class Launcher:
    """Where jobs run. A subclass starts, polls and cancels them."""

    name = "launcher.py"
    system = ""  # what runs the jobs, where a job has a name there
    poll_seconds = 0.05

    def __init__(self, options):
        self.options = options

    @classmethod
    def add_arguments(cls, parser):
        """Add the options that only this launcher has."""

    def start(self, jobs):
        """Start the jobs, or put them in a queue."""

    def poll(self, jobs):
        """Set the state and note of each job, none of which has ended."""

    def cancel(self, jobs):
        """End the jobs, none of which has ended, and wait for that."""

    def at_a_time(self):
        """How many of its jobs will run at a time, where that is known."""
        return None

    def say(self, message):
        print(f"{self.name}: {message}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; see {self.prog} --help")


def parse_arguments(launcher, arguments):
    parser = Parser(
        prog=launcher.name,
        usage=f"{launcher.name} [options] [JOB=1:8] LOG COMMAND [ARGUMENT ...]",
        description=f"{sys.modules[launcher.__module__].__doc__}\n{CONTRACT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--gpu", type=int, default=0, help="GPUs for each job")
    parser.add_argument("--num_threads", type=int, default=1, help="threads for each job")
    parser.add_argument("--max_jobs", type=int, help="jobs at a time (on this machine: one a core)")
    parser.add_argument("--mem", type=memory, help="memory for each job, as 8G or 500M")
    parser.add_argument("--time", type=duration, help="time for each job, as 2:00:00 or 1-12:00:00")
    parser.add_argument(
        "--progress", type=float, default=30, help="seconds between progress lines, off a terminal"
    )
    launcher.add_arguments(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("num_threads", "max_jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be 1 or more, not {value}")
    if options.gpu < 0:
        raise UsageError(f"--gpu must be 0 or more, not {options.gpu}")
    return options


def memory(text):
    """8G, 500M: as it is."""
    if not re.fullmatch(r"[1-9]\d*[KMGT]", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 8G or 500M")
    return text


def duration(text):
    """2:00:00 or 1-12:00:00 as hours, minutes and seconds: 36:00:00."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 2:00:00 or 1-12:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return f"{24 * days + hours:02d}:{minutes:02d}:{seconds:02d}"


def expand_jobs(words):
    """Return the jobs of ``[NAME=first[:last]] LOG COMMAND [ARGUMENT ...]``."""
    array = re.fullmatch(r"(\w+)=(\d+)(?::(\d+))?", words[0]) if words else None
    log, *command = words[1:] if array else words or [""]
    if not command:
        raise UsageError("give a log file and a command: [JOB=1:8] LOG COMMAND [ARGUMENT ...]")
    if not array:
        return [Job(None, Path(log), command)]
    name, first, last = array[1], int(array[2]), int(array[3] or array[2])
    if last < first:
        raise UsageError(f"{words[0]}: the last job's number is smaller than the first's")
    if name not in log:
        raise UsageError(f"{log}: the log name of an array must contain {name}")
    directory = os.path.dirname(log)
    if name in directory and os.path.isdir(directory):
        raise UsageError(
            f"{directory}: has {name} in its name, which numbers would replace: "
            f"give the array another name, as TASK{words[0].removeprefix(name)} and TASK in the log"
        )
    return [
        Job(n, Path(log.replace(name, str(n))), [word.replace(name, str(n)) for word in command])
        for n in range(first, last + 1)
    ]


class Progress:
    """The state of the jobs on stderr: a line now and then, or in place on a terminal, a line a job."""

    def __init__(self, jobs, interval, at_a_time=lambda: None):
        self.jobs = jobs
        self.at_a_time = at_a_time
        self.name = jobs[0].array
        self.on_terminal = sys.stderr.isatty()
        self.interval = 1.0 if self.on_terminal else interval
        self.start = self.last = time.monotonic()
        self.shown = False
        self.drawn = 0  # lines that the next ones take the place of
        self.began, self.took = {}, {}  # jobs: when, and how long

    def update(self, last=False):
        """Show the counts, the time to go, and what the running jobs last said of themselves."""
        now = time.monotonic()
        self.clock(now)
        due = self.interval > 0 and now - self.last >= self.interval
        if not (due or (last and self.shown)):
            return
        self.last, self.shown = now, True
        counts, said = self.state(now)
        if self.on_terminal:
            sys.stderr.write(self.in_place([counts, *(f"  {each}" for each in said)]))
        else:
            sys.stderr.write(f"{counts} ({', '.join(said)})\n" if said else f"{counts}\n")
        sys.stderr.flush()

    def in_place(self, lines):
        """The lines, cut to the terminal's size, in the place of those written before."""
        try:
            columns, rows = os.get_terminal_size(sys.stderr.fileno())
        except OSError:
            columns, rows = 0, 0
        lines = [cut(line, (columns or 80) - 1) for line in lines[: (rows or 24) - 1]]
        up = f"\033[{self.drawn}A" if self.drawn else ""
        self.drawn = len(lines)
        return "".join([f"\r{up}\033[J", *(f"{line}\n" for line in lines)])

    def clock(self, now):
        """Note which jobs have begun and ended."""
        for job in self.jobs:
            if job.state == "running":
                self.began.setdefault(job, now)
            elif job.ended and job in self.began:
                self.took.setdefault(job, now - self.began[job])

    def to_go(self, now):
        """Return the seconds until all jobs have ended, or None while no job tells how long one takes.

        A job that waits takes as long as the last one that tells, in parts of their costs. If the launcher
        does not know how many will run at a time, it is as many as have run until now.
        """
        spent = {job: now - self.began[job] for job in self.jobs if job.state == "running"}
        left = {job: job.says_left(now) for job in spent}
        totals = self.took | {job: spent[job] + left[job] for job in spent if left[job] is not None}
        if not totals:
            return None
        last = max(totals, key=lambda job: self.began[job])
        usual = totals[last] / last.cost
        for job in self.jobs:
            if not job.ended and left.get(job) is None:
                left[job] = max(0.0, usual * job.cost - spent.get(job, 0.0))
        until_now = (sum(self.took.values()) + sum(spent.values())) / max(now - self.start, 1e-9)
        return max(0.0, *left.values(), sum(left.values()) / max(self.at_a_time() or until_now, 1e-9))

    def state(self, now):
        """The counts and the time to go, and what each running job last said; else why the jobs wait."""
        minutes, seconds = divmod(int(now - self.start), 60)
        running = [job for job in self.jobs if job.state == "running"]
        done, failed = (sum(j.state == state for j in self.jobs) for state in ("done", "failed"))
        counts = (
            f"{self.name}: {len(running)} running, {done} done, {failed} failed "
            f"of {len(self.jobs)}, {minutes:02d}:{seconds:02d}"
        )
        said = [job.progress() for job in running]
        left = self.to_go(now)
        if left and len(self.jobs) > 1:
            counts += f", some {math.ceil(left / 60)} min to go"
        if not running:
            said = sorted({job.note for job in self.jobs if job.state == "waiting"})
        return counts, list(filter(None, said))


def cut(text, columns):
    """The beginning of a line that fits; a letter of Hangul takes two columns."""
    ends = itertools.accumulate(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return "".join(letter for letter, end in zip(text, ends, strict=True) if end <= columns)


def catch_signals():
    """Return a list that collects the signals which ask this process to stop."""
    received = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # under nohup
        signal.signal(number, lambda number, _frame: received.append(number))
    return received


def keep(launcher, jobs):
    """Run all jobs in a session of its own, which outlives a SIGKILL to this one; return the status.

    The keeper ends the jobs when this process is gone. Until then it holds what it inherited, such
    as the lock of a run.
    """
    received, parent, front = catch_signals(), os.getppid(), os.getpid()
    called = os.environ.get("L2DUAL_PARENT") == str(parent)
    sys.stdout.flush()
    keeper = os.fork()
    if keeper == 0:
        os.setsid()
        failed = run_jobs(launcher, jobs, received, front)
        if failed:
            report_failure(launcher, failed, len(jobs))
        return 1 if failed else 0
    status = None
    while status is None:
        if called and os.getppid() != parent:
            called = False
            received.append(signal.SIGTERM)
        while received:
            os.kill(keeper, received.pop(0))
        time.sleep(0.02)
        ended, code = os.waitpid(keeper, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
    if status < 0:
        launcher.say(f"killed by signal {-status}: its jobs may still run")
    return status if status >= 0 else 128 - status


def run_jobs(launcher, jobs, received, front):
    """Run all jobs to their ends; return the failed ones in the order in which they failed."""
    progress = Progress(jobs, launcher.options.progress, launcher.at_a_time)
    active, failed = list(jobs), []
    try:
        launcher.start(jobs)
        while active:
            if os.getppid() != front:
                received.append(signal.SIGTERM)
            if received:
                name = signal.Signals(received[0]).name
                print(file=sys.stderr)
                launcher.say(f"{name}: ending {len(active)} job(s)")
                sys.exit(128 + received[0])
            launcher.poll(active)
            again = [job for job in active if job.state == "lost"]
            if again:
                progress.drawn = 0  # what it says stays
                start_again(launcher, again)
            failed += [job for job in active if job.state == "failed"]
            active = [job for job in active if not job.ended]
            progress.update()
            if active:
                time.sleep(launcher.poll_seconds)
    finally:
        launcher.cancel(active)
    progress.update(last=True)
    return failed


def start_again(launcher, jobs):
    """Start the jobs that were lost with their machines once more, at most --retries times."""
    for job in jobs:
        job.lost += 1
        job.state = "waiting" if job.lost <= launcher.options.retries else "failed"
    again = [job for job in jobs if job.state == "waiting"]
    for job in again:
        launcher.say(
            f"{job.name}: lost ({job.note}): started again, {job.lost} of "
            f"{launcher.options.retries} times"
        )
    if again:
        launcher.start(again)


def tail(log):
    """Return the last lines of a log, indented."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        lines = [f"({error.strerror})"]
    return "".join(f"    {line}\n" for line in lines[-TAIL_LINES:])


def report_failure(launcher, failed, total):
    job = failed[0]
    about = [f"{launcher.system} {job.id}"] if job.id else []
    about = ": ".join(about + [job.note] if job.note else about)
    launcher.say(f"failed: {job.log}{f' ({about})' if about else ''}, its last lines:")
    sys.stderr.write(tail(job.log))
    launcher.say(f"{len(failed)} of {total} jobs failed")


def main(launcher_class):
    try:
        options = parse_arguments(launcher_class, sys.argv[1:])
        jobs = expand_jobs(options.words)
        for job, cost in zip(jobs, os.environ.pop("L2DUAL_COSTS", "").split(), strict=False):
            job.cost = float(cost)
        launcher = launcher_class(options)
        status = keep(launcher, jobs)
    except (UsageError, OSError) as error:
        sys.exit(f"{launcher_class.name}: error: {error}")
    sys.exit(status)
