"""Train, or collect statistics (stages 7 and 8): python -m l2dual.bin.train --config exp/RUN/train.yaml --resume true

Takes every option of an ESPnet task: --help lists them.
"""

import ast
import os
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import l2dual
from l2dual.errors import WorkerError, run
from l2dual.systems import OUTPUTS

CLASSES = ("frontend", "specaug", "normalize", "encoder", "decoder", "model")
FILLED = {"output": OUTPUTS, "suf": ("",)}  # what stands in options' names


def main() -> None:
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(helped())
        return
    import torch
    from torch.multiprocessing import ProcessExitedException

    from l2dual.training.distributed import LOG_VARIABLE
    from l2dual.training.task import L2DualTask

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    try:
        L2DualTask.main()
    except ProcessExitedException as error:  # of a worker that ESPnet started, one for each GPU
        log = os.environ.get(LOG_VARIABLE, "the output above")
        raise WorkerError(f"worker {error.error_index} is lost: {error}: see {log}") from error


def helped() -> str:
    """What --help says: the options, out of the files that add them to the parser, which take seconds to import."""
    [espnet] = find_spec("espnet2").submodule_search_locations
    lines = [__doc__, "Options; a file given as --config has them as keys, and --print_config prints their values:"]
    for kind in CLASSES:
        lines += [f"  --{kind}, --{kind}_conf", "      name of a class (a wrong one is answered by all), its options"]
    for file in (Path(l2dual.__file__).with_name("training") / "task.py", Path(espnet, "tasks", "abs_task.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
                lines += _about(node)
    return "\n".join(lines)


def _about(call: ast.Call) -> list[str]:
    """The names that a call gives to an option, several where it stands in a loop, its default, and its help."""
    parts = call.args[0].values if isinstance(call.args[0], ast.JoinedStr) else call.args[:1]
    names = product(*([part.value] if isinstance(part, ast.Constant) else FILLED[part.value.id] for part in parts))
    given = {one.arg: one.value.value for one in call.keywords if isinstance(one.value, ast.Constant)}
    default = f" ({given['default']})" if given.get("default") is not None else ""
    told = [f"      {' '.join(given['help'].split())}"] if "help" in given else []
    return [f"  {', '.join(map(''.join, names))}{default}", *told]


if __name__ == "__main__":
    run(main)
