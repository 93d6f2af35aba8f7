"""Judge a generated set and its prompt filter, and decide whether the model may be registered."""

import datetime
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import ClipScore, EvaluationSummary
from veo_core.judges.batch import run_all
from veo_core.judges.config import JudgeConfig
from veo_core.moderation.categories import HAZARD
from veo_core.moderation.filter import FilterPolicy, rule_on_prompts
from veo_core.moderation.red_team import Attack, attack_suite
from veo_core.moderation.verdicts import Ruling, Verdict, ruling_of, unjudged
from veo_core.publish import Result
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.generated import GeneratedClip, RefusedPrompt
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.safety.assurance import AssuranceSuite, load_suite
from veo_core.safety.bias import UNSPECIFIED, audit_world, world_targets
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.marks import MarkRead, read_back, require_keys, unmarked_figure
from veo_core.safety.pages import VIEWS
from veo_core.safety.people import QUESTION, PersonReading, PersonSeen, audit_people, reading_of
from veo_core.safety.records import (
    Approval,
    AttackFigure,
    Figure,
    FigureName,
    Policy,
    SafetyReport,
    SafetyVerdict,
    SignOffs,
    Waiver,
)
from veo_core.safety.views import ClipView, view_clips
from veo_core.stage import Context, stage_main
from veo_core.storage.published import published
from veo_core.world.grammar import Suite, prompt_suite

RED_TEAM = "red_team"

Outputs = list[tuple[GeneratedClip, Ruling]]
Ruled = list[tuple[str, Ruling]]


class SafetyConfig(Record):
    """How a generated set is judged, and what the gate asks for."""

    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="the judge of clips and prompts")
    frames: int = Field(default=4, ge=1, description="frames of each clip that the judge sees, evenly spread")
    frame_side: int = Field(default=256, ge=16, description="longest side of those frames in pixels")
    filter: FilterPolicy = Field(
        default_factory=FilterPolicy, description="the prompt filter under test; what is asked about clips"
    )
    red_team_prompts: int = Field(
        default=48, ge=1, description="the world's harmful prompts to try on it, where it refuses hazards"
    )
    attacks: int = Field(default=160, ge=0, description="attacks of the red-team suite to try on it")
    ordinary_prompts: int = Field(default=48, ge=1, description="ordinary prompts to try on it")
    assurance: AssuranceSuite | None = Field(
        default=None, description="prompts kept apart from development, {uri, sha256}"
    )
    bias_targets: dict[str, dict[str, float]] = Field(
        default_factory=world_targets, description="wanted share of each value, by attribute"
    )
    people: bool = Field(
        default=False, description="whether the judge is asked for skin tone and gender presentation, too"
    )
    policy: Policy = Field(default_factory=Policy, description="thresholds of the gate, and who must sign")
    approvals: list[Approval] = Field(default_factory=list, description="what `veo approve` wrote")
    waivers: list[Waiver] = Field(default_factory=list, description="what `veo approve --waive` wrote")


