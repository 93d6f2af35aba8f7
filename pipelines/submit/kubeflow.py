"""Send the pipeline to Kubeflow Pipelines: upload its version, start a run, follow it to its end."""

import sys
import time
from collections.abc import Sequence

from pipelines.submit import arguments, progress, summary
from pipelines.submit.arguments import Submission
from pipelines.submit.errors import run
from pipelines.submit.kubeflow_run import Cluster
from pipelines.submit.labels import provenance
from pipelines.submit.patience import Pause
from pipelines.submit.progress import say
from pipelines.targets.profile import KubeflowProfile
from veo_core.errors import UsageError


def main(argv: Sequence[str] | None = None, *, pause: Pause = time.sleep) -> int:
    """0 the pipeline succeeded, 1 it or the cluster failed, 2 bad usage or something missing."""
    parsed = arguments.parser("python -m pipelines.submit.kubeflow", __doc__).parse_args(argv)
    return run(lambda: _submit(arguments.read(parsed), pause))


def _submit(submission: Submission, pause: Pause) -> int:
    profile = submission.profile
    if not isinstance(profile, KubeflowProfile):
        raise UsageError(f"{submission.path}: target is {profile.target}: use `make submit`")
    compiled = submission.compiled(submission.choice)
    labels = provenance(compiled, submission.preset)
    if submission.dry_run:
        place = {
            "to": f"Kubeflow Pipelines at {profile.endpoint}, namespace {profile.namespace}",
            "root": profile.root,
            "account": profile.service_account,
            "experiment": profile.experiment,
            "queue": profile.queue or "none",
        }
        print(summary.describe(submission, compiled, place, labels))
        return 0
    cluster = Cluster.of(profile, pause)
    described = ", ".join(f"{name} {value}" for name, value in labels.items())
    pipeline, version = cluster.upload(compiled, described)
    name = f"{compiled.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    run_id = cluster.start(pipeline, version, name, submission.parameters)
    say(f"sent: {profile.endpoint}/#/runs/details/{run_id}")
    if not submission.follow:
        return 0
    return progress.exit_code(progress.follow(lambda: cluster.look(run_id), pause=pause))


if __name__ == "__main__":
    sys.exit(main())
