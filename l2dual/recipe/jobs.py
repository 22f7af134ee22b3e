"""Make files from inputs by jobs, unless they are up to date.

    printf '%s\\0' 5 OUT INPUT -- COMMAND WORD ... | python -m l2dual.recipe.jobs LOG NAME LAUNCHER

On stdin is for each job the number of its words, then OUT INPUT... -- COMMAND WORD..., each ended by
a NUL. COMMAND makes OUT, which it calls @OUT@; if it does not, OUT is an empty mark that it succeeded.
This process becomes LAUNCHER with the jobs to run, as one array with logs LOG/NAME.*.log; or it ends.

OUT, a file or a directory, is written under a temporary name and renamed. Beside it is a stamp of
three lines:
  1. the hash of the command and of its inputs; with the same hash, OUT is up to date
  2. the hash of the inputs
  3. what OUT counts as when it is an input: line 1, or the old line 3 if another command made the
     same OUT from the same inputs
An input without a stamp counts by its content. listing:DIR, which is too large to read, counts by
the names, sizes and times of its files; recordings:DIR, a data directory, by those of the files
that its wav.scp names.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from l2dual.errors import DataError, run

NO_RESULT = {"--nj", "--ngpu", "--num_nodes", "--num_threads"}  # options that change none
STAMPED = 3  # lines of a stamp: command and inputs, inputs, what OUT counts as
SHARED = ("data/", "dump/")  # what several studies use
STAGES = {  # where a file lies: the stage that makes it; the first that fits
    r"data/.*_sp[\d.-]+(/.*)?": 2,
    r"data/.*": 1,
    r"dump/[^/]+/formatted(/.*)?": 3,
    r"dump/[^/]+/tokens/.*": 5,
    r"dump/[^/]+/cached_.*": 7,
    r"dump/.*": 4,
    r".*/divergence.json": 6,
    r".*/stats": 7,
    r".*/trained|.*\.seed\d+|.*/rater": 8,
    r".*/score|.*/results(_half)?.json": 10,
}
SCRIPT = """\
set -euo pipefail
export L2DUAL_COMMAND={called}
exec {{lock}}<> "$0"  # the cluster may have lost sight of an earlier attempt that still runs
flock --nonblock "${{lock}}" || {{ echo "# an earlier attempt still runs: waiting for it"; flock "${{lock}}" || true; }}
if [[ -e {out} && $(head -n 1 {stamp} 2> /dev/null || true) == {line} ]]; then exit 0; fi
rm -rf {tmp}
mkdir -p {directory}
{command}
counts_as={line}
if [[ -e {out} ]] && grep -qsx {inputs} {stamp} && diff -rq {out} {tmp} > /dev/null; then
    counts_as=$(tail -n 1 {stamp})
