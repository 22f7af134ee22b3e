"""Modules that others import at their head, take seconds, and are hardly ever used: they are imported later."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType


class Later(ModuleType):
    """Takes the place of a module until something of it is wanted that is not among a few functions.

    Args:
        name: the module's. If it is imported already, nothing takes its place.
        package: whether it is a package.
        functions: what others import of it, each to be called in its place; None: the module's own, which
            is imported when the function is called.
    """

    def __init__(self, name: str, package: bool = False, **functions: Callable | None):
        super().__init__(name)
        self._is_package = package
        for function, own in functions.items():
            setattr(self, function, own or self._called_later(function))
        sys.modules.setdefault(name, self)

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__") and not (attribute == "__path__" and self._is_package):
            raise AttributeError(attribute)  # who looks at every module does not need this one
        return getattr(self._module(), attribute)

    def _called_later(self, function: str) -> Callable:
        return lambda *args, **kwargs: getattr(self._module(), function)(*args, **kwargs)

    def _module(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)
