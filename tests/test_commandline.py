"""What the commands of `veo` have in common."""

import argparse
from collections.abc import Iterator

import pytest

from veo_core.cli.main import parser


def commands(root: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands, of those within others too."""
    yield root
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from commands(command)


def test_empty_folder_of_runs_is_refused_by_every_command_and_not_taken_for_the_working_directory(capsys):
    with_runs = [command for command in commands(parser()) if "--runs" in command._option_string_actions]
    assert {"veo run", "veo ui", "veo forget", "veo runs import"} <= {command.prog for command in with_runs}
    for command in with_runs:
        with pytest.raises(SystemExit) as ended:
            command.parse_args(["--runs", ""])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "--runs: its name is empty" in line, command.prog
