"""Text from outside on a terminal: shown, never obeyed."""


def visible(text: str) -> str:
    """`text` in one line, its control, format and bidirectional characters as escapes such as \\u202e."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in " ".join(text.split()))
