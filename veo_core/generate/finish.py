"""The one way out for generated clips: watermark, encode, sign.

Every clip that leaves the stage, the command or the server passes here, so that none is without what all of
them carry.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.generate.identity import ModelIdentity, generation_id_of
from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.media.encode import encode
from veo_core.provenance.claim import GenerationClaim, SoftBinding, definition
from veo_core.provenance.copies import SignedCopy, find_copy, put_copy
from veo_core.provenance.credentials import load_credentials
from veo_core.provenance.read import read_manifest
from veo_core.provenance.sign import sign
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.files import FileRef
from veo_core.records.generated import ClipManifest, ClipMark
from veo_core.storage import Store
from veo_core.watermark.keys import load_keys
from veo_core.watermark.mark import mark
from veo_core.watermark.payload import Payload

Sound = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FinishedClip:
    """An MP4 file as it leaves.

    Attributes:
        data: its bytes.
        mark: the watermark in it, None where it carries none.
        manifest: its C2PA manifest, None where it carries none.
    """

    data: bytes
    mark: ClipMark | None
    manifest: ClipManifest | None


@dataclass(frozen=True)
class StoredClip:
    """A finished clip in a store.

    Attributes:
        clip: as it leaves.
        file: where that lies.
        content: its bytes before signing: equal requests to equal models make them equal everywhere.
    """

    clip: FinishedClip
    file: FileRef
    content: bytes


class Finisher:
    """Turns the films of one model into files.

    Args:
        model: what marks and manifests name.
        watermark: whether picture and sound are marked.
        manifest: whether files are signed.
        environment: names the watermark's keys and the certificate.

    Raises:
        UsageError: the keys or the certificate that the environment names cannot be used.
    """

    def __init__(
        self,
        model: ModelIdentity,
        *,
        watermark: bool = True,
        manifest: bool = True,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._model = model
        self._keys = load_keys(environment) if watermark else ()
        self._credentials = load_credentials(environment) if manifest else None

    def finish(
        self, film: Film, request: Request, *, fps: float, own_sound: Sound | None = None, own_rate: int = 0
    ) -> FinishedClip:
        """A film as an MP4 file with sound.

        Args:
            film: what was generated.
            request: what it was generated from.
            fps: pictures per second.
            own_sound: the given sound of an a2v clip as it was given, float32 [c, l], in place of the film's.
            own_rate: its samples per second.

        Raises:
            UsageError: the pictures are too small for a mark, or the clip cannot be signed.
        """
        return self.signed(self._encoded(film, request, fps, own_sound, own_rate), request)

    def put(self, film: Film, request: Request, store: Store, *, fps: float) -> StoredClip:
        """The same, put into the store; what was signed before is taken from there."""
        content = self._encoded(film, request, fps, None, 0)
        if self._credentials is None:
            return StoredClip(self._described(content, request), store.put_bytes(content, ".mp4"), content)
        digest = sha256_bytes(content)
        manifest = definition(self._claim(request), digest)
        statement = sha256_bytes(canonical_json([manifest, self._credentials.id]))
        before = find_copy(store, digest)
        if before is not None and before.statement == statement and store.has(before.file):
            return StoredClip(self._described(store.get_bytes(before.file), request), before.file, content)
        finished = self.signed(content, request)
        file = store.put_bytes(finished.data, ".mp4")
        put_copy(store, digest, SignedCopy(statement=statement, file=file))
        return StoredClip(finished, file, content)

    def marked(self, film: Film, request: Request) -> Film:
        """The film with the watermark in what was made: of a given video in its sound alone, of a given sound
        in its pictures alone.

        Raises:
            UsageError: the pictures are too small for a mark.
        """
        if not self._keys:
            return film
        payload = Payload(
            model_id=self._model.model_id, generation_id=generation_id_of(request.prompt, request.seed)
        )
        given_sound = request.mode == "a2v"
        sound = None if given_sound else film.audio[None]
        frames, heard = mark(film.frames, sound, film.audio_rate, payload, self._keys)
        if request.mode == "v2a":
            frames = film.frames
        return Film(frames, film.audio if heard is None else heard[0], film.audio_rate)

    def signed(self, data: bytes, request: Request) -> FinishedClip:
        """An encoded MP4 file of a marked film with its manifest.

        Raises:
            UsageError: it cannot be signed, or the certificate is not fit for it.
        """
        if self._credentials is not None:
            data = sign(data, self._claim(request), self._credentials)
        return self._described(data, request)

    def _encoded(
        self, film: Film, request: Request, fps: float, own_sound: Sound | None, own_rate: int
    ) -> bytes:
        film = self.marked(film, request)
        audio, rate = (film.audio[None], film.audio_rate) if own_sound is None else (own_sound, own_rate)
        with tempfile.TemporaryDirectory(prefix="veo-clip-") as folder:
            path = Path(folder) / "clip.mp4"
            encode(path, film.frames, fps=fps, audio=audio, audio_rate=rate)
            return path.read_bytes()

    def _described(self, data: bytes, request: Request) -> FinishedClip:
        return FinishedClip(data, self._mark(request), self._manifest(data))

    def _mark(self, request: Request) -> ClipMark | None:
        if not self._keys:
            return None
        key = self._keys[0]
        return ClipMark(
            model_id=self._model.model_id,
            generation_id=generation_id_of(request.prompt, request.seed),
            key_id=key.id,
            development_key=key.development,
        )

    def _manifest(self, data: bytes) -> ClipManifest | None:
        if self._credentials is None:
            return None
        reading = read_manifest(data)
        if reading.state != "valid":
            problems = ", ".join(reading.problems) or "no manifest is found"
            raise UsageError(f"the signed clip does not pass C2PA's validation: {problems}")
        return ClipManifest(state="valid", issuer=reading.issuer, local=self._credentials.local)

    def _claim(self, request: Request) -> GenerationClaim:
        mark = self._mark(request)
        binding = None
        if mark is not None:
            payload = f"{mark.model_id:04x}{mark.generation_id:08x}"
            binding = SoftBinding(payload=payload, key_id=mark.key_id)
        return GenerationClaim(
            model=self._model.reference,
            model_digest=self._model.digest,
            entry_digest=self._model.entry,
            prompt_sha256=sha256_bytes(request.prompt.encode()),
            seed=request.seed,
            mode=request.mode,
            soft_binding=binding,
        )
