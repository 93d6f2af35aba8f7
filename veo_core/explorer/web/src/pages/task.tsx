// One task: what it read, what it wrote, and what it said.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ArtifactRecord, LogDocument, RunDocument, Task } from "../documents";
import { bytes, moment, number, plural, seconds, span, words } from "../lib/format";
import { href } from "../lib/route";
import { isFile, load } from "../lib/source";
import { Badge, Digest, Facts } from "../ui/common";
import { Part } from "./record";

const REFRESH = 2000;

export function TaskCard({ run, task }: { run: RunDocument; task: Task }) {
  const card = useRef<HTMLElement>(null);
  // Where the card stands above the graph, and not beside it, it comes into view.
  useEffect(() => {
    if (matchMedia("(max-width: 900px)").matches) card.current?.scrollIntoView({ block: "start" });
  }, []);
  return (
    <section class="card task" ref={card} aria-label={`Task ${task.name}`}>
      <header class="card-head">
        <h2>{task.name} <Badge state={task.state} /></h2>
        <a class="close-task" href={href(["run", run.summary.id])} aria-label="Close the task" title="Close (Esc)">✕</a>
      </header>
      {task.problem && <p class="notice failed">{task.problem}</p>}
      <Facts of={[
        ["Why", task.reason],
        ["From run", task.cached_from && !task.reason.includes(task.cached_from) ? task.cached_from : ""],
        ["Started", task.started == null ? <span class="unknown">not started</span> : moment(task.started)],
        ["Took", span(task.started, task.finished)],
        ["Attempts", task.attempts > 1 ? task.attempts : ""],
        ["Exit code", task.exit_code ?? ""],
        ["Peak memory", bytes(task.peak_rss_bytes)],
        ["After", task.depends_on.join(", ")],
        ["Cache key", task.cache_key && <Digest of={task.cache_key} />],
      ]} />
      <Counts of={task} />
      <Artifacts title="Inputs" of={task.inputs} run={run} />
      <Artifacts title="Outputs" of={task.outputs} run={run} />
      {Object.keys(task.tables).length > 0 && <p class="tables">{Object.entries(task.tables).map(([name, rows]) => <span key={name}><code>{name}</code> {plural(rows, "row")}</span>)}</p>}
      {Object.keys(task.metrics).length > 0 && <details open={Object.keys(task.metrics).length < 16}><summary>Figures</summary><dl class="figures">{Object.entries(task.metrics).map(([name, value]) => <div key={name}><dt>{words(name)}</dt><dd>{number(value)}</dd></div>)}</dl></details>}
      <Part title="Parameters" value={task.parameters} />
      <Part title="Returned" value={task.output_parameters} />
      {task.tries.length > 1 && <details><summary>Attempts</summary><ol class="changes">{task.tries.map((attempt, index) => <li key={index}>{index + 1}: {seconds(attempt.finished - attempt.started)}, exit code {attempt.exit_code ?? "not known"}{attempt.problem && `: ${attempt.problem}`}</li>)}</ol></details>}
      {task.command.length > 0 && <details><summary>Command</summary><pre tabIndex={0}>{task.command.join(" ")}</pre></details>}
      <Part title="Environment" value={task.env} />
      <Part title="Code, by module" value={task.code} />
      <h3>Log</h3>
      <Log run={run.summary.id} task={task} />
    </section>
  );
}

function Counts({ of: { counts } }: { of: Task }) {
  const shown = ["received", "added", "kept", "dropped", "failed", "quarantined"].filter((name) => counts[name] || name === "received" || name === "kept");
  if (!("received" in counts)) return null;
  return <ul class="counts">{shown.map((name) => <li key={name}><b>{number(counts[name])}</b> {name}</li>)}</ul>;
}

function Artifacts({ title, of, run }: { title: string; of: Record<string, ArtifactRecord[]>; run: RunDocument }) {
  const rows = Object.entries(of).flatMap(([name, group]) => group.map((artifact) => ({ name, artifact })));
  if (!rows.length) return null;
  const makers = (digest: string) => run.tasks.filter((task) => title === "Inputs" && digest && Object.values(task.outputs).flat().some((output) => output.sha256 === digest));
  return (
    <>
      <h3>{title}</h3>
      <ul class="artifacts">
        {rows.map(({ name, artifact }) => (
          <li key={name + artifact.uri}>
            <span>{name}</span> <Digest of={artifact.sha256} />
            {makers(artifact.sha256).slice(0, 1).map((task) => <a key={task.index} href={href(["run", run.summary.id, "task", String(task.index)])}>from {task.name}</a>)}
            <small title={artifact.uri}>{artifact.uri}</small>
          </li>
        ))}
      </ul>
    </>
  );
}

function Log({ run, task }: { run: string; task: Task }) {
  const path = `/api/runs/${encodeURIComponent(run)}/tasks/${task.index}/log`;
  const [log, setLog] = useState<LogDocument | null>(null);
  const [error, setError] = useState("");
  const box = useRef<HTMLPreElement>(null);
  const end = useRef(0);
  const running = task.state === "RUNNING" && !isFile;
  useEffect(() => {
    const stop = new AbortController();
    const first = () => load<LogDocument>(path, stop.signal).then((found) => {
      end.current = found.end;
      setLog(found);
    }, (problem: Error) => stop.signal.aborted || setError(problem.message));
    const more = () => load<LogDocument>(`${path}?from=${end.current}`, stop.signal).then((found) => {
      end.current = found.end;
      if (found.text) setLog((old) => old && { ...old, text: old.text + found.text, end: found.end, size: found.size });
    }, () => undefined);
    void first();
    const timer = running ? setInterval(more, REFRESH) : 0;
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [path, running]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log?.end]);
  const earlier = () => void load<LogDocument>(`${path}?from=0`).then(setLog);
  if (error) return <p class="unknown">{error}</p>;
  if (!log) return <p class="waiting">Loading the log …</p>;
  return (
    <>
      {log.start > 0 && <p class="hint">The last {bytes(log.end - log.start)} of {bytes(log.size)}. {!isFile && <button type="button" class="quiet" onClick={earlier}>From the beginning</button>}</p>}
      {log.notes.map((note) => <p key={note} class="unknown">{note}</p>)}
      {log.text ? <pre class="log" ref={box} tabIndex={0} aria-label="Log">{log.text}</pre> : !log.notes.length && <p class="unknown">It wrote nothing.</p>}
    </>
  );
}
