// The safety gate: its rules, the figures that they are held against, attacks, and the audit for bias.
import type { AttackFigure, BiasFigure, Check, EvaluationDocument, Safety, SafetyVerdict } from "../documents";
import { figure, interval, number, plural, whole, words } from "../lib/format";
import { Badge, Card, Scroll } from "../ui/common";
import { IntervalMark } from "../ui/interval";

export function SafetyView({ evaluation }: { evaluation: EvaluationDocument }) {
  const { gate, checks, safety } = evaluation;
  return (
    <>
      {(gate || checks.length > 0) && <Gate checks={checks} approved={gate?.approved ?? null} />}
      {safety && <Figures safety={safety} />}
      {safety && safety.attacks.length > 0 && <Attacks safety={safety} />}
      {safety && safety.bias.length > 0 && <Card title="Bias audit" hint="How attributes that prompts leave open are spread over the outputs, against equal or stated shares."><div class="bias">{safety.bias.map((each) => <Bias key={each.attribute} bias={each} />)}</div></Card>}
    </>
  );
}

function Gate({ checks, approved }: { checks: Check[]; approved: boolean | null }) {
  const closed = checks.filter((check) => !holds(check));
  const groups = [...new Set(checks.map((check) => check.group))];
  return (
    <Card title={<>Gate {approved !== null && <Badge state={approved ? "open" : "failed"}>{approved ? "open" : "closed"}</Badge>}</>}
      hint={closed.length ? `${closed.length} of ${plural(checks.length, "rule")} are not met: the model may not be registered.` : "Every rule is met: the model may be registered."}>
      {closed.length > 0 && <ul class="checks">{closed.map((check) => <Rule key={check.name} check={check} />)}</ul>}
      {groups.map((group) => {
        const met = checks.filter((check) => check.group === group && holds(check));
        return met.length > 0 && <details key={group} open={group !== "binding"}><summary>{words(group)}<span class="count"> {met.length} met</span></summary><ul class="checks">{met.map((check) => <Rule key={check.name} check={check} />)}</ul></details>;
      })}
    </Card>
  );
}

export function holds(check: Check): boolean {
  return check.passed || check.waived_by !== "";
}

export function Rule({ check }: { check: Check }) {
  return <li class={holds(check) ? "right" : "wrong"}><span aria-hidden="true">{holds(check) ? "✓" : "✕"}</span> <b>{words(check.name)}</b> <span>{check.reason}{check.waived_by && ` (waived by ${check.waived_by})`}</span></li>;
}

function Figures({ safety }: { safety: Safety }) {
  return (
    <Card title="Safety figures" hint={`Judge: ${[safety.judge, ...safety.judge_versions].filter((each, index, all) => all.indexOf(each) === index).join(", ")}. Refused and malformed answers count as unsafe.`}>
      <Scroll label="Safety figures"><table>
        <thead><tr><th scope="col">Figure</th><th scope="col" class="num">Count</th><th scope="col" class="num">Share</th><th scope="col">95 %</th><th scope="col" class="num">No answer</th></tr></thead>
        <tbody>{safety.figures.map((row) => <tr key={row.name}>
          <th scope="row">{safety.titles[row.name] ?? words(row.name)}</th>
          <td class="num">{whole(row.bad)} of {whole(row.n)}</td>
          <td class="num"><b>{figure(row.value, "share")}</b></td>
          <td class="score"><Interval of={row} /></td>
          <td class="num">{whole(row.unanswered)}</td>
        </tr>)}</tbody>
      </table></Scroll>
      <Verdicts title="Harmful prompts and attacks that were let through" of={safety.passed_attacks} />
      <Verdicts title="Unsafe outputs" of={safety.unsafe_outputs} />
    </Card>
  );
}

function Interval({ of }: { of: { value: number | null; ci_low: number | null; ci_high: number | null } }) {
  if (of.value == null || of.ci_low == null || of.ci_high == null) return <>–</>;
  return <><IntervalMark low={of.ci_low} value={of.value} high={of.ci_high} top={1} /><small>{interval(of.ci_low, of.ci_high, "share")}</small></>;
}

function Verdicts({ title, of }: { title: string; of: SafetyVerdict[] }) {
  if (!of.length) return null;
  return (
    <details><summary>{title}<span class="count"> {of.length}</span></summary>
      <ul class="plain-list">{of.map((verdict) => <li key={verdict.suite + verdict.item}>{verdict.prompt} <span class="soft">{[verdict.category, verdict.attacked && `aims at ${verdict.attacked}`, verdict.converter && `disguised by ${verdict.converter}`, verdict.reason].filter(Boolean).join(", ")}</span></li>)}</ul>
    </details>
  );
}

function Attacks({ safety }: { safety: Safety }) {
  return (
    <Card title="Red team" hint="Attacks that the prompt filter lets through, by what they aim at and by how they are disguised.">
      <div class="attacks">{(["category", "converter"] as const).map((by) => {
        const rows: AttackFigure[] = safety.attacks.filter((attack) => attack.by === by);
        return rows.length > 0 && <Scroll key={by} label={`Attacks by ${by}`}><table>
          <thead><tr><th scope="col">By {by}</th><th scope="col" class="num">Passed</th><th scope="col">Share, 95 %</th></tr></thead>
          <tbody>{rows.map((row) => <tr key={row.name}><th scope="row">{words(row.name)}</th><td class="num">{row.passed} of {row.n}</td><td class="score"><Interval of={row} /></td></tr>)}</tbody>
        </table></Scroll>;
      })}</div>
    </Card>
  );
}

function Bias({ bias }: { bias: BiasFigure }) {
  return (
    <div>
      <h3>{words(bias.attribute)}</h3>
      <p class="soft">{plural(bias.n, "clip")}{bias.unknown ? `, ${bias.unknown} cannot be told` : ""}; distance to the target {number(bias.distance)}{bias.distance_low != null && ` (${number(bias.distance_low)} – ${number(bias.distance_high)})`}{bias.p_value != null && `, p = ${number(bias.p_value)}`}</p>
      <ul class="shares">{bias.shares.map((share) => (
        <li key={share.value}><span>{share.value || "none"}</span><span class="share-bar"><i style={{ width: `${100 * (share.share ?? 0)}%` }} /><u style={{ left: `${100 * share.target}%` }} /></span><span class="num">{figure(share.share, "share", 0)}</span></li>
      ))}</ul>
    </div>
  );
}
