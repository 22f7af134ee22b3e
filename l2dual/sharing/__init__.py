"""How two outputs share an encoder: one file a mechanism, named in a system's YAML.

    sharing: {branch: {depth: 2}}

is ``build`` of l2dual/sharing/branch.py with ``depth=2``. Without `sharing`, every output reads the
last block of one encoder. docs/sharing.md has a paragraph on each.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import torch

from l2dual.errors import UsageError

MECHANISMS = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "mechanism"})


def share(encoder: torch.nn.Module, conf: Mapping, outputs: tuple[str, ...], sizes: Mapping[str, int]):
    """An encoder as the outputs share it, by the `sharing` of a system's YAML.

    Args:
        encoder: ESPnet's, with a list ``encoders`` of blocks.
        conf: one mechanism and its options; empty for one encoder whose last block all read.
        outputs: of the system.
        sizes: tokens of the CTC of each output that has one.

    Returns:
        ``encoder`` itself, or a :class:`l2dual.sharing.mechanism.Mechanism` in its place.

    Raises:
        UsageError: an unknown mechanism or option, two of them, or a single output.
    """
    if not conf:
        return encoder
    if not isinstance(conf, Mapping):
        raise UsageError(f"sharing: {conf}: give one mechanism and its options, as {{branch: {{depth: 2}}}}")
    if len(conf) > 1:
        raise UsageError(f"sharing: {' and '.join(conf)} exclude each other: name one")
    [(name, options)] = conf.items()
    if name not in MECHANISMS:
        raise UsageError(f"sharing: unknown mechanism '{name}': use {', '.join(MECHANISMS)}")
    if len(outputs) < 2:
        raise UsageError(f"sharing: {name}: the system has one output, {outputs[0]}: it shares nothing")
    if not isinstance(getattr(encoder, "encoders", None), torch.nn.ModuleList | torch.nn.Sequential):
        raise UsageError(f"sharing: {name}: {type(encoder).__name__} has no list `encoders` of blocks")
    if not isinstance(options, Mapping | None):
        raise UsageError(f"sharing: {name}: {options}: give its options, as {{depth: 2}}")
    build = import_module(f"l2dual.sharing.{name}").build
    known = list(inspect.signature(build).parameters)[3:]
    for option in options or {}:
        if option not in known:
            raise UsageError(f"sharing: {name}: unknown option '{option}': use {', '.join(known)}")
    try:
        return build(encoder, outputs, sizes, **(options or {}))
    except TypeError as error:
        raise UsageError(f"sharing: {name}: {error}: give {', '.join(known)}") from error
