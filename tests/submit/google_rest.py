"""Google's REST services as far as the checks before a submission ask them."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import google_crc32c
import http_service
from google_network import Certified
from http_service import HttpError, Request
from pipeline_service import NUMBER, PROJECT, REGION

ACCESS_TOKEN = "ya29.a-token-of-the-tests"


@dataclass
class GoogleRest:
    """The state of a project, and what answers for it.

    Attributes:
        services: APIs that are enabled.
        denied: permissions that the caller lacks.
        buckets: locations by name.
        images: digests that were pushed.
        quotas: limits in the region by metric, without "aiplatform.googleapis.com/".
        key_state: state of the key's primary version; none for a key that does not exist.
        secrets: contents by full name of their version.
        disabled: names of versions that are switched off.
        busy: how many more accesses of secrets are answered with 503.
        damaged: whether contents of secrets arrive with other bytes than they were sent.
        revoked: whether the caller's own key is refused.
        port: where it listens.
    """

    services: set[str] = field(
        default_factory=lambda: {
            "aiplatform",
            "storage",
            "artifactregistry",
            "cloudkms",
            "secretmanager",
            "serviceusage",
        }
    )
    denied: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=lambda: {f"veo-pipeline@{PROJECT}.iam.gserviceaccount.com"})
    buckets: dict[str, str] = field(default_factory=lambda: {"veo-bucket": REGION.upper()})
    images: set[str] = field(default_factory=set)
    quotas: dict[str, int] = field(default_factory=dict)
    key_state: str | None = "ENABLED"
    secrets: dict[str, bytes] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    busy: int = 0
    damaged: bool = False
    revoked: bool = False
    port: int = 0

    def answer(self, request: Request) -> Any:
        signed = request.headers.get("Authorization") == f"Bearer {ACCESS_TOKEN}"
        if not signed and request.host != "oauth2.googleapis.com":
            raise _error(401, "UNAUTHENTICATED", "Request is missing required credentials.")
        asked = f"{request.method} {request.host}{request.path}"
        for route, answer in _ROUTES.items():
            if match := re.fullmatch(route, asked):
                return answer(self, match, request)
        raise _error(404, "NOT_FOUND", f"no such method: {asked}")

    def token(self, match: re.Match[str], request: Request) -> Any:
        if self.revoked:
            raise HttpError(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        return {"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"}

    def batch_get(self, match: re.Match[str], request: Request) -> Any:
        self._permit("serviceusage.services.get")
        names = [value for key, value in request.query if key == "names"]
        enabled = {name for name in names if name.rsplit("/", 1)[-1].split(".")[0] in self.services}
        return {
            "services": [
                {"name": name, "state": "ENABLED" if name in enabled else "DISABLED"} for name in names
            ]
        }

    def quota(self, match: re.Match[str], request: Request) -> Any:
        self._permit("serviceusage.quotas.get")
        metric = unquote(match["metric"])
        limit = self.quotas.get(metric.removeprefix("aiplatform.googleapis.com/"))
        if limit is None:
            raise _error(404, "NOT_FOUND", f"no metric {metric}")
        buckets = [
            {"effectiveLimit": "0", "defaultLimit": "0"},
            {"effectiveLimit": str(limit), "dimensions": {"region": REGION}},
        ]
        return {
            "metric": metric,
            "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": buckets}],
        }

    def test_permissions(self, match: re.Match[str], request: Request) -> Any:
        account = match.groupdict().get("account")
        if account is not None and account not in self.accounts:
            raise _error(404, "NOT_FOUND", f"Unknown service account: {account}")
        body = json.loads(request.body) if request.body else {}
        asked = body.get("permissions") or [value for key, value in request.query if key == "permissions"]
        return {"permissions": [permission for permission in asked if permission not in self.denied]}

    def bucket(self, match: re.Match[str], request: Request) -> Any:
        location = self.buckets.get(match["bucket"])
        if location is None:
            raise _error(404, "notFound", "The specified bucket does not exist.")
        self._permit("storage.buckets.get")
        return {"name": match["bucket"], "location": location, "projectNumber": NUMBER}

    def manifest(self, match: re.Match[str], request: Request) -> Any:
        self._permit("artifactregistry.repositories.downloadArtifacts")
        if match["digest"] not in self.images:
            raise _error(404, "MANIFEST_UNKNOWN", "no such manifest")
        return {}

    def key(self, match: re.Match[str], request: Request) -> Any:
        if self.key_state is None:
            raise _error(404, "NOT_FOUND", f"CryptoKey {match['key']} not found.")
        return {"purpose": "ENCRYPT_DECRYPT", "primary": {"state": self.key_state}}

    def secret_version(self, match: re.Match[str], request: Request) -> Any:
        name = match["version"]
        if name not in self.secrets:
            raise _error(404, "NOT_FOUND", f"Secret Version [{name}] not found.")
        return {"name": name, "state": "DISABLED" if name in self.disabled else "ENABLED"}

    def access(self, match: re.Match[str], request: Request) -> Any:
        if self.busy:
            self.busy -= 1
            raise _error(503, "UNAVAILABLE", "The service is currently unavailable.")
        found = self.secret_version(match, request)
        self._permit("secretmanager.versions.access")
        data = self.secrets[found["name"]]
        checksum = str(google_crc32c.value(data))
        data = b"\xff" + data if self.damaged else data
        return {"name": found["name"], "payload": {"data": b64encode(data).decode(), "dataCrc32c": checksum}}

    def _permit(self, permission: str) -> None:
        if permission in self.denied:
            raise _error(403, "PERMISSION_DENIED", f"Permission {permission} denied on the project.")


def _error(code: int, status: str, message: str) -> HttpError:
    return HttpError(code, {"error": {"code": code, "status": status, "message": message}})


_PROJECT = f"projects/{PROJECT}"
_ROUTES: dict[str, Callable[[GoogleRest, re.Match[str], Request], Any]] = {
    r"POST oauth2\.googleapis\.com/token": GoogleRest.token,
    rf"GET serviceusage\.googleapis\.com/v1/{_PROJECT}/services:batchGet": GoogleRest.batch_get,
    rf"GET serviceusage\.googleapis\.com/v1beta1/{_PROJECT}/services/aiplatform\.googleapis\.com/"
    r"consumerQuotaMetrics/(?P<metric>[^/]+)": GoogleRest.quota,
    rf"POST cloudresourcemanager\.googleapis\.com/v1/{_PROJECT}:testIamPermissions": (
        GoogleRest.test_permissions
    ),
    r"POST iam\.googleapis\.com/v1/projects/-/serviceAccounts/(?P<account>[^/:]+):testIamPermissions": (
        GoogleRest.test_permissions
    ),
    r"GET storage\.googleapis\.com/storage/v1/b/(?P<bucket>[^/]+)": GoogleRest.bucket,
    r"GET storage\.googleapis\.com/storage/v1/b/(?P<bucket>[^/]+)/iam/testPermissions": (
        GoogleRest.test_permissions
    ),
    r"HEAD [a-z0-9-]+\.pkg\.dev/v2/.+/manifests/(?P<digest>sha256:[0-9a-f]{64})": GoogleRest.manifest,
    r"GET secretmanager\.googleapis\.com/v1/(?P<version>[^:]+)": GoogleRest.secret_version,
    r"GET secretmanager\.googleapis\.com/v1/(?P<version>[^:]+):access": GoogleRest.access,
    r"GET cloudkms\.googleapis\.com/v1/(?P<key>.+/cryptoKeys/[^/]+)": GoogleRest.key,
}


@contextmanager
def serving(rest: GoogleRest, certified: Certified) -> Iterator[GoogleRest]:
    """The services listen, with TLS, while the block lasts."""
    with http_service.serving(rest.answer, certified.server_context()) as rest.port:
        yield rest
