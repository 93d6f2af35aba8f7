"""A stage with the world's judge beside it."""

import signal
import subprocess
import sys

from machines import environment

COMMAND = [sys.executable, "-m", "veo_core.launch.judged"]


def test_stage_finds_the_judge_and_its_code_is_the_end():
    ended = subprocess.run([*COMMAND, "asks"], env=environment(), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 7, ended.stderr
    assert '"requests"' in ended.stdout


def test_sigterm_reaches_the_stage():
    process = subprocess.Popen(
        [*COMMAND, "asks", "--wait"], env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline() != "waits\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()


def test_without_a_stage_it_is_one_line():
    ended = subprocess.run(COMMAND, env=environment(), capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
