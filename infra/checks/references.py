"""Whether manifests that name each other agree: namespaces, accounts, roles, queues, flavours, secrets."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from infra.checks.kustomize import Manifest
from infra.checks.schema import label

_CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "ResourceFlavor", "ClusterQueue"}
Key = tuple[str, str, str]


def reference_problems(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What the manifests of an overlay name and do not define, a line each."""
    there = Counter(map(_key, manifests))
    for (kind, namespace, name), count in there.items():
        if count > 1:
            yield f"{kind} {name}: defined {count} times in namespace {namespace or '-'}"
    for manifest in manifests:
        for problem in (*_place(manifest, there), *_named(manifest, there), *_content(manifest)):
            yield f"{label(manifest)}: {problem}"


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return str(manifest["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def _place(manifest: Manifest, there: Counter[Key]) -> Iterator[str]:
    kind, namespace, _ = _key(manifest)
    if kind in _CLUSTER_WIDE:
        if namespace:
            yield f"metadata.namespace: {kind} belongs to the cluster, not to a namespace"
    elif not namespace:
        yield "metadata.namespace: missing"
    elif ("Namespace", "", namespace) not in there:
        yield f"metadata.namespace: no Namespace {namespace} is defined"


def _named(manifest: Manifest, there: Counter[Key]) -> Iterator[str]:
    """References to other manifests that lead nowhere."""
    kind, namespace, _ = _key(manifest)
    references: list[Key] = []
    if kind == "RoleBinding":
        role = manifest["roleRef"]
        references.append((role["kind"], namespace if role["kind"] == "Role" else "", role["name"]))
        for subject in manifest.get("subjects", []):
            references.append((subject["kind"], subject.get("namespace", namespace), subject["name"]))
    elif kind == "LocalQueue":
        references.append(("ClusterQueue", "", manifest["spec"]["clusterQueue"]))
    elif kind == "ClusterQueue":
        for group in manifest["spec"]["resourceGroups"]:
            references += [("ResourceFlavor", "", flavor["name"]) for flavor in group["flavors"]]
    for wanted in references:
        if wanted not in there:
            yield f"names {wanted[0]} {wanted[2]}, which is not defined"


def _content(manifest: Manifest) -> Iterator[str]:
    kind = manifest["kind"]
    if kind == "Secret":
        yield "a secret's values belong in no file: refer to it by name, or use an ExternalSecret"
    if kind == "ClusterQueue":
        for group in manifest["spec"]["resourceGroups"]:
            yield from _quotas(group)
    if kind in {"Role", "ClusterRole"}:
        for rule in manifest.get("rules", []):
            if "*" in (*rule.get("verbs", []), *rule.get("resources", []), *rule.get("apiGroups", [])):
                yield "rules: '*' gives more than anybody needs: name the resources and verbs"


def _quotas(group: dict[str, Any]) -> Iterator[str]:
    covered = group["coveredResources"]
    for flavor in group["flavors"]:
        if (names := [resource["name"] for resource in flavor["resources"]]) != covered:
            yield f"flavor {flavor['name']}: has quotas for {names}, not for {covered} in that order"