fi
rm -rf {stamp} {old}  # the stamp goes first: without one, OUT is made again
if [[ -e {out} ]]; then mv {out} {old}; fi
mv {tmp} {out}
printf '%s\\n' {line} {inputs} "${{counts_as}}" > {stamp}.tmp
mv {stamp}.tmp {stamp}
rm -rf {old}
"""


class MissingInput(DataError):
    """An input is not there; the exit status is 100 + the stage that makes it, for l2dual.sh."""

    def __init__(self, name: str):
        stage = made_by(name)
        instead = ", or give --rater_folds 0" if "/folds/" in name else ""
        super().__init__(f"{name}: not found: run stage {stage} first{instead}")
        self.status = 100 + stage


@dataclass(frozen=True)
class Job:
    """What makes one file or directory."""

    out: str
    inputs: list[str]
    command: list[str]

    @property
    def stamp(self) -> Path:
        """Beside OUT."""
        return stamp_of(self.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="directory of the logs")
    parser.add_argument("name", help="of the array")
    parser.add_argument("launcher", help="a command with options, as `local.py --num_threads 2`")
    parser.add_argument("--set_aside", action="store_true", help="keep what was there under another name")
    parser.add_argument("--costs", default="", help="how long each job takes beside the others, as '1 1.5'")
    parser.add_argument("--ignore", action="append", default=[], help="an option of the jobs that changes no result")
    args = parser.parse_args()
    ignored = NO_RESULT | {f"--{name}" for name in args.ignore}
    scripts, replaced, costs, jobs = [], [], [], read_jobs(sys.stdin.buffer.read())
    if any(job.out.startswith(SHARED) for job in jobs):
        hold(Path(SHARED[0], ".lock"))
    for job, cost in zip(jobs, args.costs.split() or ["1"] * len(jobs), strict=True):
        inputs = signature(job.inputs)
        line = digest([*without_options(job.command, ignored), inputs])
        if is_made(job, line):
            print(f"{job.out}: up to date", flush=True)
            continue
        check_inputs(job)
        scripts.append(script(job, line, inputs))
        costs.append(cost)
        replaced += [Path(job.out)] if os.path.exists(job.out) else []
    for path in replaced if args.set_aside else []:
        set_aside(path)
    if scripts:
        os.environ["L2DUAL_COSTS"] = " ".join(costs)  # not every launcher asks
        launch(args.name, args.log, args.launcher, scripts)


def hold(lock: Path) -> None:
    """Wait for other runs that make shared data, and hold them off until the jobs of this one end."""
    lock.parent.mkdir(exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for the run of another study, which prepares data", flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def read_jobs(data: bytes) -> list[Job]:
    """The jobs that l2dual.sh collected."""
    words = os.fsdecode(data).split("\0")[:-1]
    jobs = []
    while words:
        count = int(words[0])
        these, words = words[1 : count + 1], words[count + 1 :]
        end = these.index("--")
        jobs.append(Job(these[0], these[1:end], these[end + 1 :]))
    return jobs


def stamp_of(path: str) -> Path:
    """The stamp of a file or directory, if it has one."""
    return Path(os.path.dirname(path), f".{os.path.basename(path)}.stamp")


def is_made(job: Job, line: str) -> bool:
    """Whether OUT is there, made by this command from these inputs."""
    return os.path.exists(job.out) and job.stamp.is_file() and job.stamp.read_text().split("\n", 1)[0] == line


def check_inputs(job: Job) -> None:
    """MissingInput for one that is gone, though its stamp still says what it counted as."""
    for name in map(path_of, job.inputs):
        if not os.path.exists(name):
            raise MissingInput(name)


def path_of(name: str) -> str:
    """The path of an input, without how it counts."""
    kind, _, path = name.partition(":")
    return path if kind in ("listing", "recordings") else name


def without_options(command: list[str], options: set[str]) -> list[str]:
    """A command without some options and their values."""
    named = [index for index, word in enumerate(command) if word in options]
    dropped = {*named, *(index + 1 for index in named)}
    return [word for index, word in enumerate(command) if index not in dropped]


def digest(words: Iterable[str]) -> str:
    """One hash of several texts."""
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()


def signature(inputs: Iterable[str]) -> str:
    """The hash of what inputs count as.

    Raises:
        MissingInput: one is not there; names the stage that makes it.
    """
    return digest(map(counts_as, inputs))


def counts_as(name: str) -> str:
    """What one input counts as."""
    stamp, (kind, _, path) = stamp_of(name), name.partition(":")
    if stamp.is_file() and len(lines := stamp.read_text().splitlines()) == STAMPED:
        return lines[-1]
    if kind == "listing" and os.path.exists(path):
        return digest(_state(file, os.path.relpath(file, path)) for file in _files(path))
    if kind == "recordings" and os.path.exists(path):
        return digest(_state(file, file) for file in _recordings(Path(path)) if os.path.exists(file))
    if os.path.isdir(name):
        return digest(word for file in _files(name) for word in (os.path.relpath(file, name), _content(file)))
    if os.path.exists(name):
        return _content(name)
    raise MissingInput(path_of(name))


def _files(directory: str) -> list[str]:
    """The files of a directory or below; a file is one itself. Compiled Python is none."""
    if os.path.isfile(directory):
        return [directory]
    found = (os.path.join(top, file) for top, _, files in os.walk(directory, followlinks=True) for file in files)
    return sorted(file for file in found if not file.endswith(".pyc") and os.path.isfile(file))


def _recordings(data: Path) -> list[str]:
    """The files that a wav.scp names, an ark without its offset."""
    lines = (data / "wav.scp").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return sorted({re.sub(r":\d+$", "", line.partition(" ")[2]) for line in lines})


def _state(file: str, name: str) -> str:
    state = os.stat(file)
    return f"{name} {state.st_size} {state.st_mtime_ns}"


def _content(file: str) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def made_by(path: str) -> int:
    """The stage that makes a file."""
    return next((stage for pattern, stage in STAGES.items() if re.fullmatch(pattern, path)), 9)


def set_aside(path: Path) -> None:
    """Rename what is there, and say so."""
    kept = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.old")
    path.rename(kept)
    print(f"{path}: its inputs changed: the old one is kept as {kept}", flush=True)


def script(job: Job, line: str, inputs: str) -> str:
    """Bash that makes OUT, renames it and stamps it; it may be killed at any line."""
    tmp = f"{job.out}.tmp"
    command = shlex.join(word.replace("@OUT@", tmp) for word in job.command)
    if not any("@OUT@" in word for word in job.command):
        command += f"\ntouch {shlex.quote(tmp)}"
    quoted = {
        "called": os.environ.get("L2DUAL_COMMAND", ""),
        "out": job.out,
        "tmp": tmp,
        "old": f"{job.out}.old",
        "directory": os.path.dirname(job.out) or ".",
        "stamp": str(job.stamp),
    }
    quoted = {key: shlex.quote(value) for key, value in quoted.items()}
    return SCRIPT.format(**quoted, command=command, line=line, inputs=inputs)


def launch(name: str, log: Path, launcher: str, scripts: list[str]) -> None:
    """Write the scripts beside their logs, and become the launcher."""
    log.mkdir(parents=True, exist_ok=True)
    for old in log.glob(f"{name}.*"):
        old.unlink()
    for number, content in enumerate(scripts, 1):
        (log / f"{name}.{number}.sh").write_text(content, encoding="utf-8", errors="surrogateescape")
    array = "JOB"
    while array in str(log):  # a path with JOB in it
        array += "_"
    words = [*shlex.split(launcher), f"{array}=1:{len(scripts)}", f"{log}/{name}.{array}.log"]
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.execvp(words[0], [*words, "bash", f"{log}/{name}.{array}.sh"])


if __name__ == "__main__":
    run(main)
