"""Google's REST APIs and the credentials for them, with errors as single lines."""

from dataclasses import dataclass
from os import environ
from typing import Any

import google.auth
import google.auth.credentials
import google.auth.exceptions
import requests
from google.auth.environment_vars import CREDENTIALS
from google.auth.transport.requests import AuthorizedSession

from pipelines.submit.errors import RemoteError, one_line
from veo_core.errors import UsageError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_SECONDS = 30
_BAD_REQUEST = 400


def credentials() -> google.auth.credentials.Credentials:
    """The application default credentials.

    Raises:
        UsageError: there are none.
    """
    try:
        found, _ = google.auth.default(scopes=[_SCOPE])
    except google.auth.exceptions.DefaultCredentialsError as error:
        if CREDENTIALS in environ:
            raise UsageError(f"{CREDENTIALS}: {one_line(error)}") from None
        raise UsageError(
            "no Google Cloud credentials: run `gcloud auth application-default login`, or set "
            f"{CREDENTIALS} to the file of a key"
        ) from None
    return found


@dataclass(frozen=True)
class Answer:
    """An API's answer: the JSON of a success, or the status and message of an error."""

    status: int
    body: Any
    message: str = ""

    @property
    def ok(self) -> bool:
        return self.status < _BAD_REQUEST


class GoogleApi:
    """Calls of Google's REST APIs in the name of the credentials."""

    def __init__(self, caller: google.auth.credentials.Credentials) -> None:
        self._session: requests.Session = AuthorizedSession(caller)  # type: ignore[no-untyped-call]

    def get(self, url: str, **query: Any) -> Answer:
        return self._call("GET", url, params=query)

    def head(self, url: str) -> Answer:
        return self._call("HEAD", url)

    def post(self, url: str, body: Any) -> Answer:
        return self._call("POST", url, json=body)

    def _call(self, method: str, url: str, **arguments: Any) -> Answer:
        """
        Raises:
            UsageError: the credentials are refused.
            RemoteError: nobody answers.
        """
        try:
            response = self._session.request(method, url, timeout=_TIMEOUT_SECONDS, **arguments)
        except google.auth.exceptions.RefreshError as error:
            raise UsageError(
                f"the Google Cloud credentials are refused: {_description(error)}; run "
                "`gcloud auth application-default login`"
            ) from None
        except (requests.RequestException, google.auth.exceptions.TransportError) as error:
            raise RemoteError(f"{url.split('/')[2]} cannot be reached: {one_line(error)}") from None
        try:
            body = response.json()
        except requests.exceptions.JSONDecodeError:
            body = {}
        if response.ok:
            return Answer(response.status_code, body)
        told = body.get("error") if isinstance(body, dict) else None
        message = told.get("message", "") if isinstance(told, dict) else ""
        return Answer(response.status_code, body, message or response.reason or "")


def _description(error: google.auth.exceptions.RefreshError) -> str:
    """The server's own words; the rest of the exception repeats its whole answer."""
    return one_line(error.args[0]) if error.args else "no reason given"
