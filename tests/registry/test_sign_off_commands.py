"""`veo approve` and `veo gate` as people call them, on the evidence of a run."""

import stat
from pathlib import Path

import pytest
import yaml
from model_evidence import TOMORROW, Evidence

from veo_core.cli.main import main
from veo_core.cli.recipe import load_recipe
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.safety.records import Policy, SignOffs
from veo_core.safety.signatures import load_key, public_key
from veo_core.storage import Store

KEY, OTHER_KEY = Path("council.pem"), Path("other.pem")
WHY = ["--owner", "Ada", "--reason", "false alarms", "--expires", str(TOMORROW)]
WAIVE = ["--waive", "unsafe_outputs", *WHY]


class Place:
    """The working folder of a person: a store, a run whose policy names a role, and keys."""

    def __init__(self) -> None:
        for key in (KEY, OTHER_KEY):
            assert main(["approve", "--new-key", str(key)]) == 0
        keys = [public_key(load_key(KEY))]
        self.evidence = Evidence(Store("store"))
        self.evidence.policy = Policy(signers={"council": keys}, waiver_signers=keys)
        self.run()

    def run(self) -> None:
        """Write the run whose evidence this is, with what the recipe `approvals.yaml` holds of signatures."""
        if Path("approvals.yaml").exists():
            section = load_recipe("smoke", [Path("approvals.yaml")], []).safety_evaluation
            self.evidence.sign_offs = SignOffs(approvals=section.approvals, waivers=section.waivers)
        folder = Path("runs/20261128-120000-000001")
        folder.mkdir(parents=True, exist_ok=True)
        manifests = self.evidence.manifests()
        tasks = []
        for role in ("dataset", "generated", "evaluation", "safety"):
            (folder / role).write_bytes(manifests[role].to_bytes())
            outputs = {"manifest": [ArtifactRecord(uri=role, sha256=manifests[role].digest)]}
            tasks.append(TaskRecord(name=role, component=role, state="SUCCEEDED", outputs=outputs))
        run = RunRecord(
            run_id=folder.name, pipeline="p", state="SUCCEEDED", created=0.0, ir_digest="d" * 64, tasks=tasks
        )
        (folder / "run.json").write_bytes(run.to_bytes())


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place()


def approve(*arguments: object) -> int:
    return main(["approve", "latest", *map(str, arguments)])


def test_a_new_key_is_its_owners_alone_and_replaces_none(place, capsys):
    capsys.readouterr()
    assert main(["approve", "--new-key", "new.pem"]) == 0
    assert capsys.readouterr().out.split() == ["public", "key:", public_key(load_key(Path("new.pem")))]
    assert stat.S_IMODE(Path("new.pem").stat().st_mode) == 0o600
    assert main(["approve", "--new-key", str(KEY)]) == 2
    assert public_key(load_key(KEY)) == place.evidence.policy.waiver_signers[0]


def test_the_gate_is_closed_until_the_role_signs(place, capsys):
    assert main(["gate"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL   sign-off     sign-off, council: not signed; `veo approve RUN --role council" in printed
    assert printed.endswith("gate: closed\n")
    assert approve("--role", "council", "--key", KEY) == 0
    assert "`--config approvals.yaml` besides the recipe of latest" in capsys.readouterr().out
    place.run()
    assert main(["gate", "20261128"]) == 0
    assert capsys.readouterr().out.endswith("gate: open\n")


def test_a_waiver_opens_the_gate_until_it_expires(place, capsys):
    place.evidence.judge(unsafe_outputs=20)
    place.run()
    assert approve("--role", "council", "--key", KEY) == 0
    assert approve(*WAIVE, "--key", KEY) == 0
    place.run()
    capsys.readouterr()
    assert main(["gate"]) == 0
    assert "waived development  unsafe outputs: 20 of 64" in capsys.readouterr().out
    assert main(["gate", "--at", "2100-01-01"]) == 1
    assert "waiver of unsafe outputs: it expired on" in capsys.readouterr().out


def test_signatures_are_added_to_a_recipe_that_is_there(place):
    recipe = {"seed": 3, "safety_evaluation": {"frames": 2}}
    Path("mine.yaml").write_text(yaml.safe_dump(recipe))
    for _ in range(2):
        assert approve("--role", "council", "--key", KEY, "--out", "mine.yaml") == 0
    loaded = load_recipe("smoke", [Path("mine.yaml")], [])
    assert (loaded.seed, loaded.safety_evaluation.frames) == (3, 2)
    assert [approval.role for approval in loaded.safety_evaluation.approvals] == ["council", "council"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["approve", "latest", "--role", "council", "--key", OTHER_KEY], "may not sign for it"),
        (["approve", "latest", "--role", "owner", "--key", KEY], "roles that sign: council"),
        (["approve", "2025", "--role", "council", "--key", KEY], "there is no run '2025'"),
        (["approve", "veo-world@1", "--role", "council", "--key", KEY], "no model of this name"),
        (["approve", "latest", "--role", "council", "--key", "none.pem"], "none.pem: cannot be read"),
        (["approve", "latest", "--role", "council", "--key", "store"], "store: cannot be read"),
        (["approve", "latest", "--role", "Council!", "--key", KEY], "--role"),
        (["approve", "latest", "--key", KEY], "either --role NAME or --waive RULE"),
        (["approve", "latest", "--role", "council"], "--key FILE"),
        (["approve", "latest", "--waive", "unsafe_outputs", "--key", KEY], "--owner, --reason and --expires"),
        (["approve", "latest", *WAIVE, "--key", OTHER_KEY], "its key may not waive rules"),
        (["approve", "latest", *WAIVE[:-1], "2020-01-01", "--key", KEY], "it expired on 2020-01-01"),
        (["approve", "latest", *WAIVE[:-1], "soon", "--key", KEY], "expires"),
        (
            ["approve", "latest", "--waive", "report content", *WHY, "--key", KEY],
            "what binds or signs the evidence cannot be waived",
        ),
        (["approve", "latest", "--waive", "no rule", *WHY, "--key", KEY], "there is no such rule"),
        (["gate", "2025"], "there is no run '2025'"),
        (["gate", "nobody@1"], "no model of this name"),
        (["gate", "--at", "tomorrow"], "write the day as YYYY-MM-DD"),
    ],
)
def test_what_cannot_be_signed_or_replayed_is_one_line_and_writes_nothing(place, capsys, arguments, says):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not Path("approvals.yaml").exists()


def test_the_gate_of_a_run_whose_report_was_altered_says_so(place, capsys):
    report = place.evidence.safety().files["report"]
    path = Path("store") / report.path
    path.write_bytes(path.read_bytes().replace(b'"bad":0', b'"bad":1', 1))
    capsys.readouterr()
    assert main(["gate"]) == 2
    assert "was altered" in capsys.readouterr().err
