"""The dual-output model, its encoders, and the search."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr

from l2dual.models.later import Later


def _as_it_is(function: Callable | None = None, *_: object, **__: object) -> Callable:
    return function or _as_it_is  # what decorates, or makes a decorator


# torch's compiler, 3 seconds: nothing is compiled here, so there is nothing to keep it out of
Later("torch._dynamo", package=True, disable=_as_it_is, graph_break=lambda *_: None)

with redirect_stderr(io.StringIO()):  # ESPnet misses flash_attn, which is optional
    import espnet2.legacy.nets.pytorch_backend.transformer.attention  # noqa: F401
