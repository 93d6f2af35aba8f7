"""`veo diff`: what differs between two runs, checked against runs whose differences are known."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from curated_run import CuratedRun
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.lineage.diff import diff
from veo_core.lineage.diff_text import difference_text
from veo_core.lineage.difference import RunDifference
from veo_core.lineage.evidence import gather
from veo_core.publish import View
from veo_core.records.clip import Source
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord
from veo_core.storage import Store


class Pair:
    """Two runs of one store, whose tasks are written side by side."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "store"))
        self.runs = folder / "runs"
        self._sides = []
        for name in ("a", "b"):
            (self.runs / name).mkdir(parents=True)
            self._sides.append(SyntheticRun(self.runs / name, self.store))

    def task(self, name: str, manifests: list[Manifest | None], *fields: dict) -> None:
        for run, manifest, own in zip(self._sides, manifests, fields or ({}, {}), strict=True):
            run.task(name, manifest, **own)

    def edit(self, side: int, **changes: object) -> None:
        path = self.runs / "ab"[side] / "run.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))

    def write(self) -> None:
        for side, run in enumerate(self._sides):
            run.write()
            self.edit(side, git_dirty=False)

    def difference(self, listed: int = 20) -> RunDifference:
        return diff(*(gather(self.runs / name, self.store) for name in "ab"), listed=listed)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def manifest(stage: str, figure: float = 1.0) -> Manifest:
    return Manifest(stage=stage, config_digest="c", metrics={"figure": figure})


def causes(difference: RunDifference) -> list[tuple[str, str]]:
    return [(cause.kind, cause.name) for cause in difference.stage(difference.diverging).causes]


def test_equal_runs_are_equal_in_every_stage(pair: Pair) -> None:
    for stage in ("collect", "prepare"):
        pair.task(stage, [manifest(stage), manifest(stage)])
    pair.write()
    pair.edit(
        1, parameters=json.loads((pair.runs / "a" / "run.json").read_bytes())["parameters"] | {"root": "x"}
    )

    difference = pair.difference()
    assert difference.equal
    assert difference.diverging == ""
    assert difference.parameters == []
    assert not difference.packages + difference.machine + difference.notes


def test_views_that_show_signed_clips_make_no_stage_different(pair: Pair) -> None:
    views = [{"views": {"html": lambda *_, text=text: View(text)}} for text in (b"one", b"two")]
    pair.task("evaluate", [manifest("evaluate")] * 2, *views)
    pair.write()
    assert pair.difference().equal


def test_changed_prompt_is_the_first_divergence_by_its_nested_key(pair: Pair) -> None:
    prompts = [{"parameters": {"config": {"judge": {"prompt": text}}, "seed": 0}} for text in ("one", "two")]
    pair.task("collect", [manifest("collect")] * 2)
    pair.task("prepare", [manifest("prepare", 1), manifest("prepare", 2)], *prompts)
    pair.task("dedup", [manifest("dedup", 1), manifest("dedup", 2)])
    pair.write()

    difference = pair.difference()
    assert [stage.outcome for stage in difference.stages] == ["equal", "different", "different"]
    assert difference.diverging == "prepare"
    assert causes(difference) == [("parameter", "config.judge.prompt")]
    assert difference.stage("dedup").upstream == ["prepare"]
    assert difference.stage("prepare").figures[0].second == 2


def test_changed_file_and_library_are_named(pair: Pair) -> None:
    code = {"python": "3.11", "veo_core/a.py": "1", "veo_core/b.py": "1", "numpy": "2.1"}
    other = code | {"veo_core/b.py": "2", "numpy": "2.2"}
    pair.task("collect", [manifest("collect", 1), manifest("collect", 2)], {"code": code}, {"code": other})
    pair.write()

    assert set(causes(pair.difference())) == {("code", "veo_core/b.py"), ("library", "numpy")}


def test_changed_file_without_effect_is_told_though_outputs_are_equal(pair: Pair) -> None:
    codes = [{"code": {"veo_core/a.py": digest}} for digest in "12"]
    pair.task("collect", [manifest("collect")] * 2, *codes)
    pair.write()

    difference = pair.difference()
    assert difference.equal
    assert [cause.name for cause in difference.stage("collect").causes] == ["veo_core/a.py"]
    text = difference_text(difference)
    assert "equal: the outputs of every task (1)\nfirst change, without effect on outputs: collect\n" in text
    assert "  file veo_core/a.py changed\n" in text


