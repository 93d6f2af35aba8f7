"""The codecs by kind: opened from a folder that a recipe names, or loaded from a stage's files.

Every codec is stored alike, as `weights` and `config` in the store; a config that names no `kind` is one of
our own autoencoders.
"""

import json
from typing import Literal, Self

from pydantic import Field, model_validator

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codec import SoundAutoencoder, VideoCodec
from veo_core.models.files import load_stored, stored_bytes
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.models.video_vae import VideoVAE
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.storage import Store


class VideoCodecConfig(Record):
    """Which autoencoder of pictures a recipe uses."""

    kind: Literal["own", "wan", "ltx2"] = "own"
    path: str = Field(default="", description="folder or URI of weights in diffusers' layout; none for own")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_path(self.kind, self.path)
        return self


class AudioCodecConfig(Record):
    """Which autoencoder of sound a recipe uses."""

    kind: Literal["own", "ltx2", "oobleck"] = "own"
    path: str = Field(default="", description="folder or URI of weights in diffusers' layout; none for own")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_path(self.kind, self.path)
        return self


def _check_path(kind: str, path: str) -> None:
    if kind == "own" and path:
        raise ValueError("kind own is trained by the pipeline and takes no path")
    if kind != "own" and not path:
        raise ValueError(f"kind {kind} needs path, the folder of its weights")


def open_video_codec(config: VideoCodecConfig) -> VideoCodec:
    """The codec of others that a recipe names.

    Raises:
        UsageError: its folder holds no such weights, or the recipe names our own.
    """
    if config.kind == "wan":
        from veo_core.models.wan import WanCodec

        return WanCodec.open(config.path)
    if config.kind == "ltx2":
        from veo_core.models.ltx2 import LTX2VideoCodec

        return LTX2VideoCodec.open(config.path)
    raise UsageError("codec: kind own is loaded from the stage that trained it, not from a folder")


def open_audio_codec(config: AudioCodecConfig, clip: ClipSpec) -> AudioCodec:
    """The codec of others that a recipe names, for clips of this length and rate.

    Raises:
        UsageError: its folder holds no such weights, the clip does not fit, or the recipe names our own.
    """
    if config.kind == "ltx2":
        from veo_core.models.ltx2 import LTX2Sound

        return AudioCodec(LTX2Sound.open(config.path), clip).eval()
    if config.kind == "oobleck":
        from veo_core.models.oobleck import OobleckSound

        return AudioCodec(OobleckSound.open(config.path), clip).eval()
    raise UsageError("codec: kind own is loaded from the stage that trained it, not from a folder")


def load_video_codec(files: dict[str, FileRef], store: Store, *, where: str = "video codec") -> VideoCodec:
    """The codec that a stage stored as `weights` and `config`.

    Raises:
        UsageError: a file is missing, damaged, or belongs to another configuration.
    """
    kind = stored_kind(files, store, where)
    if kind == "own":
        return load_stored(VideoVAE, files, store, where=where)
    if kind == "wan":
        from veo_core.models.wan import WanCodec

        return load_stored(WanCodec, files, store, where=where)
    if kind == "ltx2":
        from veo_core.models.ltx2 import LTX2VideoCodec

        return load_stored(LTX2VideoCodec, files, store, where=where)
    raise UsageError(f"{where} config: unknown kind {kind!r} of video codec; known: own, wan, ltx2")


def load_audio_codec(
    files: dict[str, FileRef], store: Store, clip: ClipSpec, *, where: str = "audio codec"
) -> AudioCodec:
    """The codec that a stage stored as `weights` and `config`, for clips of this length and rate.

    Raises:
        UsageError: a file is missing, damaged, or belongs to another configuration, or the clip does not fit.
    """
    kind = stored_kind(files, store, where)
    autoencoder: SoundAutoencoder
    if kind == "own":
        autoencoder = MelAutoencoder(load_stored(AudioVAE, files, store, where=where), clip)
    elif kind == "ltx2":
        from veo_core.models.ltx2 import LTX2Sound

        autoencoder = load_stored(LTX2Sound, files, store, where=where)
    elif kind == "oobleck":
        from veo_core.models.oobleck import OobleckSound

        autoencoder = load_stored(OobleckSound, files, store, where=where)
    else:
        raise UsageError(f"{where} config: unknown kind {kind!r} of audio codec; known: own, ltx2, oobleck")
    return AudioCodec(autoencoder, clip).eval()


def stored_kind(files: dict[str, FileRef], store: Store, where: str) -> str:
    """The kind that a stored codec's configuration names."""
    try:
        config = json.loads(stored_bytes("config", files, store, where=where))
    except ValueError as error:
        raise UsageError(f"{where} config: not valid JSON: {error}") from None
    return str(config.get("kind", "own")) if isinstance(config, dict) else "own"


def codec_files(video: dict[str, FileRef], audio: dict[str, FileRef]) -> dict[str, FileRef]:
    """The files of two stored codecs under names that keep them apart, for a stage that hands both on."""
    parts = {"video_codec": video, "audio_codec": audio}
    return {f"{name}_{kind}": files[kind] for name, files in parts.items() for kind in ("weights", "config")}


def load_codecs(files: dict[str, FileRef], store: Store, clip: ClipSpec) -> tuple[VideoCodec, AudioCodec]:
    """The codecs that a stage handed on (`codec_files`).

    Raises:
        UsageError: a file is missing, damaged, or belongs to another configuration.
    """

    def part(name: str) -> dict[str, FileRef]:
        return {kind: files[f"{name}_{kind}"] for kind in ("weights", "config") if f"{name}_{kind}" in files}

    return load_video_codec(part("video_codec"), store), load_audio_codec(part("audio_codec"), store, clip)
