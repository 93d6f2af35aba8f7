// What differs between two runs, from where they part to what came of it.
import type { ComponentChildren } from "preact";
import type { Cause, ClipFate, CompareDocument, DataDifference, Interval, MetricDifference, RunDifference, StageDifference, ValueChange } from "../documents";
import { figure, interval, number, plural, sentence, short, whole, words } from "../lib/format";
import { Card, Notes, Scroll } from "../ui/common";
import { IntervalMark } from "../ui/interval";

const SHOWN = 200;
const CAUSES = 6;

export function DifferenceView({ compared }: { compared: CompareDocument }) {
  const { difference } = compared;
  if (!difference) return <p class="notice">The two runs cannot be compared beyond their clips.</p>;
  return (
    <>
      <Notes of={difference.notes} />
      <Parting difference={difference} />
      <div class="changes-area">
        <Changes title="Parameters" of={difference.parameters} />
        <Changes title="Code" of={difference.code} extra={difference.commits.length > 0 && <ul class="plain-list">{difference.commits.map((commit) => <li key={commit}><code>{commit}</code></li>)}</ul>} />
        <Changes title="Libraries" of={difference.packages} />
        <Changes title="Images" of={difference.images} />
        <Changes title="Machine" of={difference.machine} />
      </div>
      {difference.data && <Data data={difference.data} />}
      {difference.metrics.length > 0 && <Metrics rows={difference.metrics} />}
      <Stages stages={difference.stages} diverging={difference.diverging} />
    </>
  );
}

function Parting({ difference }: { difference: RunDifference }) {
  const stage = difference.stages.find((each) => each.task === difference.diverging);
  if (!stage) {
    const same = difference.stages.length > 0 && difference.stages.every((each) => each.outcome === "equal");
    return <p class="notice">{same ? "Every stage of both runs came to an end with equal outputs." : "No output differs as far as both runs came."}</p>;
  }
  return (
    <Card title={<>They part at <b>{stage.task}</b></>} hint="The first stage whose output differs though all that it read is equal.">
      {stage.causes.length ? <Causes of={stage.causes.slice(0, CAUSES)} /> : <p class="unknown">No cause is recorded.</p>}
      {stage.causes.length > CAUSES && <details><summary>{plural(stage.causes.length - CAUSES, "more cause")}</summary><Causes of={stage.causes.slice(CAUSES)} /></details>}
    </Card>
  );
}

function Causes({ of }: { of: Cause[] }) {
  return <ul class="causes">{of.map((cause) => <li key={cause.kind + cause.name + cause.text}><span class="badge">{words(cause.kind)}</span> {cause.text}</li>)}</ul>;
}

function Changes({ title, of, extra }: { title: string; of: ValueChange[]; extra?: ComponentChildren }) {
  if (!of.length && !extra) return null;
  return (
    <Card title={<>{title} <span class="count">{of.length}</span></>}>
      {extra}
      <Scroll label={title}><table class="values">
        <thead><tr><th scope="col">Name</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
        <tbody>{of.slice(0, SHOWN).map((change) => <tr key={change.name}><th scope="row"><code>{change.name}</code></th><Value of={change.first} /><Value of={change.second} /></tr>)}</tbody>
      </table></Scroll>
      {of.length > SHOWN && <p class="soft">and {whole(of.length - SHOWN)} more</p>}
    </Card>
  );
}

function Value({ of }: { of: unknown }) {
  if (of === null || of === undefined) return <td class="soft">–</td>;
  const text = typeof of === "string" ? of : JSON.stringify(of);
  return <td title={text}>{short(text)}</td>;
}

function Data({ data }: { data: DataDifference }) {
  const counts = (added: number, removed: number, changed: number) => `${whole(added)} added, ${whole(removed)} removed, ${whole(changed)} changed`;
  return (
    <Card title="Data" hint={<>Clips kept in the end: <b>{whole(data.first_kept)}</b> in A, <b>{whole(data.second_kept)}</b> in B. Sources: {counts(data.sources_added, data.sources_removed, data.sources_changed)}. Clips: {counts(data.clips_added, data.clips_removed, data.clips_changed)}.</>}>
      {data.flows.length > 0 && <Scroll label="What became of clips"><table>
        <thead><tr><th scope="col" class="num">Clips</th><th scope="col">In A</th><th scope="col">In B</th></tr></thead>
        <tbody>{data.flows.map((flow, index) => <tr key={index}><td class="num"><b>{whole(flow.items)}</b></td><td>{fate(flow.first_verdict, flow.first_stage, flow.first_rule)}</td><td>{fate(flow.second_verdict, flow.second_stage, flow.second_rule)}</td></tr>)}</tbody>
      </table></Scroll>}
      {data.sources.length > 0 && <details><summary>Sources<span class="count"> {data.sources.length} listed</span></summary><ul class="plain-list">{data.sources.map((source) => <li key={source.kind + source.name}><span class="soft">{source.kind}</span> {source.name}</li>)}</ul></details>}
      {data.clips.length > 0 && <details><summary>Clips<span class="count"> {data.clips.length} listed</span></summary><Scroll label="Changed clips"><table>
        <thead><tr><th scope="col">Source</th><th scope="col">Clip</th><th scope="col">In A</th><th scope="col">In B</th></tr></thead>
        <tbody>{data.clips.map((clip) => <tr key={clip.item}><th scope="row">{short(clip.source)}</th><td><code>{short(clip.item)}</code></td><td><Fate of={clip.first} /></td><td><Fate of={clip.second} /></td></tr>)}</tbody>
      </table></Scroll></details>}
    </Card>
  );
}

