"""Send the pipeline to Vertex AI Pipelines: check first, create the job, follow it to its end."""

import sys
import time
from collections.abc import Sequence
from functools import partial

from google.auth.credentials import Credentials

from pipelines.submit import arguments, google_api, preflight, progress, summary
from pipelines.submit.arguments import Submission
from pipelines.submit.errors import run
from pipelines.submit.labels import provenance
from pipelines.submit.patience import Pause
from pipelines.submit.progress import say
from pipelines.submit.vertex_errors import lacks_capacity
from pipelines.submit.vertex_job import VertexJob, job_id, pipeline_root
from pipelines.targets.images import Images
from pipelines.targets.profile import VertexProfile
from veo_core.errors import UsageError


def main(argv: Sequence[str] | None = None, *, pause: Pause = time.sleep) -> int:
    """0 the pipeline succeeded, 1 it or a service failed, 2 bad usage or something missing."""
    parsed = arguments.parser("python -m pipelines.submit.vertex", __doc__).parse_args(argv)
    return run(lambda: _submit(arguments.read(parsed), pause))


def _submit(submission: Submission, pause: Pause) -> int:
    profile = submission.profile
    if not isinstance(profile, VertexProfile):
        raise UsageError(f"{submission.path}: target is {profile.target}: use `make submit-kfp`")
    if submission.dry_run:
        print(_dry_run(submission, profile))
        return 0
    caller = google_api.credentials()
    api = google_api.GoogleApi(caller)
    choices = _choices(submission, profile)
    findings = preflight.check(api, profile, _images(submission, profile, choices), choices)
    for note in findings.unchecked:
        say(note)
    if missing := findings.missing:
        raise UsageError(f"nothing was sent, {len(missing)} missing: {'; '.join(missing)}")
    for choice in findings.choices or [submission.choice]:
        job = _send(submission, profile, choice, caller, pause)
        if not submission.follow:
            return 0
        last = progress.follow(partial(job.look, pause), pause=pause)
        if not lacks_capacity(last):
            break
        say(f"{profile.pools.accelerator[choice].machine_type} is not to be had in {profile.region} now")
    return progress.exit_code(last)


def _send(
    submission: Submission, profile: VertexProfile, choice: int, caller: Credentials, pause: Pause
) -> VertexJob:
    """Create the job with one of the profile's choices of accelerators."""
    compiled = submission.compiled(choice)
    job = VertexJob.of(
        compiled,
        profile,
        submission.parameters,
        name=job_id(compiled.name, choice),
        labels=profile.labels | provenance(compiled, submission.preset),
        credentials=caller,
    )
    job.create(pause)
    say(f"sent, for {profile.pools.accelerator[choice].machine_type}: {job.link}")
    return job


def _choices(submission: Submission, profile: VertexProfile) -> list[int]:
    """The profile's choices of accelerators, in their order; curation needs none."""
    if submission.pipeline == "curation":
        return []
    return list(range(len(profile.pools.accelerator)))[submission.choice :]


def _images(submission: Submission, profile: VertexProfile, choices: list[int]) -> list[str]:
    """The images of the stages, whichever choice of accelerators they get, and that of the server."""
    images = Images(submission.path.parent / profile.images)
    tpus = {profile.pools.accelerator[choice].is_tpu for choice in choices}
    training = [images["train-tpu" if is_tpu else "train-gpu"] for is_tpu in tpus]
    serving = [images["serve"]] if training and profile.model_registry else []
    return [images["curate"], *training, *serving]


def _dry_run(submission: Submission, profile: VertexProfile) -> str:
    compiled = submission.compiled(submission.choice)
    machines = [
        f"{choice.replicas} x {choice.machine_type} ({choice.scheduling})"
        for choice in profile.pools.accelerator
    ]
    place = {
        "to": f"Vertex AI, projects/{profile.project}/locations/{profile.region}",
        "root": pipeline_root(profile),
        "account": profile.service_account,
        "network": profile.network or "none",
        "key": profile.cmek_key or "Google's",
        "experiment": profile.experiment or "none",
        "cpu": profile.pools.cpu.machine_type,
        "training": ", else ".join(machines),
    }
    labels = profile.labels | provenance(compiled, submission.preset)
    return summary.describe(submission, compiled, place, labels)


if __name__ == "__main__":
    sys.exit(main())
