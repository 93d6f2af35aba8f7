"""How a request ends that gets no clip."""


class RefusalError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status.
        retry_after: seconds after which to try again, None where that is of no use.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
