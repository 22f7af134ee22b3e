"""ESPnet's task and trainer, without two of their parts that no training of ours calls.

Each part takes seconds to import, and is imported when it is called after all.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import l2dual.models  # noqa: F401 (its ESPnet comes without torch's compiler)

CALLED_LATER = {  # module: its function
    "espnet2.layers.create_adapter": "create_adapter",  # all of transformers, for adapters in a model that is tuned
    "espnet2.main_funcs.calculate_all_attentions": "calculate_all_attentions",  # scipy and numba, for num_att_plot > 0
}


class _Later(ModuleType):
    """Takes the place of a module until something of it is wanted but that one function, or that is called."""

    def __init__(self, name: str, function: str):
        super().__init__(name)
        setattr(self, function, lambda *args, **kwargs: getattr(self._module(), function)(*args, **kwargs))

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):  # which the import system looks for
            raise AttributeError(attribute)
        return getattr(self._module(), attribute)

    def _module(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)


@contextmanager
def called_later() -> Iterator[None]:
    """Within the block, who imports such a function gets one that imports its module when it is called."""
    places = {name: _Later(name, function) for name, function in CALLED_LATER.items() if name not in sys.modules}
    sys.modules.update(places)
    try:
        yield
    finally:
        for name, place in places.items():
            if sys.modules.get(name) is place:
                del sys.modules[name]


with called_later():
    from espnet2.tasks.abs_task import AbsTask, scheduler_classes
    from espnet2.train.trainer import Trainer, TrainerOptions

__all__ = ["AbsTask", "Trainer", "TrainerOptions", "scheduler_classes"]
