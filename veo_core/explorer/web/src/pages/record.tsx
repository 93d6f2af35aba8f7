// Where and with what a run was made.
import type { RunDocument } from "../documents";
import { bytes, moment, sentence, short, span } from "../lib/format";
import { Card, Digest, Facts } from "../ui/common";
import { Structure } from "../ui/structure";

const SHOWN_ELSEWHERE = new Set(["parameters", "output_parameters", "packages", "sources", "changes", "images", "run_id", "state", "created", "finished", "pipeline", "git_sha", "git_dirty", "ir_digest", "target", "schema_version", "python", "platform", "cpus", "memory_bytes", "tasks"]);

export function RecordCard({ run }: { run: RunDocument }) {
  const record = run.record;
  if (!Object.keys(record).length) return <Card title="Record"><p class="unknown">The record cannot be read, so no more is known of this run.</p></Card>;
  const text = (name: string) => (record[name] ? String(record[name]) : "");
  const git = text("git_sha");
  return (
    <Card title="Record">
      <Facts of={[
        ["State", `The run ${run.summary.state_words}.`],
        ["Started", moment(run.summary.created)],
        ["Finished", run.summary.finished ? `${moment(run.summary.finished)}, took ${span(run.summary.created, run.summary.finished)}` : ""],
        ["Pipeline", text("pipeline")],
        ["Target", text("target")],
        ["Git", git ? <><Digest of={git} />{record.git_dirty ? " with changes that were not committed" : ""}</> : <span class="unknown">not known</span>],
        ["Pipeline IR", <Digest of={text("ir_digest")} />],
        ["Python", text("python")],
        ["Platform", text("platform")],
        ["CPUs", text("cpus")],
        ["Memory", typeof record.memory_bytes === "number" && record.memory_bytes ? bytes(record.memory_bytes) : ""],
        ["Folder", run.summary.folder],
      ]} />
      <Part title="Parameters" value={record.parameters} />
      <Part title="Images" value={record.images} />
      <Part title="Library versions" value={record.packages} />
      <Part title="Source files" value={record.sources} />
      {Object.entries(record).filter(([name, value]) => !SHOWN_ELSEWHERE.has(name) && !empty(value)).map(([name, value]) => <Part key={name} title={sentence(name)} value={value} />)}
      <Part title="What the pipeline returned" value={record.output_parameters} />
      {run.changes.length > 0 && <details open>
        <summary>Changed later</summary>
        <ul class="changes">{run.changes.map((change) => <li key={change.when}>{change.when}: {change.why} <span class="soft">({Object.keys(change.digests).length} manifests, {Object.entries(change.digests).slice(0, 2).map(([from, to]) => `${short(from)} → ${short(to)}`).join(", ")})</span></li>)}</ul>
      </details>}
    </Card>
  );
}

export function Part({ title, value, open = false }: { title: string; value: unknown; open?: boolean }) {
  if (empty(value)) return null;
  const count = value && typeof value === "object" ? Object.keys(value).length : 0;
  return <details open={open}><summary>{title}{count > 3 && <span class="count"> {count}</span>}</summary><Structure of={value} /></details>;
}

function empty(value: unknown): boolean {
  return value == null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}
