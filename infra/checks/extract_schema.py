"""Read the schema of Google's Terraform provider out of its published bindings, which npm carries.

    npm pack @cdktf/provider-google && tar xzf cdktf-provider-google-*.tgz
    python -m infra.checks.extract_schema package > infra/terraform/google.schema.json

The bindings are generated from the provider's own schema, and say for each attribute its name, its type, and
whether it is required, optional or computed. Only what infra/terraform uses is taken. The output has the form
of `terraform providers schema -json`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

RESOURCES = (
    "artifact-registry-repository",
    "artifact-registry-repository-iam-member",
    "billing-budget",
    "compute-network",
    "compute-router",
    "compute-router-nat",
    "compute-subnetwork",
    "container-cluster",
    "container-node-pool",
    "kms-crypto-key",
    "kms-crypto-key-iam-member",
    "kms-key-ring",
    "monitoring-notification-channel",
    "project-iam-member",
    "project-service",
    "secret-manager-secret-iam-member",
    "service-account",
    "service-account-iam-member",
    "storage-bucket",
    "storage-bucket-iam-member",
)
DATA_SOURCES = ("data-google-project", "data-google-storage-project-service-account")

_TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
}
_CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(
    r"get (\w+)\(\) \{\s*return (?:cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\('(\w+)'\)"
)
_SETTING = re.compile(r"\b(\w+): \{\s*value: cdktf\.(string|number|boolean)ToHclTerraform")
_NESTED = re.compile(
    r"this\._(\w+) = new (?:\w+\.)?(\w+?)(List|Map|OutputReference)\(this, \"(\w+)\"(?:, (true|false))?\)"
)


def extract(package: Path) -> dict[str, Any]:
    """The schemas of the provider, its resources and data sources."""
    version = json.loads((package / "package.json").read_text())["cdktf"]["provider"]["version"]
    return {
        "source": f"registry.terraform.io/hashicorp/google {version}, by its npm bindings; MPL-2.0",
        "provider": _provider(package),
        "resource_schemas": {_type(name): _schema(package, name) for name in RESOURCES},
        "data_source_schemas": {
            _type(name.removeprefix("data-google-")): _schema(package, name) for name in DATA_SOURCES
        },
    }


def _type(name: str) -> str:
    return "google_" + name.replace("-", "_")


def _provider(package: Path) -> dict[str, Any]:
    """The provider's own plain settings, all of them optional."""
    text = (package / "lib" / "provider" / "index.js").read_text()
    settings = _SETTING.findall(text.partition("synthesizeHclAttributes() {")[2])
    attributes = {name: {"type": _TYPES[kind.capitalize()], "optional": True} for name, kind in settings}
    return {"attributes": attributes, "block_types": {}}


def _schema(package: Path, name: str) -> dict[str, Any]:
    text = "\n".join(path.read_text() for path in sorted((package / "lib" / name).rglob("*.js")))
    starts = list(_CLASS.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    classes = {match[1]: text[match.start() : end] for match, end in zip(starts, ends, strict=True)}
    bases = {"TerraformResource", "TerraformDataSource", "TerraformProvider"}
    root = next(match[1] for match in starts if match[2] in bases)
    return _block(root, classes)


def _block(name: str, classes: dict[str, str]) -> dict[str, Any]:
    body = classes[name]
    attributes: dict[str, Any] = {
        field: {"type": _TYPES.get(kind, "dynamic"), **_flags(accessor, body)}
        for accessor, kind, field in _ATTRIBUTE.findall(body)
    }
    blocks: dict[str, Any] = {}
    for accessor, inner, kind, field, is_set in _NESTED.findall(body):
        flags = _flags(accessor, body)
        if "required" in flags or "optional" in flags:
            single = kind == "OutputReference"
            blocks[field] = {
                "nesting_mode": "single" if field == "timeouts" else "set" if is_set == "true" else "list",
                "block": _block(f"{inner}OutputReference", classes),
                **({"min_items": 1} if "required" in flags else {}),
                **({"max_items": 1} if single and field != "timeouts" else {}),
            }
        else:
            attributes[field] = {"type": ["map", "string"] if kind == "Map" else "dynamic", **flags}
    return {"attributes": attributes, "block_types": blocks}


def _flags(accessor: str, body: str) -> dict[str, bool]:
    """What may be set has a setter; what may be left out can be reset, and is then the provider's choice."""
    capitalised = accessor[0].upper() + accessor[1:]
    if f"set {accessor}(" not in body and f"put{capitalised}(" not in body:
        return {"computed": True}
    return {"optional": True, "computed": True} if f"reset{capitalised}(" in body else {"required": True}


if __name__ == "__main__":
    json.dump(extract(Path(sys.argv[1])), sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")
