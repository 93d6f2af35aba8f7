// The tasks of a pipeline as a graph from top to bottom.
import type { Graph as GraphDocument, Task } from "../documents";
import { span } from "../lib/format";
import { href } from "../lib/route";
import { glyph } from "../ui/common";

const WIDTH = 176;
const HEIGHT = 40;
const GAP_X = 14;
const GAP_Y = 20;
const MOST_LETTERS = 22;

export function Graph({ graph, tasks, run, chosen }: { graph: GraphDocument; tasks: Task[]; run: string; chosen: number | null }) {
  const width = graph.width * (WIDTH + GAP_X);
  const height = graph.layers * (HEIGHT + GAP_Y);
  const places = new Map(graph.nodes.map((node) => [node.index, { x: width / 2 + node.position * (WIDTH + GAP_X), y: node.layer * (HEIGHT + GAP_Y) + GAP_Y / 2 }]));
  const longest = Math.max(...tasks.map(duration), 1e-9);
  return (
    <div class="graph-scroll">
      <svg class="graph" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="group" aria-label="Tasks in order of execution">
        {graph.links.map(([from, to]) => {
          const [start, end] = [places.get(from), places.get(to)];
          if (!start || !end) return null;
          const [top, bottom] = [start.y + HEIGHT, end.y];
          const middle = (top + bottom) / 2;
          return <path key={`${from}-${to}`} class={chosen === from || chosen === to ? "edge on" : "edge"} d={`M${start.x} ${top} C${start.x} ${middle} ${end.x} ${middle} ${end.x} ${bottom}`} />;
        })}
        {graph.nodes.map((node) => {
          const task = tasks[node.index];
          const place = places.get(node.index);
          if (!task || !place) return null;
          const facts = [task.state.toLowerCase(), span(task.started, task.finished)].filter(Boolean).join(" · ");
          const label = node.label.length > MOST_LETTERS ? `…${node.label.slice(1 - MOST_LETTERS)}` : node.label;
          const left = place.x - WIDTH / 2;
          return (
            <a key={node.index} href={href(["run", run, "task", String(node.index)])} class={`node ${task.state.toLowerCase()}`} aria-current={chosen === node.index ? "true" : undefined} aria-label={`${task.name}: ${facts}`}>
              <title>{`${task.name}: ${facts}${task.reason ? `. ${task.reason}` : ""}`}</title>
              <rect class="box" x={left} y={place.y} width={WIDTH} height={HEIGHT} rx="6" />
              {duration(task) > 0 && <rect class="time" x={left} y={place.y} width={Math.max(10, WIDTH * (duration(task) / longest))} height={HEIGHT} rx="6"><title>{`${Math.round((100 * duration(task)) / longest)} % of the longest`}</title></rect>}
              <rect class="strip" x={left} y={place.y + 6} width="3" height={HEIGHT - 12} rx="1.5" />
              <text class="name" x={left + 12} y={place.y + 17}>{label}</text>
              <text class="fact" x={left + 12} y={place.y + 32}>{glyph(task.state)} {facts}</text>
            </a>
          );
        })}
      </svg>
    </div>
  );
}

function duration(task: Task): number {
  return task.started == null || task.finished == null ? 0 : task.finished - task.started;
}
