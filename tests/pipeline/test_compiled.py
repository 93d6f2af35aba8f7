"""The compiled pipelines: what is committed, and whether it fits the stages."""

import importlib
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compile import committed_targets, compile_target, compiled_path
from pipelines.pipeline import PIPELINES
from pipelines.targets.embedded import EMBEDDED
from veo_core.cli.recipe import CURATION, STAGES, load_recipe, parameters
from veo_core.publish import METRICS
from veo_core.stage import interface_of, stage_parser

ORDER = [
    "collect", "prepare", "describe", "dedup", "safety-filter", "quality-filter", "annotate", "package",
    "train-video-vae", "train-audio-vae", "encode-latents", "train-base", "train-upsampler", "generate",
    "evaluate", "safety-evaluation", "register",
]  # fmt: skip
IN_PARTS = {"prepare", "describe", "safety-filter", "quality-filter", "annotate"}
LENGTH = {"pipeline": len(STAGES), "curation": len(CURATION)}


def read_ir(pipeline: str) -> dict[str, Any]:
    """The laptop's IR; test_targets.py shows that the others' is the same in all that is tested here."""
    (document,) = yaml.safe_load_all(compiled_path(EMBEDDED, pipeline).read_text())
    return document


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def ir(pipeline: str) -> dict[str, Any]:
    return read_ir(pipeline)


def dags(ir: dict[str, Any]) -> list[dict[str, Any]]:
    components = [component["dag"] for component in ir["components"].values() if "dag" in component]
    return [ir["root"]["dag"], *components]


@pytest.mark.thorough
def test_committed_ir_equals_a_fresh_compile(tmp_path: Path) -> None:
    for target, pipeline in itertools.product(committed_targets(), PIPELINES):
        compile_target(target, pipeline, tmp_path / "fresh.yaml")
        assert (tmp_path / "fresh.yaml").read_text() == compiled_path(target, pipeline).read_text()


def test_ir_holds_every_stage_of_the_design_and_the_parts_of_those_that_have_some(
    ir: dict[str, Any], pipeline: str
) -> None:
    groups = ("condition", "for-loop")
    tasks = {name for dag in dags(ir) for name in dag["tasks"] if not name.startswith(groups)}
    assert tasks == {*ORDER[: LENGTH[pipeline]], *(f"{name}-part" for name in IN_PARTS)}


def test_parts_run_the_stage_that_waits_for_them_on_the_same_input(ir: dict[str, Any]) -> None:
    for name in IN_PARTS:
        task = ir["root"]["dag"]["tasks"][name]
        (loop,) = [upstream for upstream in task["dependentTasks"] if upstream.startswith("for-loop")]
        body = ir["components"][ir["root"]["dag"]["tasks"][loop]["componentRef"]["name"]]["dag"]["tasks"]
        assert list(body) == [f"{name}-part"]
        executors = [ir["components"][t["componentRef"]["name"]] for t in (task, body[f"{name}-part"])]
        whole, part = (ir["deploymentSpec"]["executors"][e["executorLabel"]]["container"] for e in executors)
        assert whole["command"] == part["command"]
        inputs = [ir["root"]["dag"]["tasks"][t]["inputs"]["artifacts"].values() for t in (name, loop)]
        assert [list(values) for values in inputs[:1]] == [list(values) for values in inputs[1:]]


def test_ir_runs_stages_in_the_order_of_the_design(ir: dict[str, Any]) -> None:
    root = ir["root"]["dag"]["tasks"]
    for name, task in root.items():
        for upstream in task.get("dependentTasks", []):
            if name in ORDER and upstream in ORDER:
                assert ORDER.index(upstream) < ORDER.index(name)


def test_registration_hangs_on_the_safety_gate() -> None:
    ir = read_ir("pipeline")
    (gate,) = [task for task in ir["root"]["dag"]["tasks"].values() if "triggerPolicy" in task]
    assert "approved" in gate["triggerPolicy"]["condition"]
    inner = ir["components"][gate["componentRef"]["name"]]["dag"]["tasks"]
    assert list(inner) == ["register"]


def test_every_input_manifest_comes_with_its_digest(ir: dict[str, Any]) -> None:
    for dag in dags(ir):
        for name, task in dag["tasks"].items():
            inputs = task.get("inputs", {})
            if not name.startswith(("condition", "for-loop")):
                for artifact in inputs.get("artifacts", {}):
                    assert f"{artifact}_digest" in inputs["parameters"], f"{name}: {artifact}"


def test_component_commands_fit_the_command_lines_of_their_stages(ir: dict[str, Any], pipeline: str) -> None:
    modules = set()
    for executor in ir["deploymentSpec"]["executors"].values():
        container = executor["container"]
        python, dash_m, module = container["command"]
        assert (python, dash_m) == ("python", "-m")
        modules.add(module)
        values = [
            {"{{$.inputs.parameters['seed']}}": "7"}.get(argument, argument) for argument in container["args"]
        ]
        stage = importlib.import_module(module)
        interface = interface_of(stage.run)
        asked = stage_parser(interface).parse_args(values)
        if not asked.part:
            assert {name for name, _ in asked.view} == {METRICS, *getattr(stage, "VIEWS", {})}
            assert {name for name, _ in asked.uri} == {"manifest", *interface.inputs}
    assert modules == set(list(STAGES.values())[: LENGTH[pipeline]])


def test_views_have_the_types_that_platforms_draw_and_no_stage_reads_them(ir: dict[str, Any]) -> None:
    drawn = {"metrics": "Metrics", "markdown": "Markdown", "html": "HTML"}
    for component in ir["components"].values():
        for name, artifact in component.get("outputDefinitions", {}).get("artifacts", {}).items():
            if name not in ("manifest", "vertex_model"):
                kind = drawn.get(name, "ClassificationMetrics")
                assert artifact["artifactType"]["schemaTitle"] == f"system.{kind}"
    for dag in dags(ir):
        for task in dag["tasks"].values():
            for source in task.get("inputs", {}).get("artifacts", {}).values():
                output = source.get("taskOutputArtifact", {"outputArtifactKey": "manifest"})
                assert output["outputArtifactKey"] == "manifest"


@pytest.mark.parametrize("preset", ["smoke", "world", "world-full", "footage"])
def test_preset_is_a_valid_recipe_that_sets_every_parameter(
    preset: str, ir: dict[str, Any], pipeline: str
) -> None:
    stages = list(STAGES)[: LENGTH[pipeline]]
    names = parameters(load_recipe(preset, [], []), "store", stages)
    assert set(names) == set(ir["root"]["inputDefinitions"]["parameters"])
