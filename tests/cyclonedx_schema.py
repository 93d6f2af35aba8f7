"""Bills of materials against CycloneDX's JSON schema, the formats of its dates and references included."""

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema.validators import Draft7Validator
from rfc3986_validator import validate_rfc3986

# What jsonschema would take for this format compiles a grammar for 3 s in each process that imports it, as
# each of Ray's does. Every URI reference is an IRI reference.
Draft7Validator.FORMAT_CHECKER.checks("iri-reference")(
    lambda value: not isinstance(value, str) or validate_rfc3986(value, rule="URI_reference") is not None
)


def problem_of(text: str) -> object | None:
    """What the schema of CycloneDX 1.6 forbids in a bill of materials, or None."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