def test_input_digests_that_earlier_stages_changed_are_no_causes_of_their_own(pair: Pair) -> None:
    fields = [
        {
            "inputs": {"clips": [ArtifactRecord(uri="clips", sha256=digest)]},
            "parameters": {"clips_digest": digest, "root": f"store-{digest}"},
        }
        for digest in "12"
    ]
    pair.task("collect", [manifest("collect", 1), manifest("collect", 2)])
    pair.task("prepare", [manifest("prepare", 1), manifest("prepare", 2)], *fields)
    pair.write()

    assert pair.difference().stage("prepare").causes == []


def test_difference_that_nothing_recorded_explains_says_so_and_where_it_is(pair: Pair) -> None:
    files = [pair.store.put_bytes(data, ".safetensors") for data in (b"1", b"2")]
    made = [Manifest(stage="base", config_digest="c", files={"weights": file}) for file in files]
    pair.task("train-base", made)
    pair.write()

    (cause,) = pair.difference().stage("train-base").causes
    assert cause.kind == "unrecorded"
    assert "file weights" in cause.text


def test_other_machine_is_a_cause_only_where_nothing_nearer_is(pair: Pair) -> None:
    pair.task("train-base", [manifest("base", 1), manifest("base", 2)])
    pair.write()
    pair.edit(1, platform="another", packages={"torch": "2.12.0", "av": "16.0"})

    difference = pair.difference()
    assert set(causes(difference)) == {("machine", "platform"), ("library", "torch")}
    assert [change.name for change in difference.packages] == ["torch"]
    assert [change.name for change in difference.machine] == ["platform"]

    for side, accelerators in enumerate(([], ["NVIDIA H200, 570.1"])):
        pair.edit(side, cpu="one model", accelerators=accelerators)
    assert ("machine", "accelerators") in causes(pair.difference())


@pytest.mark.parametrize(
    ("state", "outcome"), [("FAILED", "different"), ("RUNNING", "unknown"), ("CANCELLED", "unknown")]
)
def test_run_that_did_not_end_is_compared_as_far_as_it_got(pair: Pair, state: str, outcome: str) -> None:
    pair.task("collect", [manifest("collect")] * 2)
    pair.task("prepare", [manifest("prepare"), None], {}, {"state": state, "reason": "the disk is full"})
    pair.write()
    pair.edit(1, state=state)

    difference = pair.difference()
    assert [stage.outcome for stage in difference.stages] == ["equal", outcome]
    assert not difference.equal
    if state != "RUNNING":
        assert "the disk is full" in difference.stage("prepare").causes[0].text


def test_run_whose_runner_was_killed_is_said_to_be_interrupted(pair: Pair, capsys) -> None:
    pair.task("collect", [manifest("collect")] * 2)
    pair.task("prepare", [manifest("prepare"), None], {}, {"state": "RUNNING"})
    pair.write()
    pair.edit(1, state="RUNNING")

    place = ["--runs", str(pair.runs), "--root", pair.store.root]
    assert main(["diff", "a", "b", *place]) == 0
    out = capsys.readouterr().out
    assert "second b interrupted" in out
    assert "no output differs; not in both runs to its end: prepare" in out
    assert main(["verify", "b", *place]) == 0
    assert "the run is interrupted" in capsys.readouterr().out


def test_task_that_only_one_run_has_is_told(pair: Pair) -> None:
    pair.task("collect", [manifest("collect")] * 2)
    pair._sides[1].task("register", manifest("register"))
    pair.write()

    assert pair.difference().stage("register").outcome == "only_second"


def test_input_clip_with_other_bytes_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = CuratedRun(store, tmp_path / "runs", name="a", count=14).write()
    second = CuratedRun(store, tmp_path / "runs", name="b", count=14)
    name = second.kept[3].source.name
    changed = store.put_bytes(b"other footage", ".mp4")
    for index, clip in enumerate(second.all):
        if clip.source.name == name:
            source = clip.source.model_copy(update={"file": changed, "source_id": "f" * 64})
            second.all[index] = clip.model_copy(update={"source": source, "clip_id": "e" * 64})
    second.kept = second.all[:-1]
    second.write()

    difference = diff(gather(first.folder, store), gather(second.folder, store))
    assert difference.diverging == "collect"
    assert causes(difference)[0] == ("source", name)
    assert difference.data is not None
    assert [(s.name, s.kind) for s in difference.data.sources] == [(name, "changed")]
    assert (difference.data.clips_added, difference.data.clips_removed) == (1, 1)
    assert {clip.source for clip in difference.data.clips} == {name}


