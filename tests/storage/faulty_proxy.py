"""An HTTP proxy that loses a share of what passes, as services of object storage do on a bad day:

    python faulty_proxy.py BACKEND_URL PORT SHARE

A third of the faults is an answer of 503, a third a connection reset before the request reaches the back end,
and a third one after it did, so that its answer is lost. Faults come in a fixed order. `GET /faults` tells
how many there were, and of how many requests.
"""

import random
import sys

from aiohttp import ClientSession, web

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding"}


class Proxy:
    def __init__(self, backend: str, share: float) -> None:
        self.backend, self.share = backend, share
        self.random = random.Random(0)
        self.requests = self.faults = 0

    async def session(self, _: web.Application):
        self.client = ClientSession(auto_decompress=False)
        yield
        await self.client.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/faults":
            return web.json_response({"faults": self.faults, "requests": self.requests})
        body = await request.read()
        self.requests += 1
        fault = None
        if self.random.random() < self.share:
            self.faults += 1
            fault = self.random.choice(["unavailable", "before", "after"])
        if fault == "unavailable":
            return web.Response(status=503, text="try again")
        if fault == "before":
            return self._reset(request)
        async with self.client.request(
            request.method,
            self.backend + request.raw_path,
            headers=request.headers,
            data=body,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        if fault == "after":
            return self._reset(request)
        headers = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP]
        return web.Response(status=answer.status, headers=headers, body=content)

    def _reset(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def main() -> None:
    proxy = Proxy(sys.argv[1], float(sys.argv[3]))
    app = web.Application(client_max_size=1 << 30)
    app.cleanup_ctx.append(proxy.session)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None)


if __name__ == "__main__":
    main()
