"""Extensions: classes that are found in a package of fvqp, and those that a script registers.

An observable, a process, a boundary condition is one class in one file. fvqp's own are found because their
file is in the package of their kind; a user's are handed to `register` before `fvqp.run`. A case never names
code: it names the key of a class that is registered.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Generic, TypeVar

from fvqp.errors import CaseError

T = TypeVar("T")


class Registry(Generic[T]):
    """Instances of the classes of one kind by their ``name``, in a fixed order.

    Args:
        kind: noun for messages.
        package: whose modules hold fvqp's own classes, in the order of their names.
        base: class that all of them extend; abstract ones are left out.
        wrong: what is wrong with a class that is registered, as ``attribute: reason``, or empty.
    """

    def __init__(
        self, kind: str, package: str, base: Callable[[], type[T]], wrong: Callable[[T], str] = lambda _: ""
    ) -> None:
        self.kind, self._package, self._base, self._wrong = kind, package, base, wrong
        self._own: dict[str, T] | None = None
        self._added: dict[str, T] = {}

    def __iter__(self) -> Iterator[T]:
        return iter((*self._found().values(), *self._added.values()))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> T:
        return {**self._found(), **self._added}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all."""
        return (*self._found(), *self._added)

    @property
    def added(self) -> tuple[str, ...]:
        """Names of those that were registered."""
        return tuple(self._added)

    def add(self, cls: type[T]) -> None:
        """Register a class; the same one, defined once more, takes the place of the first.

        Raises:
            CaseError: an abstract class or another base, no name, or a name that is taken.
        """
        if not self._is_one(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            raise CaseError(f"register: {cls.__name__}: define {missing or 'a class of its own'}")
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise CaseError(f"register: {cls.__name__}.name: expected letters, digits and _, got {name!r}")
        before = self._added.get(name)
        again = before is not None and _identity(type(before)) == _identity(cls)
        made = cls()
        wrong = self._wrong(made)
        if name in self and not again:
            there = ".".join(_identity(type(self[name])))
            wrong = f'name: "{name}" is the {self.kind} {there}; choose another name'
        if wrong:
            raise CaseError(f"register: {cls.__name__}.{wrong}")
        self._added[name] = made

    def remove(self, name: str) -> None:
        """Forget a class that was registered."""
        del self._added[name]

    def _found(self) -> dict[str, T]:
        if self._own is None:
            own: dict[str, T] = {}
            package = import_module(self._package)
            for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
                for cls in vars(import_module(f"{self._package}.{info.name}")).values():
                    if not self._is_one(cls) or cls.__module__ != f"{self._package}.{info.name}":
                        continue
                    if cls.name in own:
                        raise CaseError(f'{".".join(_identity(cls))}: there is a {self.kind} "{cls.name}"')
                    own[cls.name] = cls()
            self._own = own
        return self._own

    def _is_one(self, cls: Any) -> bool:
        return isinstance(cls, type) and issubclass(cls, self._base()) and not inspect.isabstract(cls)


def _identity(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


C = TypeVar("C", bound=type)


def register(cls: C) -> C:
    """Make a class of one's own known to fvqp: an observable, a process or a boundary condition.

    A decorator, or a call before `fvqp.run`, on all ranks.

    Args:
        cls: a class that extends `UsadelObservable`, `BoltzmannObservable`, `CaseProcess` or `CaseWall`.

    Raises:
        CaseError: another class, or a name that is taken.
    """
    registry: Any = getattr(cls, "registry", None)
    if not isinstance(cls, type) or not isinstance(registry, Registry):
        raise CaseError(
            f"register: expected a class that extends an observable, a process or a wall of fvqp, got {cls!r}"
        )
    registry.add(cls)
    return cls
