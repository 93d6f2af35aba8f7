// Curves over steps, on uPlot.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { number } from "../lib/format";
import { colour, useTheme } from "../lib/theme";

export interface Line {
  name: string;
  steps: number[];
  values: (number | null)[];
  dashed?: boolean;
}

/** Of the places of a logarithmic axis, powers of ten. */
const decades = (_: uPlot, splits: number[]) => splits.map((split) => (Math.abs(Math.log10(split) % 1) < 1e-6 ? split : null));

const COLOURS = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5"];
const HEIGHT = 180;

export function Chart({ title, lines, log = false, unit = "", x = "step" }: { title: string; lines: Line[]; log?: boolean; unit?: string; x?: string }) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const data = uPlot.join(lines.map((line) => [line.steps, line.values] as uPlot.AlignedData));
    const axis: uPlot.Axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
      size: 26,
    };
    const plot = new uPlot(
      {
        width: element.clientWidth || 300,
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        legend: { live: true },
        cursor: { y: false, points: { size: 6 }, sync: { key: "steps" } },
        scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
        axes: [axis, { ...axis, size: 52, grid: { ...axis.grid, ...(log ? { filter: decades } : {}) }, ticks: { ...axis.ticks, ...(log ? { filter: decades } : {}) }, values: (_: uPlot, ticks: (number | null)[]) => ticks.map((tick) => (tick == null ? "" : number(tick))) }],
        series: [
          { label: x, value: (_, value) => number(value ?? data[0]?.at(-1)) },
          ...lines.map((line, index) => ({
            label: line.name,
            stroke: colour(COLOURS[index % COLOURS.length] ?? "--s0"),
            width: 1.5,
            dash: line.dashed ? [4, 3] : [],
            spanGaps: true,
            points: { show: line.steps.length < 30, size: 4 },
            value: (_: uPlot, value: number | null) => (value == null ? number(line.values.at(-1)) : number(value)),
          })),
        ],
      },
      data,
      element,
    );
    const resize = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      plot.destroy();
    };
  }, [lines, log, theme]);
  const first = lines[0];
  const told = first ? `${title}: from ${number(first.values[0])} to ${number(first.values.at(-1))} ${unit}` : `${title}: nothing logged`;
  return (
    <figure class="chart">
      <figcaption>{title}{unit && <span class="soft"> {unit}</span>}{log && <span class="soft"> log</span>}</figcaption>
      <div ref={box} role="img" aria-label={told} />
    </figure>
  );
}
