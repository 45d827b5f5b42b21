"""torch's compiler (`torch._dynamo`) is loaded when something compiles, and not because it was mentioned.

torch and transformers mention it everywhere: to have functions of theirs left alone by it, to mark functions that it
must not look into, to break the graph that it may be making, to ask whether a model has been compiled. As long as
nothing compiles there is nothing to do for that, but each of these loads the compiler and with it sympy: some 75 MiB
and a second. Until something else of it is asked for, `NotYet` stands in its place and answers these; what it has
promised, the compiler keeps.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from types import FunctionType, ModuleType
from typing import Any, Final

import torch

NAME: Final = "torch._dynamo"
APART: Final = f"{NAME}._trace_wrapped_higher_order_op"
"""A part of it that transformers always loads, and that needs none of the rest."""

Function = Callable[..., Any]


class NotYet(ModuleType):
    """Stands for torch's compiler until it is needed."""

    def __init__(self, origin: str) -> None:
        super().__init__(NAME)
        self.__file__ = origin
        self.eval_frame = _Frames(self)
        self._in_graph: list[Function] = []
        self._is_loaded = False

    def graph_break(self, *_: Any, **__: Any) -> None:
        """No graph is being made."""

    def assume_constant_result(self, function: Any) -> Any:
        """This mark on the function is all that the compiler would make."""
        function._dynamo_marked_constant = True
        return function

    def allow_in_graph(self, function: Any) -> Any:
        """The compiler hears of it when it is loaded."""
        self._in_graph.append(function)
        return function

    def disable(self, function: Any = None, recursive: bool = True, **named: Any) -> Any:
        """The function itself for as long as nothing compiles, then what the compiler makes of it."""
        if function is None:
            return functools.partial(self.disable, recursive=recursive, **named)
        if not isinstance(function, FunctionType):
            return self.compiler().disable(function, recursive, **named)

        @functools.wraps(function)
        def left_alone(*args: Any, **kwargs: Any) -> Any:
            found = self.compiler().disable(function, recursive, **named) if self._is_loaded else function
            return found(*args, **kwargs)

        return left_alone

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiler(), name)

    def compiler(self) -> Any:
        """The compiler itself, from now on in its own place."""
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        compiler: Any = importlib.import_module(NAME)
        if not self._is_loaded:
            self._is_loaded = True
            setattr(compiler, APART.rpartition(".")[2], sys.modules[APART])
            for function in self._in_graph:
                compiler.allow_in_graph(function)
        return compiler


class _Frames:
    """Its part that knows which models are compiled: none is."""

    class OptimizedModule:
        """What a compiled model is an instance of."""

    def __init__(self, not_yet: NotYet) -> None:
        self._not_yet = not_yet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._not_yet.compiler().eval_frame, name)


def install() -> None:
    """From now on the compiler waits. Does nothing where it is loaded already, or where torch keeps it elsewhere."""
    spec = PathFinder.find_spec(NAME, torch.__path__)
    apart = spec and PathFinder.find_spec(APART, spec.submodule_search_locations)
    if NAME in sys.modules or not spec or not spec.origin or not apart or not apart.loader:
        return
    sys.modules[NAME] = NotYet(spec.origin)
    sys.modules[APART] = importlib.util.module_from_spec(apart)
    apart.loader.exec_module(sys.modules[APART])
