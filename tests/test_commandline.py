"""What the commands of `veo` have in common."""

import pytest

from veo_core.cli.main import main

EVERY_COMMAND_WITH_RUNS = [
    ["run"],
    ["curate"],
    ["runs"],
    ["logs", "latest", "task"],
    ["ui"],
    ["report"],
    ["why", "clip"],
    ["diff", "one", "other"],
    ["verify", "latest"],
    ["replay", "latest"],
    ["export", "folder", "out"],
    ["export", "model", "latest", "out"],
    ["export", "lineage", "latest", "out"],
    ["generate", "a red circle"],
]


@pytest.mark.parametrize("command", EVERY_COMMAND_WITH_RUNS, ids=" ".join)
def test_empty_folder_of_runs_is_refused_and_not_taken_for_the_working_directory(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--runs", ""])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--runs: its name is empty" in line