def run(*, generated: Manifest, evaluation: Manifest, config: SafetyConfig, context: Context) -> Result:
    """Judge clips and prompts, write the report, and apply the policy.

    Raises:
        UsageError: a manifest lacks what is judged, no judge server answers, the assurance suite is not the
            one that is named, or the key that marked the clips is not at hand.
    """
    store = context.store
    _require(generated.tables, "generated", generated, "table of generated clips")
    _require(generated.files, "model", generated, "file 'model'")
    _require(evaluation.files, "summary", evaluation, "file 'summary'")
    summary = published(evaluation, "summary", EvaluationSummary, store)
    clips = store.get_table(generated.tables["generated"], GeneratedClip)
    assurance = load_suite(config.assurance) if config.assurance else []
    marks = _marks(clips, context)

    outputs, people = _judged_clips(clips, config, context)
    bias = audit_world(_scores(evaluation, context), config.bias_targets)
    if config.people:
        bias += audit_people(people)
    refuses_hazards = any(category.name == HAZARD.name for category in config.filter.categories)
    harmful = _world_prompts("harmful", config.red_team_prompts, config, context) if refuses_hazards else []
    attacks, attempts = _attacks(config, context)
    ordinary = _world_prompts("seen", config.ordinary_prompts, config, context)
    apart = _on_prompts([prompt.prompt for prompt in assurance], config, context, "filter assurance prompts")
    shown = [ruling for clip, ruling in outputs if clip.split != RED_TEAM]
    figures = [
        _figure("unsafe_outputs", shown, bad_when_unsafe=True),
        _figure("red_team_passed", [*_rulings(harmful), *attempts], bad_when_unsafe=False),
        _attacked_outputs(outputs, generated, context),
        _figure("ordinary_blocked", _rulings(ordinary), bad_when_unsafe=True),
        unmarked_figure(marks),
    ]
    if assurance:
        refuse, allow = (
            [ruling for (_, ruling), line in zip(apart, assurance, strict=True) if line.unsafe == unsafe]
            for unsafe in (True, False)
        )
        figures.append(_figure("assurance_passed", refuse, bad_when_unsafe=False))
        figures.append(_figure("assurance_blocked", allow, bad_when_unsafe=True))
    verdicts = [
        *(_verdict("outputs", clip.media.sha256, clip.prompt, ruling) for clip, ruling in outputs),
        *_of_prompts("harmful", harmful),
        *_of_prompts("seen", ordinary),
        *_of_prompts("assurance", apart),
        *(_of_attack(attack, ruling) for attack, ruling in zip(attacks, attempts, strict=True)),
    ]
    report = SafetyReport(
        model=generated.files["model"].sha256,
        generated=generated.digest,
        evaluation=evaluation.digest,
        judge=config.judge.model,
        judge_versions=sorted({verdict.judge_version for verdict in verdicts if verdict.judge_version}),
        figures=figures,
        attacks=_attack_figures(attacks, attempts),
        bias=bias,
        assurance=config.assurance.sha256 if config.assurance else "",
    )
    sign_offs = SignOffs(approvals=config.approvals, waivers=config.waivers)
    files = {
        "report": store.put_bytes(report.to_bytes(), ".json"),
        "policy": store.put_bytes(config.policy.to_bytes(), ".json"),
        "sign_offs": store.put_bytes(sign_offs.to_bytes(), ".json"),
    }
    bindings = Bindings(
        model=generated.files["model"].sha256,
        generated=generated.digest,
        evaluation=evaluation.digest,
        dataset=None,
        summary=evaluation.files["summary"].sha256,
        report=files["report"].sha256,
    )
    decision = decide(
        report,
        config.policy,
        summary,
        bindings,
        today=datetime.datetime.now(datetime.UTC).date(),
        approvals=config.approvals,
        waivers=config.waivers,
    )
    files["decision"] = store.put_bytes(decision.to_bytes(), ".json")
    for reason in decision.reasons:
        print(f"gate: {reason}")
    print("gate: open" if decision.approved else "gate: closed, the model may not be registered")
    manifest = Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=len(verdicts),
        tables={
            "verdicts": store.put_table(sorted_by(verdicts, "suite", "item", "converter"), SafetyVerdict),
            "marks": store.put_table(marks, MarkRead),
            "people": store.put_table(people, PersonReading),
        },
        files=files,
        metrics={figure.name: figure.value for figure in report.figures if figure.value is not None}
        | {f"bias/{bias.attribute}": bias.distance for bias in report.bias if bias.distance is not None},
    )
    return Result(manifest, {"approved": "true" if decision.approved else "false"})


def _require(found: dict[str, Any], name: str, manifest: Manifest, what: str) -> None:
    if name not in found:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no {what}")


def _marks(clips: list[GeneratedClip], context: Context) -> list[MarkRead]:
    require_keys(clips)
    rows = context.map_shards(
        clips,
        partial(read_back, root=context.store.root),
        identity=lambda clip: f"mark {clip.split} {clip.mode} {clip.seed} {clip.clip_id}",
        result=MarkRead,
    )
    return sorted_by(rows, "clip_id")


def _judged_clips(
    clips: list[GeneratedClip], config: SafetyConfig, context: Context
) -> tuple[Outputs, list[PersonReading]]:
    """The ruling on each clip, and what the judge says of people where it is asked."""
    store = context.store
    views = list(
        context.map_shards(
            list({clip.media.sha256: clip.media for clip in clips}.values()),
            partial(view_clips, root=store.root, frames=config.frames, side=config.frame_side),
            identity=lambda ref: ref.sha256,
            result=ClipView,
        )
    )
    shown = [view for view in views if not view.problem]
    outcomes = run_all(
        [view.question(config.filter.asked_of_outputs, store) for view in shown],
        answer=Verdict,
        config=config.judge,
        store=store,
        label="judge outputs",
    )
    rulings = {view.clip_id: unjudged(view.problem) for view in views if view.problem}
    rulings |= {
        view.clip_id: ruling_of(outcome, config.filter.categories)
        for view, outcome in zip(shown, outcomes, strict=True)
    }
    outputs = [(clip, rulings[clip.media.sha256]) for clip in clips]
    if not config.people:
        return outputs, []
    open_ones = {clip.media.sha256 for clip in clips if clip.split == UNSPECIFIED}
    looked_at = [view for view in shown if view.clip_id in open_ones]
    people = run_all(
        [view.question(QUESTION, store) for view in looked_at],
        answer=PersonSeen,
        config=config.judge,
        store=store,
        label="look at people",
    )
    return outputs, [
        reading_of(view.clip_id, outcome) for view, outcome in zip(looked_at, people, strict=True)
    ]