STAGES = ("prepare", "dedup", "package")


def random_ledgers(seed: int) -> dict[str, dict[str, Decision]]:
    """Decisions of each stage by item; what one stage loses, the next does not see."""
    rng = random.Random(seed)
    items = [f"{number:064x}" for number in range(300) if rng.random() < 0.9]
    ledgers: dict[str, dict[str, Decision]] = {}
    for stage in STAGES:
        ledgers[stage] = {}
        for item in items:
            verdict = rng.choices(["kept", "dropped", "failed"], [8, 2, 1])[0]
            rule = rng.choice(["dark", "copy"]) if verdict == "dropped" else ""
            ledgers[stage][item] = Decision(
                item=item,
                source="s" * 64,
                stage=stage,
                verdict=verdict,
                rule=rule,
                value=f"{rng.random():.2f}",
            )
        items = [item for item in items if ledgers[stage][item].verdict == "kept"]
    return ledgers


def fates(ledgers: dict[str, dict[str, Decision]]) -> dict[str, tuple[str, str, str]]:
    """Where each item ended, read the plain way."""
    found = {}
    for stage in STAGES:
        for item, decision in ledgers[stage].items():
            found[item] = (decision.verdict, stage, decision.rule)
    return found


def test_clips_added_removed_and_with_another_fate_equal_what_a_plain_comparison_finds(pair: Pair) -> None:
    sides = [random_ledgers(seed) for seed in (1, 2)]
    for stage in STAGES:
        tables = [pair.store.put_table(ledgers[stage].values(), Decision) for ledgers in sides]
        pair.task(
            stage, [Manifest(stage=stage, config_digest="c", tables={"ledger": table}) for table in tables]
        )
    pair.write()
    first, second = map(fates, sides)
    flows = Counter(
        (first.get(item, ("", "", "")), second.get(item, ("", "", ""))) for item in {*first, *second}
    )
    expected = {ends: items for ends, items in flows.items() if ends[0] != ends[1]}

    data = pair.difference(listed=1000).data
    assert data is not None
    assert data.clips_added == len(second.keys() - first.keys())
    assert data.clips_removed == len(first.keys() - second.keys())
    assert data.clips_changed == sum(first[item] != second[item] for item in first.keys() & second.keys())
    assert data.first_kept == sum(fate[0] == "kept" for fate in first.values())
    assert {
        (
            (flow.first_verdict, flow.first_stage, flow.first_rule),
            (flow.second_verdict, flow.second_stage, flow.second_rule),
        ): flow.items
        for flow in data.flows
    } == expected
    changed = {clip.item: clip for clip in data.clips if clip.kind == "changed"}
    for item, clip in changed.items():
        decision = sides[1][second[item][1]][item]
        assert clip.second is not None
        assert (clip.second.verdict, clip.second.rule, clip.second.value) == (
            decision.verdict, decision.rule, decision.value,
        )  # fmt: skip


def test_only_as_many_changes_as_asked_for_are_listed_and_all_are_counted(pair: Pair) -> None:
    sides = [
        [
            Decision(item=f"{n:064x}", source="s", stage="prepare", verdict=verdict)
            for n in range(50)
        ]
        for verdict in ("kept", "dropped")
    ]  # fmt: skip
    tables = [pair.store.put_table(rows, Decision) for rows in sides]
    pair.task("prepare", [Manifest(stage="p", config_digest="c", tables={"ledger": t}) for t in tables])
    pair.write()

    data = pair.difference(listed=5).data
    assert data is not None
    assert (data.clips_changed, len(data.clips)) == (50, 5)


def test_runs_that_decided_alike_are_compared_and_no_clip_differs(pair: Pair) -> None:
    table = pair.store.put_table(
        [Decision(item="1", source="s", stage="prepare", verdict="kept")], Decision
    )  # fmt: skip
    pair.task("prepare", [Manifest(stage="p", config_digest="c", tables={"ledger": table})] * 2)
    pair.write()

    difference = pair.difference()
    assert difference.notes == []
    assert difference.data is not None
    assert (difference.data.first_kept, difference.data.second_kept) == (1, 1)
    assert difference.data.clips == []


