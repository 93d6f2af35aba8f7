"""What a server is told: by flags, by `VEO_SERVE_*`, or by the environment that Vertex gives a container."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import Field

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.records.base import Record
from veo_core.records.drawing import SamplerConfig

ROUTE = r"^/[A-Za-z0-9/_.:-]+$"


class Limits(Record):
    """What a request may ask for, and how many may wait."""

    body_bytes: int = Field(default=8 << 20, ge=1024, description="longest body of a request")
    instances: int = Field(default=8, ge=1, description="clips of one request")
    steps: int = Field(default=64, ge=1, description="most sampling steps")
    queue: int = Field(default=64, ge=1, description="clips that may wait for the model; more get a 429")
    deadline: float = Field(default=120.0, gt=0, description="seconds in which a request must be answered")


class Settings(Record):
    """A server's configuration."""

    host: str
    port: int = Field(ge=0, le=65535)
    health_route: str = Field(pattern=ROUTE)
    predict_route: str = Field(pattern=ROUTE)
    model: str = Field(description="NAME@VERSION, NAME@default, or a folder or URI of an exported model")
    root: str = Field(description="store of the registry that a name is looked up in")
    output: str = Field(description="store that clips are written to")
    inline: bool = Field(description="whether a response may hold the clips themselves")
    prompt_filter: Literal["judge", "world", "off"]
    watermark: bool = Field(description="whether picture and sound of every clip are marked")
    manifest: bool = Field(description="whether every clip gets a signed C2PA manifest")
    judge: JudgeConfig
    batch: int = Field(ge=1)
    sampler: dict[str, Any] = Field(description="values of the sampler in place of the model's own")
    limits: Limits


def read_settings(argv: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that flags and the environment give; flags win.

    Raises:
        UsageError: a value is out of its range, or Vertex's environment names no place for clips.
    """
    arguments = _parser(environment).parse_args(argv)
    artifacts = environment.get("AIP_STORAGE_URI", "")
    if artifacts and arguments.output is None:
        raise UsageError("no place for clips: set VEO_SERVE_OUTPUT or --output to a gs:// prefix")
    limits = {
        name: getattr(arguments, name) for name in Limits.model_fields if getattr(arguments, name) is not None
    }
    judge = {"model": arguments.judge_model, "provider": arguments.judge_provider}
    values: dict[str, Any] = {
        "host": arguments.host,
        "port": arguments.port,
        "health_route": environment.get("AIP_HEALTH_ROUTE") or "/health",
        "predict_route": environment.get("AIP_PREDICT_ROUTE") or "/predict",
        "model": arguments.model or artifacts or "veo-world@default",
        "root": arguments.root or artifacts or "store",
        "output": arguments.output or "served",
        "inline": "AIP_HTTP_PORT" not in environment,
        "prompt_filter": arguments.prompt_filter,
        "watermark": arguments.watermark == "on",
        "manifest": arguments.manifest == "on",
        # A person waits: a judge that does not answer soon is told to the client, who may come back.
        "judge": {**judge, "max_attempts": 3, "timeout_seconds": 15.0, "max_wait_seconds": 5.0},
        "batch": arguments.batch,
        "sampler": _sampler(arguments.sampler),
        "limits": limits,
    }
    settings = Settings.parse(values, where="serve")
    limit = settings.limits
    if limit.instances > limit.queue:
        raise UsageError(f"serve: --queue {limit.queue} has no room for --instances {limit.instances}")
    check_steps(settings.sampler.get("steps", 0), limit)
    return settings


def check_steps(steps: int, limits: Limits) -> None:
    """Whether a server may take so many steps where a request names none.

    Raises:
        UsageError: it may not.
    """
    if steps > limits.steps:
        raise UsageError(f"serve: sampler.steps {steps} is more than --steps {limits.steps}")


def _parser(environment: Mapping[str, str]) -> Parser:
    parser = Parser(
        prog="python -m veo_core.serve",
        description=__doc__,
        epilog="Each flag may be given as VEO_SERVE_ and its name: VEO_SERVE_MODEL, VEO_SERVE_PROMPT_FILTER.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    managed = "AIP_HTTP_PORT" in environment

    def add(flag: str, default: str | None, **options: Any) -> None:
        """A flag; argparse reads its default as it reads what the flag is given."""
        name = f"VEO_SERVE_{flag.upper().replace('-', '_')}"
        parser.add_argument(f"--{flag}", default=environment.get(name) or default, **options)

    add("model", None, metavar="REF", help="NAME@VERSION, or an exported model (default: AIP_STORAGE_URI)")
    add("root", None, metavar="URI", help="store of the registry (default: store)")
    add("output", None, metavar="URI", help="store that gets the clips (default: served)")
    everywhere = "0.0.0.0"  # noqa: S104 (a container's platform asks from outside)
    add("host", everywhere if managed else "127.0.0.1", help="address to listen on")
    add("port", environment.get("AIP_HTTP_PORT") or "8080", type=int, help="0 for any free one")
    add(
        "prompt-filter",
        "judge",
        choices=["judge", "world", "off"],
        help="judge: the server at OPENAI_BASE_URL (default); world: the world's own, started here; off",
    )
    add("watermark", "on", choices=["on", "off"], help="mark picture and sound of clips (default: on)")
    add("manifest", "on", choices=["on", "off"], help="sign clips with a C2PA manifest (default: on)")
    add("judge-model", "world-detector-1", metavar="NAME", help="model that the judge server is asked for")
    add("judge-provider", "openai", choices=["openai", "gemini"], help="its protocol")
    add("batch", "8", type=int, metavar="N", help="clips made at a time (default: 8)")
    add("sampler", "", metavar="MAPPING", help="in place of the model's own: '{steps: 8, video_guidance: 2}'")
    for name, kind in (("steps", int), ("instances", int), ("queue", int), ("deadline", float)):
        about = Limits.model_fields[name]
        add(name, None, type=kind, metavar="N", help=f"{about.description} (default: {about.default:g})")
    about = Limits.model_fields["body_bytes"]
    add("body-bytes", None, type=int, metavar="N", help=f"{about.description} (default: {about.default})")
    return parser


def _sampler(text: str) -> dict[str, Any]:
    """The values that are given of a sampler, which are those of one."""
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        raise UsageError(f"--sampler {text}: write it as '{{steps: 16, video_guidance: 2}}'") from None
    return SamplerConfig.parse(values, where="sampler").model_dump(exclude_unset=True)
