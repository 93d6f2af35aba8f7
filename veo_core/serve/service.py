"""From the body of a request to clips: read, filter, wait for the model, publish."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from veo_core.errors import UsageError
from veo_core.generate.finish import Finisher
from veo_core.generate.given import Picture, read_image
from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.records.drawing import SamplerConfig
from veo_core.serve.batcher import Batcher
from veo_core.serve.metrics import Metrics
from veo_core.serve.model import ServedModel
from veo_core.serve.prompt_filter import PromptFilter
from veo_core.serve.publish import publish
from veo_core.serve.refusal import RefusalError
from veo_core.serve.settings import Settings, check_steps
from veo_core.serve.wire import Base64, Instance, Parameters, Prediction, parse
from veo_core.storage import Store

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Service:
    """A loaded model that takes requests.

    Args:
        thread: of one thread, where the model runs.
        prompt_filter: None makes clips of any prompt.

    Raises:
        UsageError: the keys of watermark or certificate cannot be used, or the model's own sampler takes more
            steps than the limits allow.
    """

    def __init__(
        self,
        model: ServedModel,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        thread: Executor,
        prompt_filter: PromptFilter | None,
    ) -> None:
        self.model = model
        usual = model.generator.drawing.sampler
        self.sampler = SamplerConfig.parse(usual.model_dump() | settings.sampler, where="sampler")
        check_steps(self.sampler.steps, settings.limits)
        self._settings, self._store, self._metrics, self._filter = settings, store, metrics, prompt_filter
        self._finisher = Finisher(
            model.generator.identity, watermark=settings.watermark, manifest=settings.manifest
        )
        limits = settings.limits
        self.batcher = Batcher(
            self._draw,
            thread,
            metrics,
            batch=settings.batch,
            depth=limits.queue,
            patience=limits.deadline,
        )

    async def warm_up(self) -> None:
        """Make a batch of what a request asks for that names nothing but a prompt."""
        await self.batcher.warm_up(Request("", sampler=self.sampler))

    async def predict(self, body: bytes) -> list[Prediction]:
        """The clips that a body asks for.

        Raises:
            RefusalError: the request is wrong, unsafe, or comes at a bad time.
        """
        parameters, asked = await asyncio.to_thread(self._read, body)
        requests = [request for request, _ in asked]
        self.batcher.check_room(len(requests))
        if self._filter is not None:
            await self._filter.check(requests)
        films = await self.batcher.films(requests)
        return await asyncio.gather(
            *(
                asyncio.to_thread(self._publish, film, request, notes, parameters.inline)
                for film, (request, notes) in zip(films, asked, strict=True)
            )
        )

    def _read(self, body: bytes) -> tuple[Parameters, list[tuple[Request, list[str]]]]:
        """The parameters of a request, and its clips with what the user should know about them."""
        try:
            parsed = parse(body)
        except UsageError as error:
            raise RefusalError(400, str(error)) from None
        parameters, limits = parsed.parameters, self._settings.limits
        if len(parsed.instances) > limits.instances:
            raise RefusalError(
                400,
                f"instances: {len(parsed.instances)} in one request, at most {limits.instances} are allowed",
            )
        if parameters.steps is not None and parameters.steps > limits.steps:
            raise RefusalError(
                400, f"parameters.steps: {parameters.steps}, at most {limits.steps} are allowed"
            )
        if parameters.inline and not self._settings.inline:
            raise RefusalError(
                400, "parameters.inline: this platform limits responses; read the clip at its URI instead"
            )
        sampler = self._sampler(parameters)
        asked = []
        for number, instance in enumerate(parsed.instances):
            seed = parameters.seed + number if instance.seed is None else instance.seed
            try:
                asked.append(self._request(instance, seed, sampler))
            except UsageError as error:
                raise RefusalError(400, f"instances.{number}: {error}") from None
        return parameters, asked

    def _sampler(self, parameters: Parameters) -> SamplerConfig:
        changes: dict[str, float] = {}
        if parameters.steps is not None:
            changes["steps"] = parameters.steps
        if parameters.guidance is not None:
            changes |= {"video_guidance": parameters.guidance, "audio_guidance": parameters.guidance}
        return self.sampler.model_copy(update=changes)

    def _request(self, instance: Instance, seed: int, sampler: SamplerConfig) -> tuple[Request, list[str]]:
        generator, prompt = self.model.generator, instance.prompt.strip()
        if not prompt and instance.image is None:
            raise UsageError("nothing to make: give a prompt, an image, or both")
        notes, image = [], None
        if instance.image is not None:
            image, note = self._image(instance.image)
            notes.append(note)
        request = Request(prompt, seed=seed, sampler=sampler, image=image)
        generator.check(request)
        unknown = generator.prompts.unknown_words(prompt)
        if unknown:
            notes.append(f"words that the model was not trained on: {', '.join(unknown)}")
        return request, [note for note in notes if note]

    def _image(self, given: Base64) -> tuple[Picture, str]:
        try:
            data = given.decoded()
        except UsageError as error:
            raise UsageError(f"image.b64: {error}") from None
        if not data.startswith(_IMAGES):
            raise UsageError("image: not a PNG or JPEG file")
        return read_image(data, self.model.generator.clip.height, self.model.generator.clip.width)

    def _draw(self, requests: Sequence[Request]) -> list[Film]:
        """One batch in the model's thread."""
        films = dict(self.model.generator.films(requests, batch=len(requests)))
        return [films[number] for number in range(len(requests))]

    def _publish(self, film: Film, request: Request, notes: list[str], inline: bool) -> Prediction:
        clip, sampler = self.model.generator.clip, request.sampler
        media = publish(film, request, clip.fps, self._finisher, self._store)
        self._metrics.clips.labels(request.mode).inc()
        frames, height, width, _ = film.frames.shape
        return Prediction(
            uri=media.uri,
            sha256=media.ref.sha256,
            bytes=media.ref.bytes,
            prompt=request.prompt,
            mode=request.mode,
            seed=request.seed,
            steps=sampler.steps,
            guidance=sampler.video_guidance,
            width=width,
            height=height,
            fps=clip.fps,
            frames=frames,
            seconds=(frames - 1) / clip.fps,
            audio_rate=film.audio_rate,
            notes=notes,
            mark=media.clip.mark,
            manifest=media.clip.manifest,
            video=Base64.of(media.clip.data) if inline else None,
        )
