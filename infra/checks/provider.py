"""A Terraform provider that knows Google's schema and nothing else.

Terraform talks to providers over gRPC (its plugin protocol, version 5). This one answers what `terraform
validate` and `terraform test` with mocked resources ask: which resources there are, which arguments they
take and of which type, which are required, and what comes out of them. Terraform itself then checks every
block, reference and expression. Nothing is created and no account is needed; what Google's provider
checks beyond its schema is not checked.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

ADDRESS = "registry.terraform.io/hashicorp/google"
_NESTING = {"single": 1, "list": 2, "set": 3}


@contextmanager
def serving(schema: Path, socket: Path) -> Iterator[str]:
    """Serve the schema on a socket; yields the value of TF_REATTACH_PROVIDERS that makes Terraform use it."""
    answer = encode_schemas(json.loads(schema.read_text()))
    answers = {
        "GetSchema": lambda _: answer,
        "PrepareProviderConfig": lambda request: (
            request
        ),  # the configuration as it is, field 1 in both messages
        "ValidateResourceTypeConfig": lambda _: b"",  # no diagnostics
        "ValidateDataSourceConfig": lambda _: b"",
        "Configure": lambda _: b"",
        "Stop": lambda _: b"",
    }
    handlers = {name: grpc.unary_unary_rpc_method_handler(_method(call)) for name, call in answers.items()}
    with ThreadPoolExecutor(max_workers=4) as workers:
        server = grpc.server(workers)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers)]
        )
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield json.dumps({ADDRESS: _reattach(socket)})
        finally:
            server.stop(grace=None).wait()


def _method(call: Any) -> Any:
    return lambda request, _: call(request)


def _reattach(socket: Path) -> dict[str, Any]:
    address = {"Network": "unix", "String": str(socket)}
    return {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": 1, "Test": True, "Addr": address}


def encode_schemas(schemas: dict[str, Any]) -> bytes:
    """The message GetProviderSchema.Response, from the form of `terraform providers schema -json`."""
    parts = [_message(1, _schema(schemas["provider"]))]
    for number, kind in ((2, "resource_schemas"), (3, "data_source_schemas")):
        for name, block in schemas[kind].items():
            parts.append(_message(number, _text(1, name) + _message(2, _schema(block))))
    return b"".join(parts)


def _schema(block: dict[str, Any]) -> bytes:
    return _message(2, _block(block))


def _block(block: dict[str, Any]) -> bytes:
    attributes = (_message(2, _attribute(name, item)) for name, item in block["attributes"].items())
    nested = (_message(3, _nested(name, item)) for name, item in block["block_types"].items())
    return b"".join((*attributes, *nested))


def _attribute(name: str, item: dict[str, Any]) -> bytes:
    flags = (
        _number(field, item.get(key, False))
        for field, key in ((4, "required"), (5, "optional"), (6, "computed"))
    )
    return b"".join((_text(1, name), _message(2, json.dumps(item["type"]).encode()), *flags))


def _nested(name: str, item: dict[str, Any]) -> bytes:
    limits = (_number(4, item.get("min_items", 0)), _number(5, item.get("max_items", 0)))
    nesting = _number(3, _NESTING[item["nesting_mode"]])
    return b"".join((_text(1, name), _message(2, _block(item["block"])), nesting, *limits))


# Protocol buffers, as far as these messages go: varints, and fields with a length.


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())
