"""In which registry a model is published, besides the store's own."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from veo_core.records.base import Record

OWN_LABELS = "veo_"
"""What the names of our own labels begin with."""


def _pinned(image: str) -> str:
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", image):
        raise ValueError(
            "pin the image by its digest, NAME@sha256:...; what a tag means can change after registration"
        )
    return image


def _not_own(key: str) -> str:
    if key.startswith(OWN_LABELS):
        raise ValueError(f"labels that begin with {OWN_LABELS} are set by the stage itself")
    return key


def _not_of_vertex(name: str) -> str:
    if name.startswith("AIP_"):
        raise ValueError("Vertex itself sets what begins with AIP_")
    return name


def _open(name: str) -> str:
    if name.upper().endswith(("KEY", "TOKEN", "SECRET", "PASSWORD")):
        raise ValueError("a registry shows its environment to every reader: name it in serving_secrets")
    return name


_LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$"), AfterValidator(_not_own)]
_LabelValue = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{0,63}$")]
_Variable = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_not_of_vertex)
]
_OpenVariable = Annotated[_Variable, AfterValidator(_open)]
_SecretVersion = Annotated[
    str, StringConstraints(pattern=r"^projects/[^/\s]+/secrets/[A-Za-z0-9_-]+/versions/(latest|[0-9]+)$")
]


class LocalConfig(Record):
    """The store's own registry and no other."""

    kind: Literal["local"] = "local"


class RemoteConfig(Record):
    """What registries behind a network have in common."""

    alias: str = Field(
        default="default",
        pattern=r"^[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]$",
        description="alias that is moved to the newest approved version: letters, digits, hyphens, no dots",
    )
    max_attempts: int = Field(default=6, ge=1, description="tries of one step on 429, 5xx and lost answers")
    max_wait_seconds: float = Field(default=30.0, ge=0, description="longest wait between two tries")


class VertexConfig(RemoteConfig):
    """The Model Registry of Vertex AI, reached with the environment's Application Default Credentials."""

    kind: Literal["vertex"]
    project: str = Field(pattern=r"^[a-z0-9][a-z0-9.:-]*$", description="project's id or number")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$", description="such as us-central1")
    serving_image: Annotated[str, AfterValidator(_pinned)] = Field(
        description="image that serves the model, NAME@sha256:DIGEST"
    )
    serving_output: str = Field(
        default="", description="gs:// prefix that gets the served clips; empty for ROOT/served"
    )
    serving_environment: dict[_OpenVariable, str] = Field(
        default_factory=dict, description="further environment of the serving container, no secrets"
    )
    serving_secrets: dict[_Variable, _SecretVersion] = Field(
        default_factory=dict,
        description="secrets of Secret Manager that the serving container reads, by environment variable",
    )
    labels: dict[_LabelKey, _LabelValue] = Field(default_factory=dict, description="further labels")
    cmek_key: str = Field(default="", description="resource name of the key that encrypts the model")
    endpoint: str = Field(
        default="", description="HOST:PORT of the API; empty for the public one of the region"
    )


class KubeflowConfig(RemoteConfig):
    """The Model Registry of Kubeflow, which is alpha."""

    kind: Literal["kubeflow"]
    endpoint: str = Field(
        pattern=r"^https?://[^/\s]+$", description="as http://model-registry-service.kubeflow:8080"
    )
    token_file: str = Field(
        default="", description="file with a bearer token, such as a mounted service account's; read anew"
    )


RegistryConfig = Annotated[LocalConfig | VertexConfig | KubeflowConfig, Field(discriminator="kind")]
