"""A Python that has torch and ESPnet imported, from which the processes of a recipe are forked.

Much of a tiny recipe's time is spent on these imports, which each of its sixty processes makes anew.
`bin/python` here asks a server for `-m MODULE ARGUMENTS`: a fork of it takes the caller's arguments, directory,
environment and files, and imports l2dual itself. The caller ends as the fork does, and the fork with the caller.
All else goes to the real Python, also l2dual.recipe, which becomes a launcher and looks at who started it.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

HEAVY = (
    "torch", "torch._dynamo", "torch.utils.tensorboard", "torchaudio", "espnet2.tasks.asr",
    "transformers.models.auto.modeling_auto", "transformers.models.auto.feature_extraction_auto",
    "librosa", "matplotlib.pyplot", "scipy.stats", "sklearn.linear_model",
)  # fmt: skip
CALLER = """\
import os
import sys

if sys.argv[1:2] != ["-m"] or sys.argv[2].startswith("l2dual.recipe."):
    os.execv("{python}", ["{python}", *sys.argv[1:]])

import json
import socket

request = {{"arguments": sys.argv[2:], "directory": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect("{address}")
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    status = int(server.recv(99))
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def warm_python(folder: Path) -> Iterator[Path]:
    """Have the server run; `folder` is then what VIRTUAL_ENV may name.

    The folder's path must be short, since it holds a socket.
    """
    quiet = "ignore::DeprecationWarning:__main__"  # the one thread, of pyarrow's allocator, provides for forks
    command, program = [sys.executable, "-W", quiet, __file__, folder / "socket"], folder / "bin/python"
    program.parent.mkdir()
    caller = folder / "caller.py"
    caller.write_text(CALLER.format(python=sys.executable, address=folder / "socket"))
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{caller}" "$@"\n')  # a path may have spaces
    program.chmod(0o755)
    program.with_name("python3").symlink_to(program)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"warm\n"
        yield folder
    finally:
        server.stdin.close()
        server.wait()


def serve(address: str) -> str:
    """Wait for calls until stdin ends. Return in a fork only, as its caller's process: the module to run."""
    gc.disable()
    for name in HEAVY:
        import_module(name)
    gc.freeze()  # a fork that looked at all this would copy it
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as calls:
        calls.bind(address)
        calls.listen(99)
        print("warm", flush=True)
        while calls in select.select([calls, sys.stdin], [], [])[0]:
            caller, _ = calls.accept()
            if not os.fork():
                calls.close()
                return answer(caller)
            caller.close()
    os._exit(0)


def answer(caller: socket.socket) -> str:
    """Fork once more: one sees to it that caller and fork end together, the other returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, *_ = socket.recv_fds(caller, 1 << 20, 3)
    if not (fork := os.fork()):
        caller.close()
        return take_over(json.loads(request), files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(fork)
    if ended not in select.select([caller, ended], [], [])[0]:
        os.killpg(fork, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    try:
        caller.send(str(status).encode())
    finally:
        os._exit(0)


def take_over(request: dict, files: list[int]) -> str:
    """Be the caller's process; return the module that it asked for."""
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    streams = [open(number, mode, 1, closefd=False) for number, mode in enumerate("rww")]  # noqa: SIM115 (stay open)
    sys.stdin, sys.stdout, sys.stderr = streams
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    places = os.environ.get("PYTHONPATH", "")
    sys.path[0:1] = [os.getcwd(), *filter(None, places.split(os.pathsep))]
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        import_module("sitecustomize")  # as a Python does that starts
    return sys.argv[0]


def run(module: str) -> int:
    """Do what `python -m MODULE` does; return its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def leave(status: int) -> NoReturn:
    """End as Python does, but for the modules: to take all of them down copies them first, for two seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(run(serve(sys.argv[1])))
