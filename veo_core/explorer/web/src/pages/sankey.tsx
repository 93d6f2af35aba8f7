// The funnel as flows: stages from left to right, and below each what left it.
import { sankey, sankeyLeft, sankeyLinkHorizontal } from "d3-sankey";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Flow, FunnelDocument } from "../documents";
import { plural, whole, words } from "../lib/format";
import { go } from "../lib/route";
import { clipsHref } from "./funnel";

interface Place {
  name: string;
  stage: boolean;
  verdict: string;
  items: number;
}
type Link = { flow: Flow };

const COLUMN = 124; // least width of a stage's column
const LABEL = 150; // room for the last column's labels
const LINE = 19; // height that a label takes
const HEAD = 34;
const THIN = 1.5;

export function Sankey({ run, funnel }: { run: string; funnel: FunnelDocument }) {
  const box = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setRoom(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const drawing = room ? layout(funnel, room) : null;
  return (
    <div class="sankey-scroll" ref={box} tabIndex={0} role="region" aria-label="Flows of clips">
      {drawing && <svg class="sankey" width={drawing.width} height={drawing.height} viewBox={`0 0 ${drawing.width} ${drawing.height}`} role="group" aria-label="Flows between stages">
        {drawing.links.map((link, index) => {
          const { flow } = link;
          const from = funnel.stages[flow.source]?.name ?? "";
          const to = flow.target === null ? `${flow.verdict}${flow.rule ? `: ${words(flow.rule)}` : ""}` : (funnel.stages[flow.target]?.name ?? "");
          const path = curve(link) ?? "";
          const label = `${from}: ${plural(flow.items, "clip")} ${flow.target === null ? to : `went on to ${to}`}`;
          const address = clipsHref(run, flow.where);
          return (
            <a key={index} href={address} class={`flow ${flow.verdict}`} aria-label={label} onKeyDown={(event) => event.key === " " && go(address)}>
              <title>{label}</title>
              <path class="hit" d={path} stroke-width={Math.max(12, link.width ?? 0)} />
              <path class="band" d={path} stroke-width={Math.max(THIN, link.width ?? 0)} />
            </a>
          );
        })}
        {drawing.nodes.map((node, index) => {
          const [x0, x1, y0, y1] = [node.x0 ?? 0, node.x1 ?? 0, node.y0 ?? 0, node.y1 ?? 0];
          const tall = Math.max(THIN, y1 - y0);
          return node.stage ? (
            <g key={index} class="stage">
              <rect x={x0} y={y0} width={x1 - x0} height={tall} rx="2" />
              <text x={x0} y={y0 - 18}>{node.name}</text>
              <text x={x0} y={y0 - 5} class="count">{whole(node.items)}</text>
            </g>
          ) : (
            <g key={index} class={`end ${node.verdict}`}>
              <rect x={x0} y={y0} width={x1 - x0} height={tall} rx="1" />
              <text x={x1 + 5} y={(y0 + y1) / 2 + 4}>{words(node.name)} <tspan class="count">{whole(node.items)}</tspan></text>
            </g>
          );
        })}
      </svg>}
    </div>
  );
}

const curve = sankeyLinkHorizontal<Place, Link>();

function layout({ stages, flows }: FunnelDocument, room: number) {
  const nodes: Place[] = stages.map((stage) => ({ name: stage.name, stage: true, verdict: "", items: stage.received + stage.added }));
  const links = flows.filter((flow) => flow.items > 0).sort((a, b) => b.items - a.items).map((flow) => {
    let target = flow.target;
    if (target === null) {
      target = nodes.length;
      nodes.push({ name: flow.verdict === "kept" ? "kept" : flow.rule || flow.verdict, stage: false, verdict: flow.verdict, items: flow.items });
    }
    return { source: flow.source, target, value: flow.items, flow };
  });
  const width = Math.max(room, stages.length * COLUMN + LABEL);
  const ends = stages.map((_, index) => flows.filter((flow) => flow.source === index && flow.target === null).length);
  const height = HEAD + Math.max(300, (Math.max(...ends) + 2) * LINE + 150);
  const generator = sankey<Place, Link>()
    .nodeAlign(sankeyLeft)
    .nodeWidth(9)
    .nodePadding(LINE)
    .linkSort((a, b) => Number(b.flow.verdict === "kept") - Number(a.flow.verdict === "kept") || b.flow.items - a.flow.items)
    .extent([[1, HEAD], [width - LABEL, height - 8]])
    .iterations(0);
  const drawn = generator({ nodes, links });
  // Each column begins at the top, so that what is kept goes on in a straight line.
  const columnEnds = new Map<number, number>();
  for (const node of drawn.nodes) {
    const tall = (node.y1 ?? 0) - (node.y0 ?? 0);
    node.y0 = columnEnds.get(node.depth ?? 0) ?? HEAD;
    node.y1 = node.y0 + tall;
    columnEnds.set(node.depth ?? 0, node.y1 + LINE);
  }
  return { ...generator.update(drawn), width, height: Math.max(...columnEnds.values()) };
}
