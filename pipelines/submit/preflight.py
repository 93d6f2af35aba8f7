"""What a Vertex submission needs, asked of Google Cloud before anything is sent."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from pipelines.submit.google_api import Answer, GoogleApi
from pipelines.targets.profile import VertexAccelerator, VertexProfile

_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404
_METRICS = {
    "NVIDIA_TESLA_A100": "nvidia_a100_gpus",
    "NVIDIA_A100_80GB": "nvidia_a100_80gb_gpus",
    "NVIDIA_H100_80GB": "nvidia_h100_gpus",
    "NVIDIA_H100_MEGA_80GB": "nvidia_h100_mega_gpus",
    "NVIDIA_H200_141GB": "nvidia_h200_gpus",
    "ct5lp-hightpu": "tpu_v5e",
    "ct6e-standard": "tpu_v6e",
}
_GOOGLE_REGISTRY = re.compile(r"^(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)$")


@dataclass
class Findings:
    """What came out.

    Attributes:
        missing: what must be mended first; each names it and how.
        unchecked: what could not be looked at, and why.
        choices: indices of the profile's choices of accelerators whose quota is large enough, or not known.
    """

    missing: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)


def check(api: GoogleApi, profile: VertexProfile, images: Iterable[str], choices: Iterable[int]) -> Findings:
    """Look at APIs, permissions, bucket, key, secrets, images and quota, in one go.

    Args:
        images: the images of the pipeline, by digest.
        choices: indices of the profile's choices of accelerators that may be used; none if no stage uses one.

    Raises:
        UsageError: the credentials are refused.
        RemoteError: Google Cloud cannot be reached.
    """
    checks = _Checks(api, profile, Findings())
    checks.services()
    checks.permissions()
    checks.bucket()
    checks.key()
    checks.secrets()
    for image in sorted(set(images)):
        checks.image(image)
    checks.quotas(list(choices))
    return checks.findings


@dataclass(frozen=True)
class _Checks:
    api: GoogleApi
    profile: VertexProfile
    findings: Findings

    def services(self) -> None:
        project = f"projects/{self.profile.project}"
        needed = ["aiplatform", "storage"]
        needed += ["cloudkms"] if self.profile.cmek_key else []
        needed += ["secretmanager"] if self.profile.secrets else []
        names = [f"{project}/services/{name}.googleapis.com" for name in needed]
        answer = self.api.get(
            f"https://serviceusage.googleapis.com/v1/{project}/services:batchGet", names=names
        )
        if not answer.ok:
            self._unchecked("APIs", answer)
            return
        for service in answer.body["services"]:
            if service["state"] != "ENABLED":
                name = service["name"].rsplit("/", 1)[-1]
                self._missing(
                    f"API {name} is off: run `gcloud services enable {name} --project {self.profile.project}`"
                )

    def permissions(self) -> None:
        wanted = ["aiplatform.pipelineJobs.create", "aiplatform.pipelineJobs.get"]
        if self.profile.experiment:
            wanted += ["aiplatform.contexts.create", "aiplatform.contexts.get"]
        url = f"https://cloudresourcemanager.googleapis.com/v1/projects/{self.profile.project}"
        answer = self.api.post(f"{url}:testIamPermissions", {"permissions": wanted})
        self._granted(answer, wanted, f"project {self.profile.project}", "roles/aiplatform.user")

        account = self.profile.service_account
        wanted = ["iam.serviceAccounts.actAs"]
        url = f"https://iam.googleapis.com/v1/projects/-/serviceAccounts/{account}"
        answer = self.api.post(f"{url}:testIamPermissions", {"permissions": wanted})
        if answer.status == _NOT_FOUND:
            self._missing(f"service account {account} does not exist: apply infra/, or name another")
            return
        self._granted(answer, wanted, f"service account {account}", "roles/iam.serviceAccountUser")

    def bucket(self) -> None:
        name = self.profile.bucket.removeprefix("gs://").partition("/")[0]
        url = f"https://storage.googleapis.com/storage/v1/b/{name}"
        answer = self.api.get(url, fields="location")
        if answer.status == _NOT_FOUND:
            self._missing(f"bucket gs://{name} does not exist: apply infra/, or name another")
            return
        if answer.status == _FORBIDDEN:
            self._missing(f"permission storage.buckets.get on gs://{name}")
            return
        if not answer.ok:
            self._unchecked(f"bucket gs://{name}", answer)
            return
        location = str(answer.body["location"]).lower()
        if "-" in location and location != self.profile.region:
            self._missing(f"bucket gs://{name} is in {location}, the jobs in {self.profile.region}")
        wanted = ["storage.objects.create", "storage.objects.get"]
        answer = self.api.get(f"{url}/iam/testPermissions", permissions=wanted)
        self._granted(answer, wanted, f"bucket gs://{name}", "roles/storage.objectUser")

    def key(self) -> None:
        key = self.profile.cmek_key
        if key is None:
            return
        location = key.split("/")[3]
        if location != self.profile.region:
            self._missing(f"cmek_key is in {location}, the jobs in {self.profile.region}")
            return
        answer = self.api.get(f"https://cloudkms.googleapis.com/v1/{key}")
        if answer.status == _NOT_FOUND:
            self._missing(f"cmek_key {key} does not exist")
        elif not answer.ok:
            self._unchecked("cmek_key", answer)
        elif answer.body.get("primary", {}).get("state") != "ENABLED":
            self._missing(f"cmek_key {key} has no enabled version")

    def secrets(self) -> None:
        """Whether they are there; whether the jobs' account may read them, nobody else is told."""
        for variable, name in self.profile.secret_versions.items():
            answer = self.api.get(f"https://secretmanager.googleapis.com/v1/{name}")
            if answer.status == _NOT_FOUND:
                self._missing(f"secret {name} for {variable} does not exist: create it, or name another")
            elif not answer.ok:
                self._unchecked(f"secret {name}", answer)
            elif answer.body.get("state") != "ENABLED":
                state = answer.body.get("state")
                self._missing(f"secret {name} for {variable} is {state}: enable it, or name another version")

    def image(self, image: str) -> None:
        name, _, digest = image.partition("@")
        host, _, path = name.partition("/")
        if not _GOOGLE_REGISTRY.match(host):
            self._missing(f"image {image}: Vertex AI pulls from Artifact Registry: run `make push` to one")
            return
        answer = self.api.head(f"https://{host}/v2/{path}/manifests/{digest}")
        if answer.status == _NOT_FOUND:
            self._missing(f"image {image} is not in its registry: run `make push`")
        elif not answer.ok:
            self._unchecked(f"image {name}", answer)

    def quotas(self, choices: list[int]) -> None:
        """Which choices of accelerators fit into the quota; they are used in turn, so one is enough."""
        short = []
        for index in choices:
            choice = self.profile.pools.accelerator[index]
            needed = choice.count * choice.replicas
            limit = self._limit(choice)
            if limit is None or limit >= needed:
                self.findings.choices.append(index)
            else:
                short.append(f"{metric(choice)} is {limit} in {self.profile.region}, {needed} are needed")
        if short and not self.findings.choices:
            self._missing(
                f"quota: {'; '.join(short)}: ask for more at "
                f"https://console.cloud.google.com/iam-admin/quotas?project={self.profile.project}"
            )
        elif short:
            self.findings.unchecked.append(f"passed over, their quota is too small: {'; '.join(short)}")

    def _limit(self, choice: VertexAccelerator) -> int | None:
        """The limit in the region; -1 stands for none."""
        name = metric(choice)
        answer = self.api.get(
            f"https://serviceusage.googleapis.com/v1beta1/projects/{self.profile.project}/services/"
            f"aiplatform.googleapis.com/consumerQuotaMetrics/{quote(name, safe='')}"
        )
        if not answer.ok:
            self._unchecked(f"quota {name}", answer)
            return None
        limits = list(_limits(answer, self.profile.region))
        return max(limits, default=0) if -1 not in limits else None

    def _granted(self, answer: Answer, wanted: list[str], where: str, role: str) -> None:
        if not answer.ok:
            self._unchecked(f"permissions on {where}", answer)
            return
        lacking = [name for name in wanted if name not in answer.body.get("permissions", [])]
        if lacking:
            self._missing(f"permission {', '.join(lacking)} on {where}: ask for {role}")

    def _missing(self, text: str) -> None:
        self.findings.missing.append(text)

    def _unchecked(self, what: str, answer: Answer) -> None:
        self.findings.unchecked.append(f"{what}: not checked: {answer.status} {answer.message}")


def metric(choice: VertexAccelerator) -> str:
    """The quota that a choice of accelerators counts against; spot and flex-start have one of their own."""
    kind = _METRICS[choice.accelerator or choice.machine_type.rpartition("-")[0]]
    preemptible = "" if choice.scheduling == "standard" else "preemptible_"
    return f"aiplatform.googleapis.com/custom_model_training_{preemptible}{kind}"


def _limits(answer: Answer, region: str) -> Iterator[int]:
    """The limits that hold in a region, or everywhere where the region has none of its own."""
    for limit in answer.body.get("consumerQuotaLimits", []):
        buckets = limit.get("quotaBuckets", [])
        ours = [bucket for bucket in buckets if bucket.get("dimensions", {}).get("region") == region]
        for bucket in ours or [bucket for bucket in buckets if not bucket.get("dimensions")]:
            yield int(bucket["effectiveLimit"])
