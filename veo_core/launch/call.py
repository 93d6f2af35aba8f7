"""The command line of a stage, read for its files: which it takes, and which it makes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json, sha256_bytes

_PLAIN = {"root", "seed", "part", "executor"}
_OUTPUTS = {"manifest", "digest", "executor-output", "output", "view"}
_PAIRS = {"output", "view", "uri"}


@dataclass(frozen=True)
class StageCall:
    """`MODULE ARGUMENTS` of a stage, as `veo_core.stage.stage_main` takes them.

    Attributes:
        module: the stage's module.
        plain: arguments that name no files.
        inputs, outputs: its files by flag; an output parameter NAME by "output NAME", a view by "view NAME".
        addresses: arguments that say where the orchestrator keeps manifests.
    """

    module: str
    plain: tuple[str, ...]
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    addresses: tuple[str, ...] = ()

    @classmethod
    def parse(cls, module: str, arguments: Sequence[str]) -> "StageCall":
        """Read a command line.

        Raises:
            UsageError: it is none of a stage.
        """
        call = cls(module, (), {}, {})
        rest = [part for argument in arguments for part in _split(argument)]
        while rest:
            flag = rest[0].removeprefix("--")
            count = 2 if flag in _PAIRS else 1
            if not rest[0].startswith("--") or len(rest) <= count:
                raise UsageError(f"{module}: {rest[0]!r}: its arguments must be flags, each with its value")
            values, rest = rest[1 : count + 1], rest[count + 1 :]
            call = call._with(flag, values)
        return call

    def _with(self, flag: str, values: Sequence[str]) -> "StageCall":
        path = Path(values[-1])
        if flag == "uri":
            return replace(self, addresses=(*self.addresses, "--uri", *values))
        if flag in _OUTPUTS:
            return replace(self, outputs={**self.outputs, " ".join([flag, *values[:-1]]): path})
        inline = flag == "config" and values[0].lstrip().startswith("{")
        if inline or flag in _PLAIN or flag.endswith("-digest"):
            return replace(self, plain=(*self.plain, f"--{flag}", *values))
        return replace(self, inputs={**self.inputs, flag: path})

    @property
    def name(self) -> str:
        """The stage's short name."""
        return self.module.rsplit(".", 1)[-1]

    @property
    def root(self) -> str:
        """Where the stage's store is.

        Raises:
            UsageError: the command line does not say.
        """
        if "--root" not in self.plain:
            raise UsageError(f"{self.module}: --root is required")
        return self.plain[self.plain.index("--root") + 1]

    @property
    def key(self) -> str:
        """Digest of what the stage is asked to do, wherever its files are.

        Raises:
            UsageError: an input cannot be read.
        """
        inputs = {flag: sha256_bytes(text.encode()) for flag, text in self.input_texts().items()}
        asked = {"module": self.module, "plain": self.plain, "inputs": inputs}
        return sha256_bytes(canonical_json(asked))[:32]

    def input_texts(self) -> dict[str, str]:
        """What the input files hold.

        Raises:
            UsageError: one cannot be read.
        """
        return {flag: _read(path) for flag, path in self.inputs.items()}

    def moved(self, folder: Path) -> "StageCall":
        """The same call with all its files in `folder`."""

        def there(files: dict[str, Path]) -> dict[str, Path]:
            return {flag: folder / flag.replace(" ", "-") for flag in files}

        return replace(self, inputs=there(self.inputs), outputs=there(self.outputs))

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        line = [*self.plain, *self.addresses]
        for flag, path in {**self.inputs, **self.outputs}.items():
            line += [f"--{flag.split()[0]}", *flag.split()[1:], str(path)]
        return line


def _split(argument: str) -> list[str]:
    """ "--flag=value" as two."""
    return argument.split("=", 1) if argument.startswith("--") and "=" in argument else [argument]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        ) from None
