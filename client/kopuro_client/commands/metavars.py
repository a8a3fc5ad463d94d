"""Names of values in help texts: `PATH`, `NUMBER`, `WHERE...`. Typer shows Python types: `<list[Path]>`."""

from __future__ import annotations

from typing import Any

_NAMES = {"int": "NUMBER", "float": "NUMBER", "path": "PATH", "file": "FILE", "dir": "DIR"}


def use_plain_metavars(command: Any) -> None:
    """Give every parameter of a command, and of the commands below it, a plain metavar.

    command: a built click command. A flag gets none, a choice its values, a parameter with a metavar of its
    own keeps that. Typer has no setting for this, so methods of its parameters are replaced.
    """
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            _name_argument(parameter)
        else:
            parameter.metavar = _metavar_of(parameter)
    for below in getattr(command, "commands", {}).values():
        use_plain_metavars(below)
    help_option = command.get_help_option
    setattr(command, "get_help_option", lambda context: _without_metavar(help_option(context)))  # noqa: B010


def _metavar_of(option: Any) -> str:
    if option.metavar is not None:
        return str(option.metavar)
    if option.is_flag:
        return ""
    described = option.type_descriptor
    if described.is_choice:
        return "|".join(str(getattr(choice, "value", choice)) for choice in described.choices)
    if described.is_ranged:
        name = "NUMBER"
    else:
        name = _NAMES.get(described.path_type if described.is_path else option.bare_type(), "TEXT")
        if described.is_list and "Path" in option.bare_type():
            name = "PATH"
    return f"{name}..." if described.is_list else name


def _name_argument(argument: Any) -> None:
    repeated = argument.nargs != 1
    name = str(argument.metavar or argument.name.upper().replace("_", "-")).removesuffix("...")
    argument.metavar = f"{name}..." if repeated else name
    usage = argument.metavar if argument.required else f"[{argument.metavar}]"
    argument.get_usage_pieces = lambda _: [usage]
    argument.display_type_rich = lambda ctx: ""


def _without_metavar(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option
