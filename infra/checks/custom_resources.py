"""The custom resources that the manifests use, as their operators define them: Kueue and External Secrets.

Only fields that the manifests may use are here; any other is refused as unknown.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from veo_core.records.base import Record

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|[KMGTP]i?)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class _Object(Record):
    model_config = ConfigDict(alias_generator=to_camel)


class ResourceFlavorSpec(_Object):
    """Nodes of one kind; at most 8 labels."""

    node_labels: dict[str, str] = Field(default_factory=dict, max_length=8)
    node_taints: list[dict[str, str]] = Field(default_factory=list, max_length=8)
    tolerations: list[dict[str, str]] = Field(default_factory=list, max_length=8)
    topology_name: Name | None = None


class ResourceQuota(_Object):
    name: str
    nominal_quota: Quantity
    borrowing_limit: Quantity | None = None
    lending_limit: Quantity | None = None


class FlavorQuotas(_Object):
    name: Name
    resources: list[ResourceQuota] = Field(min_length=1, max_length=16)


class ResourceGroup(_Object):
    covered_resources: list[str] = Field(min_length=1, max_length=16)
    flavors: list[FlavorQuotas] = Field(min_length=1, max_length=16)


class Preemption(_Object):
    within_cluster_queue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"] = "Never"
    reclaim_within_cohort: Literal["Never", "LowerPriority", "Any"] = "Never"


class LabelSelector(_Object):
    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: list[dict[str, Any]] = Field(default_factory=list)


class ClusterQueueSpec(_Object):
    resource_groups: list[ResourceGroup] = Field(min_length=1, max_length=16)
    namespace_selector: LabelSelector
    queueing_strategy: Literal["StrictFIFO", "BestEffortFIFO"] = "BestEffortFIFO"
    cohort: Name | None = None
    preemption: Preemption = Preemption()


class LocalQueueSpec(_Object):
    cluster_queue: Name


class StoreReference(_Object):
    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: Name


class SecretTarget(_Object):
    name: Name
    creation_policy: Literal["Owner", "Orphan", "Merge", "None"] = "Owner"


class RemoteReference(_Object):
    key: str
    property: str | None = None
    version: str | None = None


class SecretData(_Object):
    secret_key: str
    remote_ref: RemoteReference


class ExternalSecretSpec(_Object):
    refresh_interval: str = "1h"
    secret_store_ref: StoreReference
    target: SecretTarget
    data: list[SecretData] = Field(min_length=1)


SPECS: dict[tuple[str, str], type[Record]] = {
    ("kueue.x-k8s.io/v1beta1", "ResourceFlavor"): ResourceFlavorSpec,
    ("kueue.x-k8s.io/v1beta1", "ClusterQueue"): ClusterQueueSpec,
    ("kueue.x-k8s.io/v1beta1", "LocalQueue"): LocalQueueSpec,
    ("external-secrets.io/v1", "ExternalSecret"): ExternalSecretSpec,
}