function fate(verdict: string, stage: string, rule: string): string {
  if (!verdict) return "not there";
  return verdict === "kept" ? "kept" : `${verdict} by ${stage}${rule ? `: ${words(rule)}` : ""}`;
}

function Fate({ of }: { of: ClipFate | null }) {
  if (!of) return <span class="soft">not there</span>;
  return <>{fate(of.verdict, of.stage, of.rule)}{of.value && <span class="soft"> {of.value}{of.threshold && ` (limit ${of.threshold})`}</span>}</>;
}

function Metrics({ rows }: { rows: MetricDifference[] }) {
  const changed = (row: MetricDifference) => (row.first?.value ?? null) !== (row.second?.value ?? null);
  const rank = (row: MetricDifference) => (row.test && row.test.verdict !== "undecided" ? 0 : row.test ? 1 : row.first && row.second ? 2 : 3);
  const moved = rows.filter(changed).sort((a, b) => rank(a) - rank(b));
  const equal = rows.filter((row) => !changed(row));
  return (
    <Card title="Scores" hint="Both runs with their 95 % intervals; where both answered the same prompts, a paired test says which is better.">
      {moved.length > 0 ? <MetricTable rows={moved} /> : <p>Every score is equal.</p>}
      {moved.length > 0 && equal.length > 0 && <details><summary>{equal.length} equal</summary><MetricTable rows={equal} /></details>}
    </Card>
  );
}

function MetricTable({ rows }: { rows: MetricDifference[] }) {
  return (
    <Scroll label="Scores of both runs"><table>
      <thead><tr><th scope="col">Metric</th><th scope="col">Clips</th><th scope="col" class="num">A</th><th scope="col" class="num">B</th><th scope="col">A above, B below</th><th scope="col">Paired test</th></tr></thead>
      <tbody>{rows.map((row) => {
        const ends = [row.first, row.second].flatMap((side) => (side ? [side.ci_low, side.ci_high, side.value] : [])).filter((value): value is number => value != null);
        const [low, high] = row.unit === "share" ? [0, 1] : [Math.min(0, ...ends), Math.max(...ends, 1e-9)];
        return (
          <tr key={row.metric + row.split + row.mode}>
            <th scope="row">{sentence(row.metric)}</th>
            <td class="soft">{words(`${row.split} ${row.mode}`)}</td>
            <Measured of={row.first} unit={row.unit} />
            <Measured of={row.second} unit={row.unit} />
            <td class="score two">{[row.first, row.second].map((side, index) => side?.value != null && side.ci_low != null && side.ci_high != null && <IntervalMark key={index} low={side.ci_low} value={side.value} high={side.ci_high} bottom={low} top={high} />)}</td>
            <td>{row.test ? <><span class={`badge ${row.test.verdict === "better" ? "right" : row.test.verdict === "worse" ? "wrong" : ""}`}>{row.test.verdict === "undecided" ? "undecided" : `B ${row.test.verdict}`}</span> <span class="soft">{interval(row.test.ci_low, row.test.ci_high, row.unit)}, p = {number(row.test.p_value)}</span></> : <span class="soft">–</span>}</td>
          </tr>
        );
      })}</tbody>
    </table></Scroll>
  );
}

function Measured({ of, unit }: { of: Interval | null; unit: string }) {
  return <td class="num">{of ? <><b>{figure(of.value, unit)}</b><br /><small class="soft">{interval(of.ci_low, of.ci_high, unit)}</small></> : "–"}</td>;
}

function Stages({ stages, diverging }: { stages: StageDifference[]; diverging: string }) {
  const digests = (of: Record<string, string>) => Object.values(of).map((digest) => digest.slice(0, 10)).join(" ");
  return (
    <Card title="Stage by stage" hint={plural(stages.length, "stage")}>
      <Scroll label="Stages"><table>
        <thead><tr><th scope="col">Stage</th><th scope="col">Output</th><th scope="col">A</th><th scope="col">B</th><th scope="col">Because of</th></tr></thead>
        <tbody>{stages.map((stage) => (
          <tr key={stage.task} class={stage.task === diverging ? "diverging" : ""}>
            <th scope="row">{stage.task}</th>
            <td><span class={`badge ${stage.outcome === "equal" ? "right" : stage.outcome === "different" ? "dropped" : ""}`}>{words(stage.outcome)}</span></td>
            <td><small class="soft">{stage.first_state.toLowerCase()}</small> <code>{digests(stage.first_digests)}</code></td>
            <td><small class="soft">{stage.second_state.toLowerCase()}</small> <code>{digests(stage.second_digests)}</code></td>
            <td>{stage.causes.slice(0, 2).map((cause) => cause.text).join("; ")}{stage.causes.length > 2 && ` and ${stage.causes.length - 2} more`}{stage.causes.length > 0 && stage.upstream.length > 0 && "; "}{stage.upstream.length > 0 && `its input from ${stage.upstream.join(", ")}`}</td>
          </tr>
        ))}</tbody>
      </table></Scroll>
    </Card>
  );
}
