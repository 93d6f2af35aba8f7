"""The routes: predict, health, metrics, clips, the page; and the life of the model behind them."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from veo_core.judges.config import JudgeConfig
from veo_core.serve.exchange import Counted, defect, http_error, in_time, read_json_body, refused
from veo_core.serve.metrics import CONTENT_TYPE, Metrics
from veo_core.serve.model import load_model
from veo_core.serve.page import page
from veo_core.serve.prompt_filter import PromptFilter
from veo_core.serve.publish import published
from veo_core.serve.refusal import RefusalError
from veo_core.serve.service import Service
from veo_core.serve.settings import Settings
from veo_core.storage import Store

_LOADING = 5  # seconds after which to ask a server again that loads its model


class Application:
    """A server's state, and what it answers.

    Attributes:
        problem: why the model cannot be served; None while all is well.

    Raises:
        UsageError: the output store cannot be written, or the judge may not be asked.
    """

    def __init__(self, settings: Settings, judge: JudgeConfig | None, stop: Callable[[], None]) -> None:
        self.problem: Exception | None = None
        self._settings, self._stop = settings, stop
        self._store = Store(settings.output)
        self._metrics = Metrics()
        self._filter = None if judge is None else PromptFilter(settings.prompt_filter, judge, self._metrics)
        self._page, self._page_headers = page()
        self._service: Service | None = None
        self._admitted = 0

    def asgi(self) -> ASGIApp:
        """The application as a server runs it."""
        app = Starlette(
            routes=[
                Route(self._settings.health_route, self.health),
                Route(self._settings.predict_route, self.predict, methods=["POST"]),
                Route("/v1/models/{name}:predict", self.predict, methods=["POST"]),
                Route("/v1/models/{name}", self.health),
                Route("/info", self.info),
                Route("/metrics", self.metrics),
                Route("/clips/{name}", self.clip),
                Route("/", self.page),
            ],
            lifespan=self._lifespan,
            exception_handlers={HTTPException: http_error, RefusalError: refused, Exception: defect},
        )
        return Counted(app, self._metrics)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        # One thread loads and draws: Torch keeps settings by thread, as that denormal numbers are flushed.
        with ThreadPoolExecutor(1, thread_name_prefix="model") as thread:
            work = asyncio.create_task(self._work(thread))
            yield
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if self._filter is not None:
            await self._filter.close()

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        """Load the model while the server says that it is not ready yet, then make clips."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(thread, load_model, settings.model, settings.root)
            service = Service(model, settings, self._store, self._metrics, thread, self._filter)
            await service.warm_up()
        except Exception as error:
            self.problem = error
            self._stop()
            return
        self._service = service
        print(f"serving {model.name}", flush=True)
        await service.batcher.run()

    @property
    def _ready(self) -> Service:
        if self._service is None:
            raise RefusalError(503, "the model is being loaded", _LOADING)
        return self._service

    async def predict(self, request: Request) -> Response:
        """Clips for instances."""
        service, limits = self._ready, self._settings.limits
        loop = asyncio.get_running_loop()
        end = loop.time() + limits.deadline
        with self._admission(service):
            try:
                async with asyncio.timeout_at(end):
                    body = await read_json_body(request, limits.body_bytes)
            except TimeoutError:
                raise RefusalError(408, f"the body took more than {limits.deadline:g} s to come") from None
            late = RefusalError(504, f"no clip within {limits.deadline:g} s")
            predictions = await in_time(request, service.predict(body), seconds=end - loop.time(), late=late)
        return JSONResponse({"predictions": [prediction.to_json() for prediction in predictions]})

    @contextlib.contextmanager
    def _admission(self, service: Service) -> Iterator[None]:
        """A place for a request, so that bodies and clips of few are in memory at one time."""
        service.batcher.check_room(1)
        if self._admitted >= self._settings.limits.queue + self._settings.batch:
            raise service.batcher.full()
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def health(self, request: Request) -> Response:
        """200 once the model has made a first batch; 503 before, and when the model fails again and again."""
        ready = self._service is not None and not self._service.batcher.is_sick
        name = request.path_params.get("name", self._settings.model)
        return JSONResponse({"name": name, "ready": ready}, 200 if ready else 503)

    async def info(self, request: Request) -> Response:
        """What the page tells of the model and its limits."""
        service, settings = self._ready, self._settings
        clip = service.model.generator.clip
        return JSONResponse(
            {
                "model": service.model.name,
                "predict": settings.predict_route,
                "width": clip.width,
                "height": clip.height,
                "fps": clip.fps,
                "seconds": clip.seconds,
                "steps": service.sampler.steps,
                "max_steps": settings.limits.steps,
                "guidance": service.sampler.video_guidance,
                "max_body_bytes": settings.limits.body_bytes,
                "filtered": self._filter is not None,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def clip(self, request: Request) -> Response:
        """A clip that this server, or another one with the same output store, published."""
        name = re.fullmatch(r"([0-9a-f]{64})\.mp4", request.path_params["name"])
        data = await asyncio.to_thread(published, name[1], self._store) if name else None
        if data is None:
            raise RefusalError(404, "there is no such clip")
        forever = {
            "Cache-Control": "private, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(data, media_type="video/mp4", headers=forever)

    async def page(self, request: Request) -> Response:
        """The page to try prompts."""
        return Response(self._page, media_type="text/html", headers=self._page_headers)
