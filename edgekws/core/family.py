"""Families of members by module name.

A family is a package whose modules are its members: the `kind` in a recipe table is the name of
the module, and the module holds one class, named after the family, with the fields and the code.
Modules with a name that starts with `_` are not members.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializeAsAny,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from edgekws.core.kinds import FAMILIES, closest, kinds

__all__ = ["FAMILIES", "MemberOf", "closest", "kinds", "load"]


def load(family: str, kind: str) -> type[BaseModel]:
    """Import the member `kind` and return its class.

    Raises:
        KeyError: no member has that name.
    """
    if kind not in kinds(family):
        raise KeyError(kind)
    member: type[BaseModel] = getattr(import_module(f"{FAMILIES[family]}.{kind}"), family)
    return member


@dataclass(frozen=True)
class MemberOf:
    """Marks a field that holds any member of `family`, selected by its `kind`.

    Validation errors inside a member are passed on in the context of a `member` error, so that the
    recipe can report each at its own line. In a JSON schema the field becomes `{"family": …}`.
    """

    family: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate any member, and serialize it with the fields of its class."""
        member = handler.generate_schema(SerializeAsAny[BaseModel])
        return no_info_before_validator_function(self._choose, member)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return a placeholder that `recipe.json_schema` replaces with the members."""
        return {"family": self.family}

    def _choose(self, value: object) -> object:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("member_table", 'expected a table with a "kind"')
        kind, known = value.get("kind"), kinds(self.family)
        if not isinstance(kind, str) or kind not in known:
            ctx = {
                "what": self.family.lower(),
                "kind": repr(kind),
                "hint": closest(str(kind), known),
            }
            if kind is None:
                raise PydanticCustomError("member_kind", '"kind" is missing{hint}', ctx)
            raise PydanticCustomError("member_kind", "no {what} is called {kind}{hint}", ctx)
        try:
            return load(self.family, kind).model_validate(value)
        except ValidationError as error:
            raise PydanticCustomError(
                "member", "is not valid", {"errors": error.errors()}
            ) from error
