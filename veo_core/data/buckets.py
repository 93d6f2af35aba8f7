"""The shape that each bucket's clips are trained at."""

from collections.abc import Iterable

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.records.dataset import Bucket

_PATCH = 2


def bucket_specs(buckets: Iterable[str], main: ClipSpec) -> dict[str, ClipSpec | None]:
    """The clip of each bucket, in the scale that brings the first bucket to `main`.

    Sides and time shrink by the same factors as those of the first bucket, and are cut to what the codecs
    take. None where nothing that they take is left.

    Args:
        buckets: names of a dataset's buckets, such as "64x64x17"; the first is the one that `main` is of.
        main: with the codecs' factors.
    """
    names = list(buckets)
    shapes = [_shape(name) for name in names]
    return {names[0]: main} | {
        name: _scaled(shape, shapes[0], main) for name, shape in zip(names[1:], shapes[1:], strict=True)
    }


def _shape(name: str) -> Bucket:
    width, height, frames = map(int, name.split("x"))
    return Bucket(width=width, height=height, frames=frames)


def _scaled(bucket: Bucket, first: Bucket, main: ClipSpec) -> ClipSpec | None:
    cell = main.upscale * main.video.space * _PATCH
    width = bucket.width * main.width // first.width // cell * cell
    height = bucket.height * main.height // first.height // cell * cell
    time = main.video.time
    groups = (bucket.frames - 1) * (main.frames - 1) // max(1, first.frames - 1) // time
    if not width or not height:
        return None
    for count in range(groups, -1, -1):
        shape = {"width": width, "height": height, "frames": 1 + time * count}
        try:
            spec = ClipSpec.model_validate(main.model_dump() | shape)
            if spec.audio_latents:
                return spec
        except (ValueError, UsageError):
            continue
    return None
