#!/usr/bin/env python3
"""Say what l2dual has on this machine, what is missing, and how to get it.

Status 1 if something is missing that l2dual cannot do without. Runs under any Python 3, and looks
at the activated environment, else at .venv, else at the Python that runs it.
"""

import ctypes
import os
import re
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETUP = "run tools/setup.sh"

missing = []


def ok(what, detail=""):
    print("ok        {:<16} {}".format(what, detail).rstrip())


def note(what, detail):
    print("optional  {:<16} {}".format(what, detail))


def lack(what, remedy):
    missing.append(what)
    print("MISSING   {:<16} {}".format(what, remedy))


def use_environment():
    """Go on under the Python of .venv, if there is one and no environment is activated."""
    python = ROOT / ".venv" / "bin" / "python"
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    if sys.prefix == sys.base_prefix and not active and os.access(str(python), os.X_OK):
        os.execv(str(python), [str(python), *sys.argv])


def check_python():
    version = "{}.{}.{}".format(*sys.version_info)
    if (3, 12) <= sys.version_info[:2] <= (3, 13):
        ok("python", "{} ({})".format(version, sys.executable))
    else:
        lack("python", "3.12 or 3.13 is needed, this is {}; {}".format(version, SETUP))


def pinned_versions():
    text = (ROOT / "tools" / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


def declared(what):
    """Names of the packages in a list of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    start = text.index("\n{} = [\n".format(what))
    return re.findall(r'^ +"([\w.-]+)', text[start : text.index("\n]", start)], flags=re.MULTILINE)


def check_packages():
    from importlib.metadata import PackageNotFoundError, version

    pins = pinned_versions()
    needed = declared("dependencies")
    for name in needed + declared("test"):
        try:
            found = version(name)
        except PackageNotFoundError:
            if name not in needed:
                note(name, "not here; the tests need it: " + SETUP)
            else:
                lack(name, SETUP)
            continue
        pin = pins[name.lower()]
        ok(name, found if found == pin else "{} (tested with {})".format(found, pin))


def check_l2dual():
    from importlib.util import find_spec

    if find_spec("l2dual"):
        ok("l2dual")
    else:
        lack("l2dual", SETUP)


def check_espeak():
    try:
        import espeakng_loader

        library = espeakng_loader.get_library_path()
        ctypes.CDLL(library)
        ok("espeak-ng", library)
    except (ImportError, OSError) as error:
        lack("espeak-ng", "{} ({}); or install espeak-ng from the system".format(SETUP, error))


def check_gpu():
    try:
        import torch
    except ImportError:
        return
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        ok("gpu", "{} x {}".format(torch.cuda.device_count(), ", ".join(sorted(names))))
    else:
        note("gpu", "none that torch can use; run_all.sh needs none")


def check_speed():
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    matrix, seconds = torch.ones(1024, 1024), []
    for _ in range(10):
        started = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - started)
    ok("speed", "{:.0f} GFLOP/s of one core, by products of matrices".format(2 * 1024**3 / min(seconds) / 1e9))


def check_sclite():
    path = shutil.which("sclite") or shutil.which("sctk")  # Debian calls it by `sctk sclite`
    if path:
        ok("sclite", path)
    else:
        note("sclite", "not here; tests against it are skipped: sudo apt-get install sctk")


def check_schedulers():
    programs = (("sbatch", "slurm"), ("qacct", "sge"), ("pbsnodes", "pbs"))
    found = [backend for program, backend in programs if shutil.which(program)]
    if found:
        ok("scheduler", "cmd_backend={} in cmd.sh uses it".format(" or ".join(found)))
    else:
        note("scheduler", "none on PATH; jobs run on this machine (docs/cluster.md)")


def check_machine():
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    report = ok if free >= 5 else note
    report("disk", "{:.0f} GB free; run_all.sh writes about 2 GB, set-up some 7 GB".format(free))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return
    report = ok if memory >= 8 else note
    report("memory", "{:.0f} GB; run_all.sh needs up to 8 GB".format(memory))


def main():
    use_environment()
    check_python()
    if sys.version_info >= (3, 8):
        check_packages()
        check_l2dual()
        check_espeak()
        check_gpu()
        check_speed()
    check_sclite()
    check_schedulers()
    check_machine()
    if missing:
        print("\n{} missing: {}".format(len(missing), ", ".join(missing)))
        sys.exit(1)


if __name__ == "__main__":
    main()
