"""What a tool takes: a core function's signature as a model, a schema, and errors in words.

The SDK by itself ignores unknown arguments and shows pydantic's own error text. Here arguments
are checked against the signature of a function `(app, **arguments) -> Answer`, and an error says
what was wrong and what is nearest.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_type_hints

from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from idc_mcp.answers import Answer, compact_json
from idc_mcp.errors import BadArgument
from idc_mcp.idc.filters.given import SAID
from idc_mcp.idc.nearest import nearest as near_names

Core = Callable[..., Answer]
"""A tool's function: the app first, then the arguments."""


def _one_or_many(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()] or [value]
    return value


OneOrMany = Annotated[list[str], BeforeValidator(_one_or_many)]
"""A list; a bare string is accepted, as one value or several with commas."""


class StrictArguments(ArgModelBase):
    """Base of all argument models."""

    model_config = ConfigDict(extra="forbid", strict=False)


def argument_model(core: Core) -> type[StrictArguments]:
    """The model of a core function's arguments, unknown ones forbidden."""
    hints = hints_of(core)
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(core).parameters.values())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(f"{core.__name__}_arguments", __base__=StrictArguments, **fields)


def hints_of(core: Core) -> dict[str, Any]:
    """The annotations of a core function, evaluated."""
    # The modules of tools import App for type checkers only.
    return get_type_hints(core, localns={"App": object}, include_extras=True)


def check_arguments(
    tool: str, model: type[StrictArguments], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments as the core takes them.

    Raises
    ------
    BadArgument
        Naming each argument that is wrong, why, and the nearest valid one.
    """
    given = {name: _parsed(value, model, name) for name, value in arguments.items()}
    _refuse_what_pydantic_lets_pass(given, tool, model)
    try:
        return model.model_validate(given, context=SAID).model_dump_one_level()
    except ValidationError as error:
        raise describe_errors(error, tool, model) from None


def _refuse_what_pydantic_lets_pass(
    given: Mapping[str, Any], tool: str, model: type[StrictArguments]
) -> None:
    problems: list[str] = []
    for name, value in given.items():
        field = model.model_fields.get(name)
        if isinstance(value, bool) and field is not None and field.annotation is not bool:
            problems.append(f"'{name}' was {str(value).lower()}, which is no value of it.")
        if isinstance(value, list | dict) and not value:
            problems.append(f"'{name}' is empty: leave it out or give a value.")
        try:
            compact_json(value).encode()
        except (UnicodeEncodeError, ValueError):
            problems.append(f"'{name}' has characters that are not valid text.")
    if problems:
        raise BadArgument(
            " ".join(problems),
            next_step=f"call {tool} again; what it takes here: {', '.join(model.model_fields)}",
        )


def describe_errors(error: ValidationError, tool: str, model: type[StrictArguments]) -> BadArgument:
    """pydantic's findings in a person's words."""
    names = list(model.model_fields)
    problems: list[str] = []
    nearest: list[str] = []
    for problem in error.errors(include_url=False):
        where = ".".join(
            str(part) for part in problem["loc"] if not str(part).startswith("function-")
        )
        given = _given(problem["input"])
        match problem["type"]:
            case "extra_forbidden":
                parent, _, key = where.rpartition(".")
                valid = valid_names(model, parent)
                problems.append(f"'{key}' is not {_one_of(parent, tool)}.")
                if parent and key in model.model_fields:
                    problems.append(f"It is an argument of {tool}, beside {parent}.")
                    nearest.append(key)
                else:
                    nearest += near_names(key, valid)
                    names = valid or names
            case "missing":
                problems.append(f"'{where}' is missing.")
            case "value_error":
                found = problem["ctx"]["error"]
                problems.append(f"'{where}': {found}.")
                nearest += getattr(found, "nearest", ())
            case _:
                problems.append(f"'{where}' was {given}: {_lower_first(problem['msg'])}.")
    return BadArgument(
        " ".join(dict.fromkeys(problems)),
        nearest=list(dict.fromkeys(nearest)),
        next_step=f"call {tool} again; what it takes here: {', '.join(names)}",
    )


def valid_names(model: type[BaseModel], path: str) -> list[str]:
    """The field names of `model`, or of the model that its field at `path` holds."""
    for part in filter(None, path.split(".")):
        field = model.model_fields.get(part)
        inner = field and _model_within(field.annotation)
        if not inner:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    # A named type (TypeAliasType) holds what it stands for.
    annotation = getattr(annotation, "__value__", annotation)
    found = (_model_within(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)


def _one_of(parent: str, tool: str) -> str:
    return f"one of {tool}'s {parent}" if parent else f"an argument of {tool}"


def compact_schema(schema: Any) -> Any:
    """A JSON schema without what a model need not read.

    That is titles, nulls, empty defaults, and the docstrings of models (the description of
    the argument stands for them).
    """
    if isinstance(schema, list):
        return [compact_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    options = schema.get("anyOf")
    if options and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        if len(rest) == 1:
            schema = {key: value for key, value in schema.items() if key != "anyOf"} | rest[0]
    return {
        key: (
            {name: compact_schema(value) for name, value in content.items()}
            if key in ("properties", "$defs")
            else compact_schema(content)
        )
        for key, content in schema.items()
        if not (key == "title" and isinstance(content, str))
        and not (key == "default" and content in (None, "", []))
        and not (key == "description" and "properties" in schema)
    }


def _parsed(value: Any, model: type[StrictArguments], name: str) -> Any:
    """A list or object that a host sent as JSON text (Claude Desktop does)."""
    field = model.model_fields.get(name)
    if not isinstance(value, str) or field is None or field.annotation is str:
        return value
    if value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _given(value: Any) -> str:
    text = compact_json(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