def test_figures_of_both_evaluations_stand_side_by_side_with_their_intervals(pair: Pair) -> None:
    made = [SyntheticRun.evaluation(pair._sides[0], count) for count in (8, 6)]
    pair.task("evaluate", made)
    pair.write()

    metrics = {(m.metric, m.split): m for m in pair.difference().metrics}
    figure = metrics["following_all", "seen"]
    assert figure.first is not None
    assert figure.first == figure.second
    assert figure.first.ci_low is not None
    assert figure.first.value == pytest.approx(21 / 32)
    assert figure.first.ci_low < figure.first.value


def test_damaged_record_is_one_clear_line(pair: Pair, capsys) -> None:
    pair.write()
    (pair.runs / "b" / "run.json").write_text('{"run_id": ')

    assert main(["diff", "a", "b", "--runs", str(pair.runs), "--root", pair.store.root]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "damaged" in error


def test_unreadable_table_is_told_and_the_rest_is_compared(pair: Pair) -> None:
    tables = [pair.store.put_table([decision], Decision) for decision in (
        Decision(item="1", source="s", stage="prepare", verdict="kept"),
        Decision(item="2", source="s", stage="prepare", verdict="kept"),
    )]  # fmt: skip
    pair.task("prepare", [Manifest(stage="p", config_digest="c", tables={"ledger": t}) for t in tables])
    pair.write()
    pair.store.remove_object(tables[1].path)

    difference = pair.difference()
    assert difference.data is None
    assert any("clips cannot be compared" in note for note in difference.notes)
    assert difference.diverging == "prepare"


def test_command_names_the_divergence_and_shows_hostile_text_as_text(pair: Pair, capsys) -> None:
    hostile = [{"parameters": {"config": {"prompt": text}}} for text in ("plain", "\x1b[2J<script>\u202e")]
    pair.task("collect", [manifest("collect", 1), manifest("collect", 2)], *hostile)
    pair.write()
    place = ["--runs", str(pair.runs), "--root", pair.store.root]

    assert main(["diff", "a", "b", *place]) == 0
    out = capsys.readouterr().out
    assert "first divergence: collect" in out
    assert "\\u001b[2J<script>\\u202e" in out
    assert not {"\x1b", "\u202e"} & set(out)
    assert main(["diff", "a", "b", *place, "--json"]) == 0
    assert RunDifference.model_validate_json(capsys.readouterr().out).diverging == "collect"


def test_record_of_an_earlier_version_is_compared_by_its_commit(pair: Pair) -> None:
    pair.task("collect", [manifest("collect", 1), manifest("collect", 2)])
    pair.write()
    for side in (0, 1):
        record = json.loads((pair.runs / "ab"[side] / "run.json").read_bytes())
        new = ("target", "sources", "launch", "cpu", "accelerators")
        old = {name: value for name, value in record.items() if name not in new}
        old["tasks"] = [
            {n: v for n, v in task.items() if n not in ("tries", "cached_from", "code", "env")}
            for task in record["tasks"]
        ]
        (pair.runs / "ab"[side] / "run.json").write_text(json.dumps(old | {"git_sha": "ab"[side] * 40}))

    (cause,) = pair.difference().stage("collect").causes
    assert cause.kind == "code"
    assert "a" * 12 in cause.text


def test_source_that_only_one_run_collected_is_added(pair: Pair) -> None:
    sources = [
        Source(
            source_id=f"{n}" * 64,
            name=f"film-{n}.mp4",
            file=pair.store.put_bytes(b"x", ".mp4"),
            origin="folder",
        )
        for n in (1, 2)
    ]
    kept = [Decision(item=s.source_id, source=s.source_id, stage="collect", verdict="kept") for s in sources]
    made = [
        Manifest(
            stage="collect", config_digest="c",
            tables={
                "sources": pair.store.put_table(sources[:count], Source),
                "ledger": pair.store.put_table(kept[:count], Decision),
            },
        )
        for count in (1, 2)
    ]  # fmt: skip
    pair.task("collect", made)
    pair.write()

    difference = pair.difference()
    assert ("source", "film-2.mp4") in causes(difference)
    assert difference.data is not None
    assert (difference.data.sources_added, difference.data.sources_changed) == (1, 0)
