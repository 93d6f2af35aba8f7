// What ran and how it ended: the figures to read first, the graph, and the chosen task or the run's record.
import type { Headline, Notice, RunDocument, RunSummary } from "../documents";
import { bytes, figure, interval, plural, unknown, whole } from "../lib/format";
import { go, href } from "../lib/route";
import { useKeys } from "../lib/keys";
import { Card, Notes, Tile } from "../ui/common";
import { Graph } from "./graph";
import { RecordCard } from "./record";
import { TaskCard } from "./task";

export function OverviewPage({ run, task }: { run: RunDocument; task: number | null }) {
  const id = run.summary.id;
  const chosen = task === null ? undefined : run.tasks[task];
  const open = (index: number) => go(href(["run", id, "task", String(index)]));
  const step = (by: number) => open(Math.min(run.tasks.length - 1, Math.max(0, (task ?? (by > 0 ? -1 : run.tasks.length)) + by)));
  useKeys({ j: () => step(1), k: () => step(-1) }, run.tasks.length > 0);
  useKeys({ ArrowDown: () => step(1), ArrowUp: () => step(-1), Escape: () => go(href(["run", id])) }, chosen !== undefined);
  return (
    <div class="stack">
      <Notices run={run} />
      <Notes of={run.notes} />
      <Tiles run={run} />
      <div class={chosen ? "graph-area open" : "graph-area"}>
        {run.graph && <Card title="Pipeline" hint="Choose a task for its inputs, outputs and log. Links that longer paths imply are left out.">
          <Graph graph={run.graph} tasks={run.tasks} run={id} chosen={task} />
        </Card>}
        <div class="graph-side">
          {chosen ? <TaskCard key={chosen.index} run={run} task={chosen} /> : <RecordCard run={run} />}
        </div>
      </div>
    </div>
  );
}

function Notices({ run }: { run: RunDocument }) {
  const { summary } = run;
  const unfinished = ["RUNNING", "INTERRUPTED", "DAMAGED", "CANCELLED"].includes(summary.state);
  if (!unfinished && !run.notices.length) return null;
  return (
    <div>
      {unfinished && <p class="notice">The run {summary.state_words}{told(summary)}</p>}
      {run.notices.map((notice) => (
        <section key={`${notice.task}${notice.text}`} class="notice failed" aria-label="What went wrong">
          <p><Named notice={notice} run={run} /></p>
          {notice.log && <pre tabIndex={0}>{notice.log}</pre>}
        </section>
      ))}
    </div>
  );
}

function valueOf({ value, unit, note }: Headline): string | null {
  if (value == null) return note === unknown ? null : "–";
  return unit === "bytes" ? bytes(value) : unit ? figure(value, unit) : whole(value);
}

function detailOf({ value, unit, note, n, ci_low, ci_high }: Headline): string {
  if (value == null) return note;
  const measured = [interval(ci_low, ci_high, unit), n == null ? "" : unit === "bytes" ? plural(n, "shard") : `n = ${whole(n)}`];
  return measured.filter(Boolean).join(", ") || note;
}

function told(summary: RunSummary): string {
  const states = Object.entries(summary.tasks).filter(([, count]) => count).map(([state, count]) => `${count} ${state.toLowerCase()}`);
  return states.length ? `. Tasks: ${states.join(", ")}.` : ".";
}

/** A notice whose task's name, with which it begins, leads to the task. */
function Named({ notice, run }: { notice: Notice; run: RunDocument }) {
  const task = notice.task === null ? undefined : run.tasks[notice.task];
  if (!task) return <>{notice.text}</>;
  const rest = notice.text.startsWith(task.name) ? notice.text.slice(task.name.length) : ` ${notice.text}`;
  return <><a href={href(["run", run.summary.id, "task", String(task.index)])}>{task.name}</a>{rest}</>;
}

function Tiles({ run }: { run: RunDocument }) {
  const { summary, gate } = run;
  const has = (page: string) => run.pages.includes(page);
  const to = (page: string) => (has(page) ? href(["run", summary.id, page]) : undefined);
  const pageOf = (name: string) => to(name === "kept" ? "funnel" : name.endsWith("_clips") ? "clips" : "evaluation");
  if (summary.state === "DAMAGED") return null;
  return (
    <div class="tiles">
      {summary.headlines.filter((headline) => headline.name !== "gate").map((headline) => (
        <Tile key={headline.name} label={headline.title} href={pageOf(headline.name)} value={valueOf(headline)} detail={detailOf(headline)} />
      ))}
      {gate && <Tile label="Safety gate" value={gate.approved ? "open" : "closed"} detail={`${gate.met} of ${gate.rules} rules met`} href={to("evaluation") && href(["run", summary.id, "evaluation"], { view: "safety" })} />}
      {has("model") || summary.model ? <Tile label="Registered as" value={summary.model || null} detail={run.promotion ? (run.promotion.promote ? "promoted" : "not promoted") : ""} href={to("model")} />
        : gate && !gate.approved && <Tile label="Registered as" value="–" detail="the gate is closed" />}
    </div>
  );
}

