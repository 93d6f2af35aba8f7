"""Registration: only approved, fresh and unaltered evidence; equal models share a version."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from model_evidence import FIGURES, PARTS, TOMORROW, Evidence

from veo_core.errors import UsageError
from veo_core.evaluate.records import Promotion
from veo_core.records.files import FileRef
from veo_core.registry.local import list_models, load
from veo_core.registry.register import RegisterConfig
from veo_core.safety.records import Decision, Policy, SignOffs
from veo_core.safety.signatures import public_key
from veo_core.storage import Store


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(Store(str(tmp_path / "store")))


def test_register_of_an_approved_model_writes_an_entry_that_loads(evidence):
    result = evidence.register()
    assert result.outputs == {"model": "veo-world@1"}
    entry = load(evidence.store, "veo-world@latest")
    assert entry.reference == "veo-world@1"
    assert entry.description.files.base_weights == evidence.parts["base"].files["weights"]
    assert entry.description.manifests["generated"] == evidence.generated.digest
    assert entry.description.metrics == evidence.summary.rows
    assert entry.description.decision.approved
    data = entry.description.data
    assert (data.train_clips, data.validation_clips, data.sources, data.train_seconds) == (4, 1, 4, 8.0)
    assert {item.licence: item.clips for item in data.licences} == {"CC0-1.0": 3, "a | <b>licence</b>": 1}


def test_register_again_gives_the_same_version_and_manifest(evidence):
    first, again = evidence.register(), evidence.register()
    assert first.manifest.to_bytes() == again.manifest.to_bytes()
    assert first.outputs == again.outputs
    assert len(list_models(evidence.store)) == 1


def test_register_of_another_model_gives_the_next_version_of_its_name(evidence):
    evidence.register()
    other = Evidence(evidence.store, weights=b"other")
    assert other.register().outputs == {"model": "veo-world@2"}
    assert other.register("veo-other").outputs == {"model": "veo-other@1"}
    assert evidence.register().outputs == {"model": "veo-world@1"}
    references = [line.reference for line in list_models(evidence.store)]
    assert references == ["veo-world@1", "veo-world@2", "veo-other@1"]
    assert load(evidence.store, "veo-world@latest").reference == "veo-world@2"
    first, second = (load(evidence.store, f"veo-world@{n}").description.files for n in (1, 2))
    assert first.base_weights == evidence.parts["base"].files["weights"]
    assert second.base_weights == other.parts["base"].files["weights"]


def promotion_of(evidence: Evidence, reference: str) -> Promotion:
    verdict = load(evidence.store, reference).promotion
    assert verdict is not None
    return verdict


def default(evidence: Evidence) -> str:
    return load(evidence.store, "veo-world@default").reference


def test_first_model_of_a_name_is_promoted(evidence):
    manifest = evidence.register().manifest
    verdict = promotion_of(evidence, "veo-world@1")
    assert (verdict.promote, verdict.baseline) == (True, "")
    assert default(evidence) == "veo-world@1"
    stored = Promotion.model_validate_json(evidence.store.get_bytes(manifest.files["promotion"]))
    assert stored == verdict


@pytest.mark.parametrize(
    ("follows", "promoted", "reason"),
    [
        (0.9, True, "better than veo-world@1: following_all (seen t2v)"),
        (0.5, False, "nothing is significantly better than veo-world@1"),
        (0.1, False, "worse than veo-world@1: following_all (seen t2v)"),
    ],
)
def test_next_model_is_promoted_where_it_is_better_and_registered_either_way(
    evidence, follows, promoted, reason
):
    evidence.register()
    other = Evidence(evidence.store, weights=b"other", follows=follows)
    result = other.register()
    assert result.outputs == {"model": "veo-world@2"}
    verdict = promotion_of(evidence, "veo-world@2")
    assert (verdict.promote, verdict.baseline) == (promoted, "veo-world@1")
    assert verdict.reason.startswith(reason)
    assert load(evidence.store, "veo-world@latest").reference == "veo-world@2"
    assert default(evidence) == ("veo-world@2" if promoted else "veo-world@1")
    card = evidence.store.get_bytes(result.manifest.files["card"]).decode()
    assert f"{'Promoted' if promoted else 'Not promoted'}: {reason}" in card


def test_a_model_is_held_against_the_one_promoted_last_and_not_against_a_worse_one_between(evidence):
    evidence.register()
    Evidence(evidence.store, weights=b"worse", follows=0.1).register()
    Evidence(evidence.store, weights=b"as good", follows=0.5).register()
    assert promotion_of(evidence, "veo-world@3").baseline == "veo-world@1"
    assert default(evidence) == "veo-world@1"


def test_register_again_changes_neither_verdict_nor_default(evidence):
    first = evidence.register()
    better = Evidence(evidence.store, weights=b"better", follows=0.9)
    second = better.register()
    assert evidence.register().manifest.to_bytes() == first.manifest.to_bytes()
    assert better.register().manifest.to_bytes() == second.manifest.to_bytes()
    assert default(evidence) == "veo-world@2"


def test_the_same_clips_under_other_papers_get_the_verdict_of_their_model(evidence):
    evidence.register()
    evidence.register(intended_use="teaching")
    assert promotion_of(evidence, "veo-world@2").promote
    Evidence(evidence.store, weights=b"better", follows=0.9).register()
    evidence.register(intended_use="research")
    assert promotion_of(evidence, "veo-world@4").baseline == "veo-world@3"
    assert default(evidence) == "veo-world@3"


def test_without_the_scores_of_the_model_before_there_is_no_promotion(evidence, tmp_path):
    evidence.register()
    (tmp_path / "store" / load(evidence.store, "veo-world@1").description.scores.path).unlink()
    Evidence(evidence.store, weights=b"better", follows=0.9).register()
    assert "the scores of veo-world@1 are not in the store" in promotion_of(evidence, "veo-world@2").reason
    assert default(evidence) == "veo-world@1"


def refused(evidence: Evidence, match: str, **changes: Any) -> None:
    with pytest.raises(UsageError, match=match):
        evidence.register(**changes)
    assert list_models(evidence.store) == []


def test_register_refuses_a_model_below_the_policy(evidence):
    evidence.policy = Policy(min_following_held_out=0.9)
    refused(evidence, "following_all, held_out")


@pytest.mark.parametrize("name", FIGURES)
def test_register_refuses_an_unsafe_or_unmarked_model(evidence, name):
    evidence.judge(**{name: 20})
    refused(evidence, f"{name}: 20 of 64")


@pytest.mark.parametrize(
    ("metric", "split", "hits"),
    [
        ("following_all", "held_out", 4),
        ("following_all", "seen", 10),
        ("sync_share_100ms", "all", 4),
        ("memorised", "all", 12),
    ],
)
def test_register_refuses_a_model_that_is_measured_worse_than_the_policy_asks(evidence, metric, split, hits):
    evidence.measure(metric, split, hits)
    refused(evidence, f"{metric}, {split}: ")


KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes(31) + bytes([n])) for n in (1, 2))
SIGNED = Policy(signers={"council": [public_key(KEY)]}, waiver_signers=[public_key(KEY)])


def test_register_with_every_signature_records_who_signed(evidence):
    evidence.policy = SIGNED
    refused(evidence, "sign-off, council: not signed")
    evidence.sign_offs = SignOffs(approvals=[evidence.signed(key=OTHER_KEY)])
    refused(evidence, "sign-off, council: key .* may not sign")
    evidence.sign_offs = SignOffs(approvals=[evidence.signed(key=KEY)])
    card = evidence.store.get_bytes(evidence.register().manifest.files["card"]).decode()
    assert f"| council | {public_key(KEY)[:12]} |" in card
    assert load(evidence.store, "veo-world@1").description.sign_offs == evidence.sign_offs


def test_register_by_a_waiver_records_owner_reason_and_expiry(evidence):
    evidence.policy = SIGNED
    evidence.judge(unsafe_outputs=20)
    approvals = [evidence.signed(key=KEY)]
    evidence.sign_offs = SignOffs(approvals=approvals)
    refused(evidence, "unsafe_outputs")
    waiver = evidence.waived("unsafe_outputs", key=KEY)
    evidence.sign_offs = SignOffs(approvals=approvals, waivers=[waiver])
    card = evidence.store.get_bytes(evidence.register().manifest.files["card"]).decode()
    row = f"| unsafe_outputs | Ada | false alarms | {waiver.expires} | {waiver.key[:12]} |"
    assert row in card
    assert "| unsafe_outputs | waived | " in card
    entry = load(evidence.store, "veo-world@1").description
    assert entry.sign_offs.waivers == [waiver]
    assert {check.waived_by for check in entry.decision.checks if not check.passed} == {"Ada"}


@pytest.mark.parametrize(
    ("waiver", "reason"),
    [
        ({"expires": TOMORROW - datetime.timedelta(days=2)}, "expired on"),
        ({"model": "0" * 64}, "another model or report"),
        ({"report": "0" * 64}, "another model or report"),
        ({"key": OTHER_KEY}, "its key may not waive"),
        ({"rule": "sign-off, council"}, "cannot be waived"),
        ({"rule": "report content"}, "cannot be waived"),
        ({"rule": "report is about this model"}, "cannot be waived"),
    ],
)
def test_register_refuses_a_waiver_that_does_not_hold(evidence, waiver, reason):
    evidence.policy = SIGNED
    evidence.judge(unsafe_outputs=20)
    given = evidence.waived(**({"rule": "unsafe_outputs", "key": KEY} | waiver))
    evidence.sign_offs = SignOffs(approvals=[evidence.signed(key=KEY)], waivers=[given])
    refused(evidence, f"waiver of .*: .*{reason}")


def test_register_refuses_an_unsigned_waiver(evidence):
    evidence.policy = SIGNED
    evidence.judge(unsafe_outputs=20)
    unsigned = evidence.waived("unsafe_outputs", key=KEY).model_copy(update={"signature": ""})
    evidence.sign_offs = SignOffs(approvals=[evidence.signed(key=KEY)], waivers=[unsigned])
    refused(evidence, "its signature is not genuine")


@pytest.mark.parametrize("field", Policy.model_fields)
def test_register_refuses_a_policy_that_was_changed_after_the_decision(evidence, field):
    value = getattr(evidence.policy, field)
    looser = {"signers": {"council": []}, "waiver_signers": ["0" * 64], "assurance_suite": "0" * 64}
    changed = evidence.policy.model_copy(update={field: looser.get(field, value / 2 if value else 1.0)})
    assert changed != evidence.policy
    files = evidence.safety().files | {"policy": evidence.store.put_bytes(changed.to_bytes(), ".json")}
    safety = evidence.safety().model_copy(update={"files": files})
    refused(evidence, "another report or policy|assurance|sign-off", safety=safety)


def test_register_refuses_a_forged_approval(evidence):
    evidence.policy = Policy(min_following_held_out=0.9)
    forged = Decision(approved=True, report=evidence.report.digest, policy=evidence.policy.digest, checks=[])
    refused(evidence, "safety gate is closed", safety=evidence.safety(forged))


def test_register_refuses_a_decision_about_another_policy(evidence):
    forged = Decision(approved=True, report=evidence.report.digest, policy="0" * 64, checks=[])
    refused(evidence, "another report or policy", safety=evidence.safety(forged))


def test_register_refuses_a_stored_disapproval(evidence):
    closed = Decision(approved=False, report=evidence.report.digest, policy=evidence.policy.digest, checks=[])
    refused(evidence, "does not approve", safety=evidence.safety(closed))


@pytest.mark.parametrize("role", ["generated", "evaluation", "dataset"])
def test_register_refuses_stale_evidence(evidence, role):
    newer = getattr(evidence, role).model_copy(update={"config_digest": "0" * 64})
    refused(evidence, "safety gate is closed", **{role: newer})


@pytest.mark.parametrize("name", ["report", "policy", "decision"])
def test_register_refuses_missing_evidence(evidence, name):
    safety = evidence.safety()
    files = {key: ref for key, ref in safety.files.items() if key != name}
    refused(evidence, f"holds no file '{name}'", safety=safety.model_copy(update={"files": files}))


def test_register_refuses_altered_evidence(evidence, tmp_path):
    safety = evidence.safety()
    path = tmp_path / "store" / safety.files["report"].path
    path.write_bytes(path.read_bytes().replace(b'"bad":0', b'"bad":1'))
    with pytest.raises(UsageError, match="was altered"):
        evidence.register(safety=safety)
    assert list_models(evidence.store) == []


@pytest.mark.parametrize("part", PARTS)
def test_register_refuses_a_part_without_weights(evidence, part):
    bare = evidence.parts[part].model_copy(update={"files": {}})
    refused(evidence, f"{part} holds no file 'weights'", **{part: bare})


@pytest.mark.parametrize("part", PARTS)
def test_register_refuses_evidence_about_other_weights(evidence, part):
    files = evidence.parts[part].files | {"weights": evidence.store.put_bytes(b"others", ".safetensors")}
    other = evidence.parts[part].model_copy(update={"files": files})
    refused(evidence, f"the clips were made with another {part}_weights than this", **{part: other})


def test_register_refuses_a_report_about_another_model_of_the_same_clips(evidence):
    evidence.report = evidence.report.model_copy(update={"model": "0" * 64})
    refused(evidence, "report is about this model: found 000000000000")


def entry_files(evidence: Evidence) -> list[FileRef]:
    entry = load(evidence.store, "veo-world@1")
    files = entry.description.files
    line = list_models(evidence.store)[0]
    return [*(getattr(files, name) for name in type(files).model_fields), entry.card, line.entry]


def test_load_finds_every_altered_and_every_missing_file(evidence, tmp_path):
    evidence.register()
    refs = entry_files(evidence)
    assert len(refs) == 10
    for ref in refs:
        path = tmp_path / "store" / ref.path
        original = path.read_bytes()
        path.write_bytes(bytes([original[0] ^ 1]) + original[1:])
        with pytest.raises(UsageError, match="was altered"):
            load(evidence.store, "veo-world@1")
        path.unlink()
        with pytest.raises(UsageError, match="is missing"):
            load(evidence.store, "veo-world@1")
        path.write_bytes(original)
    assert load(evidence.store, "veo-world@1").reference == "veo-world@1"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("veo-world", "expected NAME@VERSION"),
        ("veo-world@", "expected NAME@VERSION"),
        ("veo-world@0", "expected NAME@VERSION"),
        ("nobody@default", "there are: veo-world"),
        ("veo-world@2", "versions of veo-world are 1 to 1"),
        ("nobody@1", "there are: veo-world"),
    ],
)
def test_load_of_an_unknown_model_says_what_there_is(evidence, reference, message):
    evidence.register()
    with pytest.raises(UsageError, match=message):
        load(evidence.store, reference)


def test_load_from_an_empty_registry_says_so(evidence):
    with pytest.raises(UsageError, match="there are: none"):
        load(evidence.store, "veo-world@1")


def test_model_card_states_figures_with_intervals_and_shows_hostile_words_as_text(evidence):
    manifest = evidence.register().manifest
    card = evidence.store.get_bytes(manifest.files["card"]).decode()
    assert card.startswith("# veo-world@1\n")
    assert "| following all (share) | held_out t2v | 0.75 | 0.579 to 0.867 | 32 |" in card
    assert "| a \\| &lt;b&gt;licence&lt;/b&gt; | 1 | 1 |" in card
    assert "4 clips (8 s) from 4 sources" in card
    assert evidence.generated.digest in card


@pytest.mark.parametrize("name", ["", "A", "has space", "../up", "a@b", "-x"])
def test_register_config_refuses_names_that_are_no_names(name):
    with pytest.raises(UsageError, match="name"):
        RegisterConfig.parse({"name": name}, where="register")
