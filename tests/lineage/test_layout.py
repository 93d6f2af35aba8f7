"""The layered layout on small graphs."""

from veo_core.lineage.layout import layered


def test_layers_follow_the_longest_path():
    layout = layered({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a"]})
    assert {node: place[0] for node, place in layout.places.items()} == {"a": 0, "b": 1, "d": 1, "c": 2}
    assert (layout.layers, layout.width) == (3, 2)


def test_links_that_longer_paths_imply_are_left_out():
    layout = layered({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["c", "a", "b"]})
    assert sorted(layout.links) == [("a", "b"), ("b", "c"), ("c", "d")]


def test_a_diamond_keeps_both_sides():
    layout = layered({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
    assert sorted(layout.links) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def test_positions_in_a_layer_are_apart_and_centred():
    layout = layered({"a": [], "b": [], "c": []})
    assert sorted(place[1] for place in layout.places.values()) == [-1.0, 0.0, 1.0]


def test_children_stand_below_their_parents():
    layout = layered({"a": [], "b": [], "c": ["b"], "d": ["a"]})
    order = [node for node, _ in sorted(layout.places.items(), key=lambda item: item[1])]
    assert order == ["a", "b", "d", "c"]


def test_unknown_parents_and_cycles_do_not_prevent_a_layout():
    layout = layered({"a": ["c", "gone", "a"], "b": ["a"], "c": ["b"]})
    assert set(layout.places) == {"a", "b", "c"}
    assert len(layout.links) == 2


def test_an_empty_graph_has_no_layer():
    assert layered({}).layers == 0


def test_a_long_chain_is_laid_out():
    names = [f"t{i}" for i in range(300)]
    layout = layered({name: names[max(0, i - 1) : i] for i, name in enumerate(names)})
    assert layout.layers == 300
