// The curation: what came into each stage, what left it, and why.
import type { Flow, FunnelDocument, FunnelStage, RunDocument, SimilarityReport } from "../documents";
import { useDocument } from "../lib/document";
import { number, plural, whole, words } from "../lib/format";
import { writeWhere, type Where } from "../lib/query";
import { href } from "../lib/route";
import { Await, Card, Notes, Scroll } from "../ui/common";
import { Histogram } from "../ui/histogram";
import { Sankey } from "./sankey";

const VERDICTS = ["kept", "dropped", "quarantined", "failed"] as const;

export function FunnelPage({ run }: { run: RunDocument }) {
  const funnel = useDocument<FunnelDocument>(`/api/runs/${encodeURIComponent(run.summary.id)}/funnel`);
  return <Await of={funnel} what="the funnel">{(found) => <Funnel run={run.summary.id} funnel={found} />}</Await>;
}

export function clipsHref(run: string, where: Record<string, unknown>): string {
  return href(["run", run, "clips"], { where: writeWhere(where as Where) });
}

function Funnel({ run, funnel }: { run: string; funnel: FunnelDocument }) {
  const { stages, flows } = funnel;
  const widest = Math.max(...stages.map((stage) => stage.received + stage.added));
  if (!stages.length) return <div class="stack"><Notes of={[...funnel.unfinished, ...funnel.notes]} /><p class="notice">No stage of this run has decided on clips yet.</p></div>;
  return (
    <div class="stack">
      <Notes of={[...funnel.unfinished, ...funnel.notes]} />
      <Card title="Where clips went" hint="Every item that came in was kept, dropped, failed or quarantined. Choose a flow for its clips."
        aside={<p class="legend">{VERDICTS.map((verdict) => <span key={verdict}><i class={`dot ${verdict}`} /> {verdict}</span>)}</p>}>
        <Sankey run={run} funnel={funnel} />
      </Card>
      <Card title="Reasons">
        <ol class="reasons">{stages.map((stage, index) => <Stage key={stage.task} run={run} stage={stage} flows={flows.filter((flow) => flow.source === index && flow.verdict !== "kept")} widest={widest} />)}</ol>
      </Card>
      {funnel.similarity.map((report, index) => <Similarity key={index} report={report} />)}
      {funnel.filters.length > 0 && <Card title="How well the filters work" hint="As measured where the truth is known.">
        <Scroll label="Filters"><table>
          <thead><tr><th scope="col">Filter</th><th scope="col" class="num">Precision</th><th scope="col" class="num">Recall</th><th scope="col" class="num">n</th><th scope="col">Evidence</th></tr></thead>
          <tbody>{funnel.filters.map((filter) => <tr key={filter.filter}><th scope="row">{words(filter.filter)}</th><td class="num">{number(filter.precision)}</td><td class="num">{number(filter.recall)}</td><td class="num">{whole(filter.n)}</td><td>{filter.evidence}</td></tr>)}</tbody>
        </table></Scroll>
      </Card>}
    </div>
  );
}

function Stage({ run, stage, flows, widest }: { run: string; stage: FunnelStage; flows: Flow[]; widest: number }) {
  const into = stage.received + stage.added;
  return (
    <li>
      <h3><a href={href(["run", run, "task", String(stage.task)])}>{stage.name}</a></h3>
      <p class="soft">{whole(stage.received)}{stage.added ? ` + ${whole(stage.added)} added` : ""} in, <b>{whole(stage.kept)} kept</b></p>
      <div class="funnel-bar" role="img" aria-label={`${stage.kept} of ${into} kept`} style={{ width: `${(100 * into) / (widest || 1)}%` }}>
        {VERDICTS.map((verdict) => stage[verdict] > 0 && <i key={verdict} class={verdict} style={{ flexGrow: String(stage[verdict]) }} />)}
      </div>
      {flows.length > 0 && <ul>{flows.map((flow) => (
        <li key={flow.verdict + flow.rule}><a href={clipsHref(run, flow.where)}><i class={`dot ${flow.verdict}`} /> {words(flow.rule) || flow.verdict} <b>{whole(flow.items)}</b>{flow.verdict !== "dropped" && <span class="soft"> {flow.verdict}</span>}</a></li>
      ))}</ul>}
    </li>
  );
}

const LAYERS: Record<string, string> = { packets: "equal packets", hash: "hashes of their pictures", alignment: "their motion and colours side by side", judge: "the judge" };

function Similarity({ report }: { report: SimilarityReport }) {
  const limit = (name: string, title: string): [string, number][] => (report.thresholds[name] == null ? [] : [[title, report.thresholds[name]!]]);
  const layers = Object.entries(report.layers);
  const dropped = layers.reduce((sum, [, count]) => sum + count, 0);
  const { pairs } = report;
  return (
    <Card title="Near-duplicates" hint={`${plural(pairs.candidates ?? 0, "pair")} were alike enough to be compared, ${whole(pairs.copies ?? 0)} of them are copies; a judge was asked about ${whole(pairs.judged ?? 0)}.`}>
      <div class="charts">
        <Histogram title="Pairs by likeness of what moves" counts={report.motion} marks={[...limit("grey_motion", "judge from"), ...limit("min_motion", "copy from")]} />
        <Histogram title="Pairs by likeness of embeddings" counts={report.cosine} marks={limit("min_cosine", "compared from")} />
      </div>
      <p>{plural(dropped, "clip")} dropped as copies{layers.length > 0 && `: ${layers.map(([name, count]) => `${whole(count)} by ${LAYERS[name] ?? words(name)}`).join(", ")}`}.</p>
    </Card>
  );
}
