"""Commands in containers of a local Docker engine, one `docker run` a command."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.runner.execution import Job, task_environment
from veo_core.runner.executor import Work
from veo_core.runner.spec import Container, Pipeline

CPU, ACCELERATOR = "cpu", "accelerator"

# Variables of this process that a container gets, too: credentials, endpoints and proxies of the stages.
_FORWARDED = (
    "AWS_",
    "GEMINI_",
    "GOOGLE_",
    "OPENAI_",
    "PEXELS_",
    "VEO_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
# Those of them that name a file, which the container sees at the same path.
_FILES = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "VEO_C2PA_CERTIFICATE",
    "VEO_C2PA_KEY",
    "VEO_WATERMARK_KEY_FILE",
)
_NO_ENGINE = "--executor docker: no Docker engine answers"


@dataclass(frozen=True)
class Image:
    """An image of the engine: the reference by which it was asked for, and its content's digest."""

    reference: str
    id: str

    def __str__(self) -> str:
        return f"{self.reference} ({self.id})"


@dataclass(frozen=True)
class Docker:
    """Runs each command in the image of its pool, as this user, on this machine's network.

    A container that outlives its command or this run is removed by the command's supervisor. Variables are
    passed by name, so that no value shows on a command line.

    Attributes:
        pools: the image of each pool.
        folders: what containers see at the same paths, and may write.
        inputs: files and folders that they see at the same paths, and may read.
        gpus: whether the engine can give a container this machine's GPUs.
    """

    pools: Mapping[str, Image]
    folders: Sequence[Path]
    inputs: Sequence[Path] = ()
    gpus: bool = False

    @property
    def images(self) -> Mapping[str, str]:
        return {pool: str(image) for pool, image in self.pools.items()}

    def code(self, work: Work) -> dict[str, str]:
        return {"its image": self._image(work).id}

    def job(self, work: Work) -> Job:
        name = f"veo-{uuid.uuid4().hex}"
        head, *rest = work.argv
        env = _forwarded() | dict(work.env)
        options = [
            *("--rm", "--init", "--network", "host", "--name", name),
            *("--user", f"{os.getuid()}:{os.getgid()}", "--workdir", work.cwd),
            *_mounts(self.folders, "bind"),
            *_mounts(self.inputs, "bind,readonly"),
            *(option for variable in sorted(env) for option in ("--env", variable)),
            *(("--gpus", "all", "--ipc", "host") if work.accelerator and self.gpus else ()),
        ]
        return Job(
            argv=["docker", "run", *options, "--entrypoint", head, self._image(work).id, *rest],
            env=task_environment(env),
            cwd=work.cwd,
            log=work.log,
            timeout=work.timeout,
            cleanup=["docker", "rm", "--force", name],
        )

    def _image(self, work: Work) -> Image:
        return self.pools[ACCELERATOR if work.accelerator else CPU]


def connect(
    pipeline: Pipeline, references: Mapping[str, str], folders: Sequence[Path], inputs: Sequence[Path] = ()
) -> Docker:
    """The engine of this machine, with the images of the pools that the pipeline uses.

    Args:
        references: the image of each pool, by tag or digest. One by digest that is not here is pulled.

    Raises:
        UsageError: no engine answers, a pool has no image, or an image is neither here nor can be pulled.
    """
    if shutil.which("docker") is None:
        raise UsageError(f"{_NO_ENGINE}: the program `docker` is not installed")
    found, text = _docker("info", "--format", "{{json .Runtimes}}")
    if not found:
        raise UsageError(f"{_NO_ENGINE}: {text}")
    return Docker(
        pools={pool: _resolve(pool, references.get(pool)) for pool in _pools(pipeline)},
        folders=folders,
        inputs=[*inputs, *_named_files()],
        gpus="nvidia" in json.loads(text),
    )


def places_named(values: Any, apart_from: Sequence[Path]) -> list[Path]:
    """Files and folders of this machine that parameters name, such as footage, weights or prompt suites.

    A string is a path if it has a separator or a suffix, and something is there.

    Args:
        values: parameters: mappings, lists and scalars.
        apart_from: folders that containers see anyway.
    """
    paths = {Path(text).absolute() for text in _strings(values) if os.sep in text or Path(text).suffix}
    seen = [folder.absolute() for folder in apart_from]
    return sorted(
        path
        for path in paths
        if os.path.exists(path)  # which takes any string: too long for a name, it is no path
        and path != Path(path.anchor)
        and not any(path.is_relative_to(folder) for folder in seen)
    )


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _strings(value)
    elif isinstance(values, Sequence):
        for value in values:
            yield from _strings(value)


def _pools(pipeline: Pipeline) -> list[str]:
    containers = [
        c.implementation for c in pipeline.components.values() if isinstance(c.implementation, Container)
    ]
    return sorted({ACCELERATOR if container.accelerator else CPU for container in containers})


def _resolve(pool: str, reference: str | None) -> Image:
    if reference is None:
        raise UsageError(f"no image is given for tasks of the pool {pool!r}")
    found, text = _identify(reference)
    if not found and "@sha256:" in reference:
        pulled, problem = _docker("pull", "--quiet", reference)
        if not pulled:
            raise UsageError(f"image {reference} cannot be pulled: {problem}")
        found, text = _identify(reference)
    if not found:
        raise UsageError(f"image {reference} is not on this machine; `make images` builds it")
    return Image(reference, text)


def _identify(reference: str) -> tuple[bool, str]:
    return _docker("image", "inspect", "--format", "{{.Id}}", reference)


def _docker(*arguments: str) -> tuple[bool, str]:
    """Whether a command of the engine did its work, and its output, or its error's last line."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True)  # noqa: S607
    if result.returncode == 0:
        return True, result.stdout.strip()
    return False, next(iter(result.stderr.strip().splitlines()[-1:]), f"exit code {result.returncode}")


def _forwarded() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _is_forwarded(name)}


def _is_forwarded(name: str) -> bool:
    return name.startswith(_FORWARDED) or name.lower() in _FORWARDED


def _named_files() -> list[Path]:
    paths = (Path(os.environ[name]).absolute() for name in _FILES if os.environ.get(name))
    return sorted({path for path in paths if path.is_file()})


def _mounts(paths: Iterable[Path], kind: str) -> list[str]:
    """Flags that show paths at their own places; their values are CSV, so that a path may hold commas."""
    quoted = [str(path).replace('"', '""') for path in paths]
    return [part for path in quoted for part in ("--mount", f'type={kind},"source={path}","target={path}"')]
