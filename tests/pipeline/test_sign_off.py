"""A run whose policy names signers: its gate stays closed until they sign, and then it only registers."""

import subprocess
import sys
from pathlib import Path

import pytest
from workplace import Workplace

from veo_core.safety.signatures import load_key, public_key


@pytest.mark.slow
def test_a_run_waits_for_its_signatures_and_then_registers_without_other_work(finished: Workplace) -> None:
    key = finished.folder / "council.pem"
    approve(finished, "--new-key", str(key))
    signers = f"safety_evaluation: {{policy: {{signers: {{council: ['{public_key(load_key(key))}']}}}}}}\n"
    (finished.folder / "signers.yaml").write_text(signers)
    waiting = finished.run("--config", "signers.yaml")
    assert waiting.returncode == 0, waiting.stderr
    assert "no model was registered" in waiting.stdout
    approve(finished, "latest", "--role", "council", "--key", str(key))
    signed = finished.run("--config", "signers.yaml", "--config", "approvals.yaml")
    assert signed.returncode == 0, signed.stderr
    assert "registered veo-smoke@" in signed.stdout
    worked = {name for name, task in finished.tasks().items() if task.state == "SUCCEEDED"}
    assert worked == {"safety-evaluation", "register"}


def approve(place: Workplace, *arguments: str) -> None:
    command = [sys.executable, "-m", "veo_core.cli.main", "approve", *arguments]
    process = subprocess.run(
        command, capture_output=True, text=True, env=place.environment, cwd=Path(place.folder)
    )
    assert process.returncode == 0, process.stderr
