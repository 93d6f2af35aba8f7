"""All checks of the Kustomize overlays."""

from pathlib import Path

from infra.checks.kustomize import Manifest, build
from infra.checks.references import reference_problems
from infra.checks.schema import schema_problems

KUBEFLOW = Path(__file__).parents[1] / "kubeflow"


def overlays() -> list[Path]:
    """The folders that are built and checked."""
    return [KUBEFLOW / "base", *sorted((KUBEFLOW / "overlays").iterdir())]


def problems(manifests: list[Manifest]) -> list[str]:
    """What is wrong with the manifests of an overlay; references are followed once the schemas hold."""
    found = [problem for manifest in manifests for problem in schema_problems(manifest)]
    return found or list(reference_problems(manifests))


def overlay_problems(folder: Path) -> list[str]:
    """What is wrong with an overlay.

    Raises:
        UsageError: it does not build.
    """
    return [f"{folder.name}: {problem}" for problem in problems(build(folder))]
