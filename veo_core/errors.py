"""The errors that a user can mend."""


class UsageError(Exception):
    """Bad input or configuration; its message says what is wrong, where, and how to mend it.

    Command lines print the message as one line and exit with code 2.
    """


class ItemError(Exception):
    """One item cannot be processed; a stage records it as failed and goes on with the others."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
