"""HTML is escaped unless it is built from elements."""

from veo_core.html import Html, element, join, text


def test_text_is_escaped_in_content_and_attributes():
    built = element("p", "<b>&\"'", title='"><script>')
    assert built == '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt;&amp;&quot;&#x27;</p>'


def test_elements_nest_without_double_escapes():
    assert element("p", [element("b", "x"), " & ", 3]) == "<p><b>x</b> &amp; 3</p>"


def test_attributes_that_are_none_or_false_are_left_out():
    assert element("video", controls=True, loop=False, poster=None, class_="a", aria_label="b") == (
        '<video controls class="a" aria-label="b"></video>'
    )


def test_terminal_colours_are_left_out_and_control_characters_shown():
    assert text("\x1b[31mred\x1b[0m\x00\u202e") == "red\ufffd\ufffd"


def test_join_of_nothing_is_empty_html():
    assert join(None, [], "") == ""
    assert isinstance(join("<"), Html)
