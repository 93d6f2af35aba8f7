// Two runs: what differs, what both made of the same prompts, and which people prefer.
import { useEffect } from "preact/hooks";
import type { CompareDocument, RunSummary } from "../documents";
import { useDocument } from "../lib/document";
import { moment } from "../lib/format";
import { go, href, type Route } from "../lib/route";
import { isFile } from "../lib/source";
import { Await, Badge, Notes, Segmented } from "../ui/common";
import { DifferenceView } from "./difference";
import { SideBySide } from "./side-by-side";
import { Vote } from "./vote";

type View = "difference" | "clips" | "vote";

export function ComparePage({ route }: { route: Route }) {
  const [, a = "", b = "", asked = "difference"] = route.path;
  const found = useDocument<CompareDocument>(`/api/compare/${encodeURIComponent(a)}/${encodeURIComponent(b)}`);
  useEffect(() => {
    document.title = "Compare · veo";
  }, []);
  return <Await of={found} what="the comparison">{(compared) => {
    const views: [View, string][] = [["difference", "Difference"]];
    if (compared.pairs.length) views.push(["clips", "Side by side"]);
    if (compared.pairs.length && !isFile) views.push(["vote", "Blind vote"]);
    const view = views.find(([name]) => name === asked)?.[0] ?? "difference";
    return (
      <div class="stack">
        <div class="toolbar">
          <Segmented label="View" value={view} options={views} onChange={(name) => go(href(["compare", a, b, ...(name === "difference" ? [] : [name])]))} />
          {view !== "vote" && <a class="push" href={href(["compare", b, a, ...(view === "difference" ? [] : [view])])}>Exchange the two</a>}
        </div>
        {view !== "vote" && <Notes of={compared.notes} />}
        {view !== "vote" && <div class="sides"><Side letter="A" run={compared.first} /><Side letter="B" run={compared.second} /></div>}
        {view === "difference" && <DifferenceView compared={compared} />}
        {view === "clips" && <SideBySide compared={compared} route={route} />}
        {view === "vote" && <Vote a={a} b={b} compared={compared} />}
      </div>
    );
  }}</Await>;
}

function Side({ letter, run }: { letter: string; run: RunSummary }) {
  return (
    <section class={`card side side-${letter.toLowerCase()}`} aria-label={`Run ${letter}`}>
      <b class="letter">{letter}</b>
      <div>
        <a href={href(["run", run.id])}>{run.name}</a> <Badge state={run.state} />
        <p class="soft">{[moment(run.created), run.target, run.git_sha && `git ${run.git_sha.slice(0, 9)}${run.git_dirty ? " with changes" : ""}`, run.model].filter(Boolean).join(" · ")}</p>
      </div>
    </section>
  );
}
