// How good and how safe the model was found: scores, the clips behind them, the gate.
import type { EvaluationDocument, RunDocument, RunsDocument } from "../documents";
import { useDocument } from "../lib/document";
import { go, href, type Route } from "../lib/route";
import { Await, Notes, Segmented } from "../ui/common";
import { Made } from "./made";
import { SafetyView } from "./safety";
import { Scores } from "./scores";

type View = "scores" | "clips" | "safety";

/** A choice of another run whose clips are to stand beside these. */
function Against({ run }: { run: string }) {
  const runs = useDocument<RunsDocument>("/api/runs");
  const others = runs.document?.runs.filter((other) => other.id !== run && other.generated) ?? [];
  if (!others.length) return null;
  return (
    <select class="push" aria-label="Side by side against another run" value="" onChange={(event) => go(href(["compare", event.currentTarget.value, run, "clips"]))}>
      <option value="">Side by side against …</option>
      {others.map((other) => <option key={other.id} value={other.id}>{other.name}{other.model && `, ${other.model}`}</option>)}
    </select>
  );
}

export function EvaluationPage({ run, route }: { run: RunDocument; route: Route }) {
  const id = run.summary.id;
  const found = useDocument<EvaluationDocument>(`/api/runs/${encodeURIComponent(id)}/evaluation`);
  const asked = route.query.get("view");
  return <Await of={found} what="the evaluation">{(evaluation) => {
    const views: [View, string][] = [];
    if (evaluation.rows.length || evaluation.promotion) views.push(["scores", "Scores"]);
    if (evaluation.clips.length) views.push(["clips", "Generated clips"]);
    if (evaluation.safety || evaluation.gate || evaluation.checks.length) views.push(["safety", "Safety and gate"]);
    const view = views.find(([name]) => name === asked)?.[0] ?? views[0]?.[0];
    return (
      <div class="stack">
        <Notes of={evaluation.notes} />
        {view ? (
          <div class="toolbar">
            <Segmented label="View" value={view} options={views} onChange={(name) => go(href(["run", id, "evaluation"], { view: name }))} />
            <Against run={id} />
          </div>
        ) : <p class="notice">Nothing was evaluated in this run yet.</p>}
        {view === "scores" && <Scores evaluation={evaluation} />}
        {view === "clips" && <Made run={id} evaluation={evaluation} route={route} />}
        {view === "safety" && <SafetyView evaluation={evaluation} />}
      </div>
    );
  }}</Await>;
}
