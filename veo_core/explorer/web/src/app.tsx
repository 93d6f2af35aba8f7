// The frame around every page: where the reader is, the pages of a run, the theme, the keys.
import { useEffect, useRef, useState } from "preact/hooks";
import type { RunDocument, RunsDocument } from "./documents";
import { useDocument } from "./lib/document";
import { useKeys } from "./lib/keys";
import { go, href, useRoute, type Route } from "./lib/route";
import { choose, chosen, type Theme } from "./lib/theme";
import { ComparePage } from "./pages/compare";
import { EvaluationPage } from "./pages/evaluation";
import { FunnelPage } from "./pages/funnel";
import { GalleryPage } from "./pages/gallery";
import { ModelPage } from "./pages/model";
import { OverviewPage } from "./pages/overview";
import { RunsPage } from "./pages/runs";
import { TrainingPage } from "./pages/training";
import { Await, Badge } from "./ui/common";
import { Help } from "./ui/help";

const PAGES: [string, string][] = [
  ["", "Pipeline"],
  ["funnel", "Funnel"],
  ["clips", "Clips"],
  ["training", "Training"],
  ["evaluation", "Evaluation"],
  ["model", "Model"],
];
const REFRESH = 3000;

export function App() {
  const route = useRoute();
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const [section = "", id = "", page = ""] = route.path;
  useKeys(help ? { Escape: () => setHelp(false) } : { "?": () => setHelp(true) });
  useEffect(() => window.scrollTo(0, 0), [section, id, page]);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to content</a>
      {section === "run" ? <RunFrame id={id} page={page} route={route} main={main} onHelp={() => setHelp(true)} /> : (
        <>
          <header class="top"><Bar onHelp={() => setHelp(true)}>{section === "compare" ? <><a href={href([])}>Runs</a><span class="sep">/</span><h1>Compare</h1></> : <h1>Runs</h1>}</Bar></header>
          <main id="content" ref={main} tabIndex={-1}>{section === "compare" ? <ComparePage route={route} /> : <RunsPage route={route} />}</main>
        </>
      )}
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

function RunFrame({ id, page, route, main, onHelp }: { id: string; page: string; route: Route; main: preact.RefObject<HTMLElement | null>; onHelp: () => void }) {
  const [running, setRunning] = useState(false);
  const run = useDocument<RunDocument>(`/api/runs/${encodeURIComponent(id)}`, running ? REFRESH : 0);
  const runs = useDocument<RunsDocument>("/api/runs");
  const document_ = run.document;
  const state = document_?.summary.state;
  useEffect(() => setRunning(state === "RUNNING"), [state]);
  useEffect(() => {
    document.title = `${document_?.summary.name ?? id} · veo`;
  }, [document_?.summary.name, id]);
  const pages = PAGES.filter(([name]) => !name || document_?.pages.includes(name) || name === page);
  useKeys(Object.fromEntries(pages.map(([name], index) => [String(index + 1), () => go(href(name ? ["run", id, name] : ["run", id]))])));
  const tabs = useRef<HTMLElement>(null);
  useEffect(() => tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [page, pages.length]);
  const several = (runs.document?.runs.length ?? 0) > 1;
  return (
    <>
      <header class="top">
        <Bar onHelp={onHelp}>
          {several && <><a href={href([])}>Runs</a><span class="sep">/</span></>}
          <h1>{document_?.summary.name ?? id}</h1>
          {state && <Badge state={state} />}
        </Bar>
        <nav class="tabs" ref={tabs} aria-label="Pages of the run">
          {pages.map(([name, title]) => <a key={name} href={href(name ? ["run", id, name] : ["run", id])} aria-current={name === page || (page === "task" && !name) ? "page" : undefined}>{title}</a>)}
        </nav>
      </header>
      <main id="content" ref={main} tabIndex={-1}>
        <Await of={run} what="the run">{(found) => <RunPage page={page} run={found} route={route} />}</Await>
      </main>
    </>
  );
}

function RunPage({ page, run, route }: { page: string; run: RunDocument; route: Route }) {
  if (page === "funnel") return <FunnelPage run={run} />;
  if (page === "clips") return <GalleryPage run={run} route={route} />;
  if (page === "training") return <TrainingPage run={run} />;
  if (page === "evaluation") return <EvaluationPage run={run} route={route} />;
  if (page === "model") return <ModelPage run={run} />;
  return <OverviewPage run={run} task={page === "task" ? Number(route.path[3]) : null} />;
}

function Bar({ children, onHelp }: { children: preact.ComponentChildren; onHelp: () => void }) {
  const [theme, setTheme] = useState<Theme>(chosen());
  const next: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
  const signs: Record<Theme, string> = { system: "◐", light: "○", dark: "●" };
  const turn = () => {
    choose(next[theme]);
    setTheme(next[theme]);
  };
  return (
    <div class="bar">
      <a class="brand" href={href([])} aria-label="veo: all runs">veo</a>
      <div class="crumbs">{children}</div>
      <button type="button" class="quiet" onClick={turn} title={`Colours: ${theme}`} aria-label={`Colours: ${theme}; choose ${next[theme]}`}>{signs[theme]}</button>
      <button type="button" class="quiet" onClick={onHelp} title="Keys (?)" aria-label="Keys">?</button>
    </div>
  );
}
