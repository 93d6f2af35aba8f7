"""Check the Kustomize overlays and the Terraform configuration; exit code 1 if anything is wrong."""

import sys

from infra.checks.overlays import overlay_problems, overlays
from infra.checks.terraform import initialised
from veo_core.errors import UsageError


def main() -> int:
    """Print what is wrong, a line each."""
    try:
        found = [problem for folder in overlays() for problem in overlay_problems(folder)]
        with initialised() as terraform:
            found += terraform.problems()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(found) or "infra: overlays and Terraform hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
