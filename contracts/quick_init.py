"""A faster `__init__` for frozen records of which every message takes several.

The `__init__` that `dataclasses` writes for a frozen class sets each member with `object.__setattr__`, which
looks it up by its name. That of `quick_init` calls the setters of the slots, and takes half the time.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, TypeVar

T = TypeVar("T")

_SET, _DEFAULT, _MADE = "_set_", "_default_", "_made_"


def quick_init(cls: type[T]) -> type[T]:
    """Replace the `__init__` of a dataclass that is frozen, by keyword only and has slots; return the class.

    The new one has the same parameters and effects, `__post_init__` included. Raises TypeError for another
    dataclass, and for one with an `InitVar`, because its `__init__` would differ.
    """
    _require_supported(cls)
    names: dict[str, Any] = {"_MISSING": dataclasses.MISSING}
    parameters, lines = [], []
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        name, value = item.name, item.name
        made = item.default_factory is not dataclasses.MISSING
        if made:
            names[_MADE + name] = item.default_factory
            value = (
                f"{_MADE}{name}()" if not item.init else f"{_MADE}{name}() if {name} is _MISSING else {name}"
            )
        elif item.default is not dataclasses.MISSING:
            names[_DEFAULT + name] = item.default
            value = name if item.init else _DEFAULT + name
        elif not item.init:
            continue  # `__post_init__` sets it
        if item.init:
            default = "=_MISSING" if made else f"={_DEFAULT}{name}" if _DEFAULT + name in names else ""
            parameters.append(name + default)
        names[_SET + name] = getattr(cls, name).__set__
        lines.append(f" {_SET}{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    head = ", *, ".join(["self", ", ".join(parameters)] if parameters else ["self"])
    source = f"def __init__({head}):\n" + "\n".join(lines or [" pass"])
    exec(source, names)  # noqa: S102 - from names of fields only, as `dataclasses` makes its own
    made_init = names["__init__"]
    made_init.__qualname__ = f"{cls.__qualname__}.__init__"
    made_init.__module__ = cls.__module__
    made_init.__annotations__ = cls.__init__.__annotations__
    cls.__init__ = made_init  # type: ignore[method-assign]
    return cls


def _require_supported(cls: type) -> None:
    stated = vars(cls).get("__dataclass_params__")
    if stated is None or not stated.frozen:
        raise TypeError(f"{cls.__qualname__} must be a frozen dataclass.")
    for item in dataclasses.fields(cls):  # also the fields of the classes that it extends
        if item.init and not item.kw_only:
            raise TypeError(f"{cls.__qualname__}.{item.name} must be keyword-only.")
        if not isinstance(getattr(cls, item.name, None), types.MemberDescriptorType):
            raise TypeError(f"{cls.__qualname__}.{item.name} must have a slot.")
    if "__slots__" not in vars(cls):
        raise TypeError(f"{cls.__qualname__} must have slots.")
    for name, item in vars(cls)["__dataclass_fields__"].items():
        if item._field_type is dataclasses._FIELD_INITVAR:  # type: ignore[attr-defined]
            raise TypeError(f"{cls.__qualname__}.{name} must not be an InitVar.")