def _world_prompts(suite: Suite, count: int, config: SafetyConfig, context: Context) -> Ruled:
    prompts = [prompt.text for prompt in prompt_suite(suite, count, context.seed)]
    return _on_prompts(prompts, config, context, f"filter {suite} prompts")


def _on_prompts(prompts: list[str], config: SafetyConfig, context: Context, label: str) -> Ruled:
    rulings = rule_on_prompts(prompts, config.filter, config.judge, context.store, label)
    return list(zip(prompts, rulings, strict=True))


def _attacks(config: SafetyConfig, context: Context) -> tuple[list[Attack], list[Ruling]]:
    """The attacks and the rulings on their last turns."""
    attacks = attack_suite(config.attacks, context.seed, config.filter.categories)
    prompts = [attack.prompt for attack in attacks]
    return attacks, rule_on_prompts(prompts, config.filter, config.judge, context.store, "filter attacks")


def _attacked_outputs(outputs: Outputs, generated: Manifest, context: Context) -> Figure:
    """Attacks on the filter and the model together: one fails at the filter, or when its clip is harmless."""
    refused = 0
    if "refused" in generated.tables:
        rows = context.store.get_table(generated.tables["refused"], RefusedPrompt)
        refused = sum(row.split == RED_TEAM for row in rows)
    made = [ruling for clip, ruling in outputs if clip.split == RED_TEAM]
    stopped = [Ruling(unsafe=False, tier="lexicon")] * refused
    return _figure("red_team_outputs", [*made, *stopped], bad_when_unsafe=True)


def _scores(evaluation: Manifest, context: Context) -> list[ClipScore]:
    if "scores" not in evaluation.tables:
        return []
    return context.store.get_table(evaluation.tables["scores"], ClipScore)


def _rulings(ruled: Ruled) -> list[Ruling]:
    return [ruling for _, ruling in ruled]


def _of_prompts(suite: str, ruled: Ruled) -> Iterator[SafetyVerdict]:
    for prompt, ruling in ruled:
        yield _verdict(suite, sha256_bytes(prompt.encode()), prompt, ruling)


def _of_attack(attack: Attack, ruling: Ruling) -> SafetyVerdict:
    item = sha256_bytes(attack.prompt.encode())
    verdict = _verdict("attacks", item, attack.prompt, ruling)
    return verdict.model_copy(update={"attacked": attack.category, "converter": attack.converter})


def _verdict(suite: str, item: str, prompt: str, ruling: Ruling) -> SafetyVerdict:
    return SafetyVerdict(suite=suite, item=item, prompt=prompt, **ruling.model_dump())


def _attack_figures(attacks: Sequence[Attack], rulings: Sequence[Ruling]) -> list[AttackFigure]:
    figures = []
    ways: tuple[Literal["category", "converter"], ...] = ("category", "converter")
    for by in ways:
        groups: dict[str, list[bool]] = {}
        for attack, ruling in zip(attacks, rulings, strict=True):
            groups.setdefault(getattr(attack, by), []).append(not ruling.unsafe)
        for name, passed in sorted(groups.items()):
            estimate = wilson(sum(passed), len(passed))
            figures.append(
                AttackFigure(
                    by=by,
                    name=name,
                    passed=sum(passed),
                    n=estimate.n,
                    value=estimate.value,
                    ci_low=estimate.low,
                    ci_high=estimate.high,
                )
            )
    return figures


def _figure(name: FigureName, rulings: Sequence[Ruling], *, bad_when_unsafe: bool) -> Figure:
    bad = sum(ruling.unsafe == bad_when_unsafe for ruling in rulings)
    estimate = wilson(bad, len(rulings))
    return Figure(
        name=name,
        bad=bad,
        unanswered=sum(not ruling.answered for ruling in rulings),
        n=estimate.n,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
