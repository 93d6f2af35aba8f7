"""The base of every record and configuration: strict fields, canonical JSON, a digest."""

import difflib
import hashlib
import json
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from veo_core.errors import UsageError


def canonical_json(value: Any) -> bytes:
    """`value` as JSON bytes that are equal for equal values."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Record(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, in hexadecimal."""
        return sha256_bytes(self.to_bytes())

    @classmethod
    def parse(cls, value: Any, *, where: str) -> Self:
        """Validate `value`, naming the place and the nearest right key in errors.

        Raises:
            UsageError: `value` does not fit this record.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise UsageError(f"{where}: {_explain(cls, error)}") from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML or JSON file.

        Raises:
            UsageError: the file is missing, is not YAML, or does not fit this record.
        """
        return cls.parse(read_yaml(path), where=str(path))


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML or JSON file.

    Raises:
        UsageError: the file is missing or is not YAML.
    """
    import yaml  # takes a tenth of a second, which all that reads no configuration does without

    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """The first problem of a validation error in one line."""
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"unknown key {location!r}; {hint}"
    return f"{location or 'value'}: {first['msg']}"


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The field names of the model nested in `model` at `path`, where a union's member goes by its tag."""
    models = [model]
    for part in path:
        fields = [found.model_fields[str(part)] for found in models if part in found.model_fields]
        arms = [arm for field in fields for arm in (field.annotation, *get_args(field.annotation))]
        tagged = [
            found
            for found in models
            if any(part in get_args(f.annotation) for f in found.model_fields.values())
        ]
        models = [arm for arm in arms if _is_model(arm)] or tagged or models
    return [name for found in models for name in found.model_fields]


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
