// All runs: search them, open one, compare two.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Headline, RunSummary, RunsDocument } from "../documents";
import { useDocument } from "../lib/document";
import { brief, figure, interval, plural, span, whole } from "../lib/format";
import { useKeys } from "../lib/keys";
import { go, href, type Route } from "../lib/route";
import { Await, Badge, Notes } from "../ui/common";
import { useRows } from "../ui/virtual";

const REFRESH = 3000;
const ROW = 58;

export function RunsPage({ route }: { route: Route }) {
  const [running, setRunning] = useState(false);
  const runs = useDocument<RunsDocument>("/api/runs", running ? REFRESH : 0);
  const found = runs.document?.runs;
  const some = found?.some((run) => run.state === "RUNNING") ?? false;
  useEffect(() => setRunning(some), [some]);
  useEffect(() => {
    document.title = "Runs · veo";
    const only = found?.length === 1 && !runs.document?.live ? found[0] : undefined;
    if (only) go(href(["run", only.id]), true);
  }, [found]);
  return <Await of={runs} what="the runs">{(document_) => <Runs document_={document_} query={route.query.get("q") ?? ""} />}</Await>;
}

function Runs({ document_, query }: { document_: RunsDocument; query: string }) {
  const [chosen, setChosen] = useState<string[]>([]);
  const search = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => document_.runs.filter((run) => fits(run, query)), [document_, query]);
  const rows = useRows(shown.length, ROW, scroller);
  const titles = headlines(document_.runs);
  const telling = useMemo(() => differing(document_.runs), [document_]);
  useKeys({ "/": () => search.current?.focus() });
  const choose = (id: string) => setChosen((old) => (old.includes(id) ? old.filter((other) => other !== id) : [...old, id].slice(-2)));
  // The older of two is what the newer is held against.
  const pair = document_.runs.filter((run) => chosen.includes(run.id)).reverse();
  return (
    <div class="stack">
      <div class="toolbar">
        <input ref={search} type="search" placeholder="Search runs, parameters, models  /" aria-label="Search runs" value={query}
          onInput={(event) => go(href([], { q: event.currentTarget.value }), true)} />
        <span class="soft" role="status">{shown.length === document_.runs.length ? plural(shown.length, "run") : `${shown.length} of ${plural(document_.runs.length, "run")}`}</span>
        <span class="push soft">{pair.length === 2 ? "" : "Choose two to compare them"}</span>
        {pair.length === 2 && <a class="primary" href={href(["compare", pair[0]!.id, pair[1]!.id])}>Compare {pair[0]!.name.slice(-6)} with {pair[1]!.name.slice(-6)}</a>}
      </div>
      <Notes of={document_.notes} />
      {document_.runs.length === 0 && <p class="notice">There is no run in these folders yet. `make run` makes one.</p>}
      {document_.runs.length > 0 && <div class="runs" role="table" aria-label="Runs" aria-rowcount={shown.length + 1} style={{ "--columns": String(titles.length + 1) }}>
        <div class="runs-head" role="row">
          {["", "Run", "State", "Tasks", "Clips kept", ...titles, "Model"].map((title) => <span key={title} role="columnheader">{title || <span class="away">Compare</span>}</span>)}
        </div>
        <div class="runs-body" ref={scroller} role="rowgroup" tabIndex={-1}>
          <div style={{ height: `${rows.height}px` }} class="runs-space">
            {rows.items.map((item) => {
              const run = shown[item.index];
              return run && <Row key={run.id} run={run} titles={titles} telling={telling} top={item.start} chosen={chosen.includes(run.id)} onChoose={() => choose(run.id)} />;
            })}
          </div>
        </div>
      </div>}
    </div>
  );
}

function Row({ run, titles, telling, top, chosen, onChoose }: { run: RunSummary; titles: string[]; telling: string[]; top: number; chosen: boolean; onChoose: () => void }) {
  const told = run.notes[0] ?? "";
  return (
    <div class="runs-row" role="row" style={{ transform: `translateY(${top}px)`, height: `${ROW}px` }} title={told}>
      <span role="cell" class="pick"><input type="checkbox" checked={chosen} onChange={onChoose} aria-label={`Compare ${run.name}`} /></span>
      <span role="cell" class="name">
        <a href={href(["run", run.id])}>{run.name}</a>
        <small title={parameters(run)}>{[run.target === "embedded" ? "" : run.target, ...telling.map((name) => run.parameters[name] && `${leaf(name)} ${run.parameters[name]}`), telling.length ? "" : run.folder].filter(Boolean).join(", ") || run.folder}</small>
      </span>
      <span role="cell" class="state"><Badge state={run.state} /><small>{run.created == null ? told : brief(run.created)}{run.finished ? ` · ${span(run.created, run.finished)}` : ""}</small></span>
      <span role="cell" class="tasks"><Tasks of={run.tasks} /></span>
      <span role="cell" class="figure"><b>{whole(run.kept)}</b><small>{run.collected == null ? "" : `of ${whole(run.collected)}`}</small></span>
      {titles.map((title) => <Figure key={title} of={run.headlines.find((headline) => headline.title === title)} />)}
      <span role="cell" class="model"><b title={run.model}>{run.model || "–"}</b><small>{run.gate && `gate ${run.gate}`}</small></span>
    </div>
  );
}

function Figure({ of }: { of: Headline | undefined }) {
  return <span role="cell" class="figure"><b>{figure(of?.value, of?.unit ?? "", 0)}</b><small>{of ? interval(of.ci_low, of.ci_high, of.unit) : ""}</small></span>;
}

const ORDER = ["SUCCEEDED", "CACHED", "RUNNING", "FAILED", "CANCELLED", "SKIPPED", "PENDING"];

function Tasks({ of }: { of: Record<string, number> }) {
  const states = ORDER.filter((state) => of[state]);
  const said = states.map((state) => `${of[state]} ${state.toLowerCase()}`).join(", ");
  return <span class="states" role="img" aria-label={said || "no task is known"} title={said}>{states.map((state) => <i key={state} class={state.toLowerCase()} style={{ flexGrow: String(of[state]) }} />)}</span>;
}

function parameters(run: RunSummary): string {
  return Object.entries(run.parameters).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** Titles of the scores that any run has, in the order of the runs. */
function headlines(runs: RunSummary[]): string[] {
  const shares = runs.flatMap((run) => run.headlines.filter((headline) => headline.unit === "share"));
  return [...new Set(shares.map((headline) => headline.title))].slice(0, 4);
}

/** Names of the parameters in which the runs differ, the last part of each told. */
function differing(runs: RunSummary[]): string[] {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.parameters)))];
  return names.filter((name) => new Set(runs.map((run) => run.parameters[name])).size > 1);
}

function leaf(name: string): string {
  return name.split(".").slice(-2).filter((part) => part !== "config" && part !== "world").join(" ").replace(/_/g, " ");
}

function fits(run: RunSummary, query: string): boolean {
  const text = [run.name, run.folder, run.pipeline, run.target, run.state, run.model, run.git_sha, run.gate && `gate ${run.gate}`, parameters(run), ...run.notes].join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
