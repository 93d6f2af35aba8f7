"""What errors of Vertex AI mean: whether they pass, whether machines ran out, and a line for people."""

import re

from google.api_core import exceptions

from pipelines.submit.errors import RemoteError, one_line
from pipelines.submit.progress import Look
from pipelines.targets.profile import VertexProfile
from veo_core.errors import UsageError

_PASSING = (
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
)
_NO_CAPACITY = re.compile(
    r"resources are insufficient|not have enough resources|RESOURCE_POOL_EXHAUSTED|stock-?out"
    r"|no more capacity",
    re.IGNORECASE,
)
_METRIC = re.compile(r"[a-z]+\.googleapis\.com/[a-z]+_[a-z0-9_]+")
_PERMISSION = re.compile(r"[a-z]+(?:\.[A-Za-z]+){2}")


def lacks_capacity(last: Look) -> bool:
    """Whether a run failed because the machines that it asked for were not to be had."""
    return last.end == "failed" and any(
        _NO_CAPACITY.search(message) for message in (last.error, *last.failed.values())
    )


def passes(error: Exception) -> bool:
    """Whether a call is worth repeating; a quota of machines that is used up does not pass in minutes."""
    cause = _cause(error)
    return isinstance(cause, _PASSING) and not _used_up(cause)


def told(error: Exception, profile: VertexProfile) -> UsageError | RemoteError:
    """The error for the person who submits, in one line."""
    cause = _cause(error)
    where = f"Vertex AI in {profile.region}"
    text = one_line(getattr(cause, "message", cause))
    match cause:
        case exceptions.Forbidden():
            permission = _PERMISSION.search(text)
            what = permission[0] if permission else text
            return UsageError(f"{where}: permission {what} is denied: ask for roles/aiplatform.user")
        case exceptions.Unauthorized():
            return UsageError(f"{where}: the credentials are refused: {text}")
        case exceptions.TooManyRequests() if metrics := _used_up(cause):
            return UsageError(
                f"{where}: quota {', '.join(metrics)} is used up: wait for other jobs, ask for more at "
                f"https://console.cloud.google.com/iam-admin/quotas?project={profile.project}, or name other "
                "accelerators in the profile"
            )
        case exceptions.TooManyRequests():
            return RemoteError(f"{where}: too many requests, also after waiting: {text}; submit again later")
        case exceptions.ClientError():
            return UsageError(f"{where} refuses the job: {text}")
        case exceptions.ServerError():
            return RemoteError(f"{where} is not available: {cause.code} {text}; submit again later")
    return RemoteError(f"{where}: {text}")


def _cause(error: Exception) -> Exception:
    """The API's error inside of what the SDK makes of it."""
    return error.__cause__ if isinstance(error.__cause__, exceptions.GoogleAPICallError) else error


def _used_up(error: Exception) -> list[str]:
    """The quotas of machines that an error names."""
    return _METRIC.findall(str(error)) if isinstance(error, exceptions.TooManyRequests) else []
