import pytest

from veo_core.world.filling import SchemaError, fill

FACTS = {
    "unsafe": True,
    "caption": "a red circle",
    "objects": [
        {"description": "red circle", "colour": "red"},
        {"description": "blue cross", "colour": "blue"},
    ],
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "boolean"}, True),
        ({"type": "string"}, ""),
        ({"type": ["boolean", "null"]}, True),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"allOf": [{"$ref": "#/$defs/flag"}]}, True),
        ({"const": "yes"}, "yes"),
        ({"enum": ["no", True]}, True),
        ({"enum": ["no", "yes"]}, "no"),
        ({"type": "null"}, None),
        ({"type": "integer"}, 0),
    ],
)
def test_fact_fills_the_property_where_its_type_allows(schema, value):
    root = {"type": "object", "properties": {"unsafe": schema}, "$defs": {"flag": {"type": "boolean"}}}
    assert fill(root, FACTS) == {"unsafe": value}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array"}, ["red circle", "blue cross"]),
        ({"type": "array", "items": {"type": "string"}}, ["red circle", "blue cross"]),
        ({"type": "string"}, "red circle, blue cross"),
        (
            {"type": "array", "items": {"properties": {"colour": {}, "weight": {"type": "number"}}}},
            [{"colour": "red", "weight": 0}, {"colour": "blue", "weight": 0}],
        ),
    ],
)
def test_list_of_facts_becomes_texts_or_objects(schema, value):
    assert fill({"properties": {"objects": schema}}, FACTS) == {"objects": value}


def test_nested_object_of_an_unknown_name_is_empty():
    inner = {"type": "object", "properties": {"caption": {"type": "string"}}}
    assert fill({"properties": {"other": inner}}, FACTS) == {"other": {"caption": ""}}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#"},
        {"$ref": "https://example.org/schema"},
        {"anyOf": []},
        {"enum": "ab"},
        {"type": "colour"},
        {"properties": {"a": 3}},
        {"properties": []},
        {
            "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
            "$defs": {"x": {"properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}}}},
        },
    ],
)
def test_schema_that_is_malformed_or_endless_is_refused(schema):
    with pytest.raises(SchemaError):
        fill(schema, FACTS)
