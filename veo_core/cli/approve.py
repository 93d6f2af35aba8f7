"""`veo approve` and `veo gate`: sign the evidence of a run, and replay the gate on it."""

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.records.base import read_yaml
from veo_core.runner import runs
from veo_core.storage import Store

if TYPE_CHECKING:
    from veo_core.cli.candidate import Candidate
    from veo_core.safety.records import SignOffs

# The modules of the safety evaluation import cryptography, which other commands do without.

_SECTION = "safety_evaluation"


def add_parsers(subcommands: Any) -> None:
    """Add `approve` and `gate` to the command line."""
    approve = subcommands.add_parser(
        "approve",
        help="sign a model's safety report",
        description="Sign the safety report of a run for a role, or waive one rule of the gate. The "
        "signature goes to a recipe file, which the next `veo run` takes as a further --config.",
    )
    approve.add_argument("model", nargs="?", metavar="RUN_OR_MODEL", help="a run, or NAME@VERSION")
    approve.add_argument("--role", help="the role that signs, as the policy names it")
    approve.add_argument("--waive", metavar="RULE", help="the rule to waive, as `veo gate` names it")
    approve.add_argument("--owner", default="", help="who answers for the waiver")
    approve.add_argument("--reason", default="", help="why the rule is waived")
    approve.add_argument("--expires", metavar="YYYY-MM-DD", help="last day of the waiver")
    approve.add_argument("--key", type=Path, metavar="FILE", help="Ed25519 private key, PEM")
    approve.add_argument("--new-key", type=Path, metavar="FILE", help="make a key and print its public half")
    approve.add_argument(
        "--out",
        type=Path,
        default=Path("approvals.yaml"),
        metavar="FILE",
        help="recipe that gets the signature; what it holds stays (default: approvals.yaml)",
    )
    approve.set_defaults(execute=_approve)

    gate = subcommands.add_parser(
        "gate",
        help="replay the safety gate and print every rule",
        description="Replay the gate of a run or a registered model from stored evidence; 1 where closed.",
    )
    gate.add_argument("model", nargs="?", default=runs.LATEST, metavar="RUN_OR_MODEL", help="default: latest")
    gate.add_argument("--at", metavar="YYYY-MM-DD", help="day on which waivers must hold (default: today)")
    gate.set_defaults(execute=_gate)

    for parser in (approve, gate):
        add_runs(parser)
        add_root(parser, "store of the evidence")


def _approve(arguments: argparse.Namespace) -> int:
    from veo_core.cli.candidate import find_candidate
    from veo_core.safety.records import Approval, SignOffs, Waiver
    from veo_core.safety.signatures import load_key, public_key, signed, write_new_key

    if arguments.new_key is not None:
        print(f"public key: {public_key(write_new_key(arguments.new_key))}")
        return 0
    if arguments.model is None or arguments.key is None:
        raise UsageError("name a run or model and --key FILE; `veo approve --new-key FILE` makes a key")
    if (arguments.role is None) == (arguments.waive is None):
        raise UsageError("give either --role NAME or --waive RULE")
    key = load_key(arguments.key)
    candidate = find_candidate(arguments.model, runs=arguments.runs, store=Store(arguments.root))
    bound = {"model": candidate.bindings.model, "report": candidate.bindings.report, "key": public_key(key)}
    if arguments.role is not None:
        values = {"role": arguments.role, **bound, "signature": ""}
        approval = signed(Approval.parse(values, where="--role"), key)
        _require_counted(candidate, SignOffs(approvals=[approval]), f"sign-off, {approval.role}")
        _write(arguments.out, "approvals", approval.model_dump(mode="json"))
    else:
        if arguments.expires is None or not arguments.owner or not arguments.reason:
            raise UsageError("a waiver needs --owner, --reason and --expires")
        values = {
            "rule": arguments.waive,
            "owner": arguments.owner,
            "reason": arguments.reason,
            "expires": arguments.expires,
            **bound,
            "signature": "",
        }
        waiver = signed(Waiver.parse(values, where="--waive"), key)
        _require_counted(candidate, SignOffs(waivers=[waiver]), waiver.rule)
        _write(arguments.out, "waivers", waiver.model_dump(mode="json"))
    print(
        f"{arguments.out}: signed with key {public_key(key)[:12]}; "
        f"run again with `--config {arguments.out}` besides the recipe of {arguments.model}"
    )
    return 0


def _require_counted(candidate: "Candidate", sign_offs: "SignOffs", rule: str) -> None:
    """See to it that a signature counts at the gate: one that does not would close it."""
    decision = candidate.decide(_today(), sign_offs)
    refused = next((check for check in decision.checks if check.name == f"waiver of {rule}"), None)
    check = refused or next((check for check in decision.checks if check.name == rule), None)
    if check is None:
        named = ", ".join(candidate.policy.signers) or "none"
        raise UsageError(f"{rule}: the policy of {candidate.name} has no such rule; roles that sign: {named}")
    if not check.holds:
        raise UsageError(f"not signed: {check.name}: {check.reason}")


def _write(path: Path, name: str, record: dict[str, Any]) -> None:
    """Add a signature to a recipe file."""
    recipe = (read_yaml(path) or {}) if path.exists() else {}
    if not isinstance(recipe, dict) or not isinstance(recipe.setdefault(_SECTION, {}), dict):
        raise UsageError(f"{path}: no recipe; choose another file with --out")
    recipe[_SECTION][name] = [*(recipe[_SECTION].get(name) or []), record]
    try:
        path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _gate(arguments: argparse.Namespace) -> int:
    from veo_core.cli.candidate import find_candidate

    today = _today()
    if arguments.at is not None:
        try:
            today = datetime.date.fromisoformat(arguments.at)
        except ValueError:
            raise UsageError(f"--at {arguments.at}: write the day as YYYY-MM-DD") from None
    candidate = find_candidate(arguments.model, runs=arguments.runs, store=Store(arguments.root))
    decision = candidate.decide(today)
    for check in decision.checks:
        state = "waived" if check.waived_by and not check.passed else "pass" if check.passed else "FAIL"
        by = f" (waived by {check.waived_by})" if check.waived_by else ""
        print(f"{state:7}{check.group:13}{check.name.replace('_', ' ')}: {check.reason}{by}")
    print("gate: open" if decision.approved else "gate: closed")
    return 0 if decision.approved else 1
