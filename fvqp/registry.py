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

from fvqp.errors import CaseError, shown

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind by their ``name``, in a fixed order.

    Args:
        kind: noun for messages.
        package: whose modules hold fvqp's own classes, in the order of their names.
        base: returns the class that all of them extend; abstract ones are left out.
        make: returns the entry of a class.
        wrong: returns what is wrong with an entry of a script, as ``attribute: reason``; empty if nothing is.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        base: Callable[[], type],
        make: Callable[[Any], T],
        wrong: Callable[[T], str],
    ) -> None:
        self.kind, self._package, self._base, self._make, self._wrong = kind, package, base, make, wrong
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

    def add(self, cls: type) -> None:
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
        made = self._make(cls)
        wrong = self._wrong(made)
        before = self._added.get(name)
        if name in self._found() or (before is not None and _identity(before) != _identity(made)):
            there = ".".join(_identity(self[name]))
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
                    own[cls.name] = self._make(cls)
            self._own = own
        return self._own

    def _is_one(self, cls: Any) -> bool:
        return isinstance(cls, type) and issubclass(cls, self._base()) and not inspect.isabstract(cls)


def _identity(entry: Any) -> tuple[str, str]:
    cls = entry if isinstance(entry, type) else type(entry)
    return cls.__module__, cls.__qualname__


R = TypeVar("R")


def register(thing: R) -> R:
    """Make something of one's own known to fvqp, by the name it has.

    A decorator of a class, or a call, before `fvqp.run`; on all ranks.

    Args:
        thing: a class that extends `fvqp.UsadelObservable`, `fvqp.UsadelField`, `fvqp.BoltzmannObservable`,
            `fvqp.ProcessTable` or `fvqp.BoundaryTable`; or a `fvqp.Material`.

    Raises:
        CaseError: anything else, or a name that is taken.
    """
    registry: Any = getattr(thing, "registry", None)
    if registry is None or (isinstance(registry, Registry) and not isinstance(thing, type)):
        raise CaseError(
            "register: expected a material, or a class of an observable, a process or a boundary condition, "
            f"got {shown(thing)}"
        )
    registry.add(thing)
    return thing
