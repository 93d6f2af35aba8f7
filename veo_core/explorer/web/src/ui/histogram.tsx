// Counts in equal bins from 0 to 1 on a logarithmic scale, with limits marked.
import { number } from "../lib/format";

const WIDTH = 340;
const HEIGHT = 140;
const FOOT = 18;
const HEAD = 16;

export function Histogram({ title, counts, marks }: { title: string; counts: number[]; marks: [string, number][] }) {
  const most = Math.log1p(Math.max(1, ...counts));
  const width = WIDTH / counts.length;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <figure class="chart">
      <figcaption>{title} <span class="soft">log</span></figcaption>
      <svg class="histogram" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}: ${total} in all`}>
        {counts.map((count, index) => {
          const tall = (Math.log1p(count) / most) * (HEIGHT - FOOT - HEAD);
          return count > 0 && <rect key={index} x={index * width + 0.5} width={width - 1} y={HEIGHT - FOOT - tall} height={tall}><title>{`${number(index / counts.length)} to ${number((index + 1) / counts.length)}: ${count}`}</title></rect>;
        })}
        <line x1="0" x2={WIDTH} y1={HEIGHT - FOOT} y2={HEIGHT - FOOT} />
        {[0, 0.5, 1].map((value) => <text key={value} x={value * WIDTH} y={HEIGHT - 4} text-anchor={value === 0 ? "start" : value === 1 ? "end" : "middle"}>{value}</text>)}
        {marks.map(([name, value], index) => (
          <g key={name}><line class="mark" x1={value * WIDTH} x2={value * WIDTH} y1={HEAD - 4} y2={HEIGHT - FOOT} /><text x={value * WIDTH - 4} y={HEAD - 5 + 12 * index} text-anchor="end">{name} {number(value)}</text></g>
        ))}
      </svg>
    </figure>
  );
}
