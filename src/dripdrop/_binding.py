"""How does an operation become a method of a facade?  It is named once, and keeps its signature."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope

P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[Concatenate[datetime, Scope, P], Flow[T]]


class Blocking(Protocol):
    """A facade, or a group of one, that runs an operation and returns what it says."""

    def _run(self, operation: Callable[[datetime, Scope], Flow[Any]]) -> Any: ...

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]: ...


class Sync(Generic[P, T]):
    """`pause = Sync(enrolling.pause)`: called without `now` and `scope`, in a transaction of its own or the host's."""

    def __init__(self, operation: Callable[Concatenate[datetime, Scope, P], Flow[T]], *inject: str) -> None:
        self.operation = operation
        self.inject = inject
        self.__doc__ = operation.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Callable[P, T]:
        operation, inject = self.operation, self.inject

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given: dict[str, Any] = {**owner._given(inject), **kwargs}
            found: T = owner._run(lambda now, scope: operation(now, scope, *args, **given))
            return found

        call.__doc__ = operation.__doc__
        call.__name__ = operation.__name__
        return call


class Awaited(Generic[P, T]):
    """The same, awaited."""

    def __init__(self, operation: Callable[Concatenate[datetime, Scope, P], Flow[T]], *inject: str) -> None:
        self.operation = operation
        self.inject = inject
        self.__doc__ = operation.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Callable[P, Coroutine[Any, Any, T]]:
        operation, inject = self.operation, self.inject

        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given: dict[str, Any] = {**owner._given(inject), **kwargs}
            found: T = await owner._run(lambda now, scope: operation(now, scope, *args, **given))
            return found

        call.__doc__ = operation.__doc__
        call.__name__ = operation.__name__
        return call


class Group:
    """A named part of a facade, such as `drip.sequences`."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def _run(self, operation: Callable[[datetime, Scope], Flow[Any]]) -> Any:
        return self._owner._run(operation)

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        given: dict[str, Any] = self._owner._given(names)
        return given
