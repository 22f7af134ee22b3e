"""The dual-output model, its encoders, and the search."""

import io
from contextlib import redirect_stderr

import torch

_disable = torch.compiler.disable
torch.compiler.disable = lambda function: function  # nothing is compiled here; its import takes two seconds
with redirect_stderr(io.StringIO()):  # ESPnet misses flash_attn, which is optional
    try:
        import espnet2.legacy.nets.pytorch_backend.nets_utils
        import espnet2.legacy.nets.pytorch_backend.transformer.attention  # noqa: F401
    finally:
        torch.compiler.disable = _disable

for _method in vars(torch.optim.Optimizer).values():  # torch would import it at their first call to keep it out of them
    if _plain := getattr(_method, "__wrapped__", None):
        _plain.__dict__.setdefault("__dynamo_disable", _plain)
