// What a clip does over time: motion above, sound below, with contacts and onsets, so that sync can be seen.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { MadeClip, SignalsDocument } from "../documents";

const HIGH = 80;
const MIDDLE = 38;

/** Under a player: a click seeks, and a line follows the picture. */
export function Timeline({ clip, signals, video, onSeek }: { clip: MadeClip; signals: SignalsDocument | null; video: RefObject<HTMLVideoElement | null>; onSeek?: (time: number) => void }) {
  const head = useRef<SVGLineElement>(null);
  const length = signals?.seconds || clip.seconds || 1;
  useEffect(() => {
    let frame = 0;
    const follow = () => {
      const x = String(Math.min(1000, (1000 * (video.current?.currentTime ?? 0)) / length));
      head.current?.setAttribute("x1", x);
      head.current?.setAttribute("x2", x);
      frame = requestAnimationFrame(follow);
    };
    follow();
    return () => cancelAnimationFrame(frame);
  }, [length]);
  const seek = (event: PointerEvent) => {
    const place = (event.currentTarget as Element).getBoundingClientRect();
    const time = Math.max(0, Math.min(length, (length * (event.clientX - place.left)) / place.width));
    if (onSeek) onSeek(time);
    else if (video.current) video.current.currentTime = time;
  };
  const x = (time: number) => (1000 * time) / length;
  const onsets = clip.onsets.length ? clip.onsets : clip.sound_onsets;
  const seen = clip.contacts.length ? clip.contacts : clip.motion_peaks;
  return (
    <svg class="timeline" viewBox={`0 0 1000 ${HIGH}`} preserveAspectRatio="none" role="img" onPointerDown={seek}
      aria-label={`${seen.length} contacts seen at ${times(seen)}; ${onsets.length} onsets heard at ${times(onsets)}`}>
      {signals && <path class="motion" d={hill(signals, length)} />}
      {signals && <path class="wave" d={wave(signals.waveform)} />}
      <line class="middle" x1="0" x2="1000" y1={MIDDLE} y2={MIDDLE} />
      {seen.map((time) => <line key={`c${time}`} class="contact" x1={x(time)} x2={x(time)} y1="0" y2={MIDDLE} />)}
      {onsets.map((time) => <line key={`o${time}`} class="onset" x1={x(time)} x2={x(time)} y1={MIDDLE} y2={HIGH} />)}
      <line class="head" ref={head} x1="0" x2="0" y1="0" y2={HIGH} />
    </svg>
  );
}

export function TimelineKey() {
  return <p class="legend timeline-key"><span><i class="bar motion" /> motion</span><span><i class="bar wave" /> sound</span><span><i class="tick contact" /> contact seen</span><span><i class="tick onset" /> onset heard</span></p>;
}

function times(of: number[]): string {
  return of.length ? of.map((time) => `${time.toFixed(2)} s`).join(", ") : "no time";
}

/** Motion from each picture to the next, at the time of the next. */
function hill({ motion, fps }: SignalsDocument, length: number): string {
  if (!motion.length) return "";
  const most = Math.max(...motion, 1e-6);
  const x = (index: number) => ((1000 * (index + 1)) / (fps * length)).toFixed(1);
  const points = motion.map((value, index) => `L${x(index)} ${(MIDDLE - (MIDDLE - 3) * (value / most)).toFixed(1)}`);
  return `M${x(0)} ${MIDDLE}${points.join("")}L${x(motion.length - 1)} ${MIDDLE}Z`;
}

function wave(spans: [number, number][]): string {
  const loudest = Math.max(...spans.flatMap(([low, high]) => [Math.abs(low), Math.abs(high)]), 1e-3);
  const [centre, half] = [(MIDDLE + HIGH) / 2, (HIGH - MIDDLE) / 2 - 2];
  const step = 1000 / (spans.length || 1);
  const at = (value: number) => (centre - (half * value) / loudest).toFixed(1);
  const upper = spans.map(([, high], index) => `${((index + 0.5) * step).toFixed(1)} ${at(high)}`);
  const lower = spans.map(([low], index) => `${((index + 0.5) * step).toFixed(1)} ${at(low)}`).reverse();
  return spans.length ? `M${[...upper, ...lower].join("L")}Z` : "";
}
