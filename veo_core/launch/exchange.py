"""Files of a stage on their way between the step that asks for it and the machines that run it.

Those machines have neither the manifests that the orchestrator gave to the step nor the paths where it
expects the outputs. Both are small texts, and travel as marks of the stage's store, below `marks/launch/KEY`.
"""

from pathlib import Path

from veo_core.errors import UsageError
from veo_core.launch.call import StageCall
from veo_core.records.base import Record
from veo_core.storage import Store


class _Texts(Record):
    files: dict[str, str]


class Exchange:
    """What is exchanged under a key, which `StageCall.key` gives."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._inputs, self._outputs = f"launch/{key}/inputs.json", f"launch/{key}/outputs.json"

    def send_inputs(self, call: StageCall) -> None:
        """What the step has."""
        self._store.set_mark(self._inputs, _Texts(files=call.input_texts()).to_bytes())

    def receive_inputs(self, call: StageCall) -> None:
        """Write the inputs to the paths that `call` names.

        Raises:
            UsageError: they were never sent.
        """
        self._write(self._inputs, call.inputs)

    def send_outputs(self, call: StageCall) -> None:
        """What the stage has made; only one of its machines has it."""
        files = {flag: path.read_text() for flag, path in call.outputs.items() if path.exists()}
        if files:
            self._store.set_mark(self._outputs, _Texts(files=files).to_bytes())

    @property
    def done(self) -> bool:
        """Whether the outputs are there."""
        return self._store.get_mark(self._outputs) is not None

    def receive_outputs(self, call: StageCall) -> None:
        """Write the outputs to the paths that `call` names, the manifest last.

        Raises:
            UsageError: one is missing.
        """
        self._write(self._outputs, dict(sorted(call.outputs.items(), key=lambda item: item[0] == "manifest")))

    def clear(self) -> None:
        """Remove what was exchanged."""
        for mark in (self._inputs, self._outputs):
            self._store.remove_mark(mark)

    def _write(self, mark: str, paths: dict[str, Path]) -> None:
        data = self._store.get_mark(mark)
        files = _Texts.model_validate_json(data).files if data else {}
        for flag, path in paths.items():
            if flag not in files:
                raise UsageError(f"store {self._store.root}: marks/{mark} has no {flag}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[flag], encoding="utf-8")
