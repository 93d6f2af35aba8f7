// Training: curves of each stage, how fast it went, and what it made on the way.
import { useMemo, useRef, useState } from "preact/hooks";
import type { Curve, RunDocument, Sample, SampleStep, TrainedStage, TrainingDocument } from "../documents";
import { useDocument } from "../lib/document";
import { number, whole, words } from "../lib/format";
import { href } from "../lib/route";
import { media } from "../lib/source";
import { calm } from "../lib/theme";
import { Chart, type Line } from "../ui/chart";
import { Await, Badge, Card, Notes } from "../ui/common";

const REFRESH = 5000;

export function TrainingPage({ run }: { run: RunDocument }) {
  const training = useDocument<TrainingDocument>(`/api/runs/${encodeURIComponent(run.summary.id)}/training`, run.summary.state === "RUNNING" ? REFRESH : 0);
  return <Await of={training} what="the training">{(found) => (
    <div class="stack">
      <Notes of={found.notes} />
      {found.stages.length === 0 && <p class="notice">Nothing was trained in this run yet.</p>}
      {found.stages.map((stage) => <Stage key={stage.task} run={run.summary.id} stage={stage} />)}
    </div>
  )}</Await>;
}

function Stage({ run, stage }: { run: string; stage: TrainedStage }) {
  const figures = Object.entries(stage.figures);
  return (
    <Card title={<span class="stage-head"><a href={href(["run", run, "task", String(stage.task)])}>{stage.name}</a> <Badge state={stage.state} /></span>}
      hint={figures.length > 0 && <>At the end: {figures.map(([name, value]) => `${words(name)} ${number(value)}`).join(", ")}</>}>
      <Notes of={stage.notes} />
      {stage.curves.length ? <div class="charts">{stage.curves.map((curve) => <CurveChart key={curve.title} curve={curve} />)}</div> : <p class="unknown">Nothing is logged.</p>}
      {stage.throughput.length > 0 && <details open={stage.curves.length < 4}><summary>Speed</summary><div class="charts">{stage.throughput.map((curve) => <CurveChart key={curve.title} curve={curve} />)}</div></details>}
      {stage.samples.length > 0 && <><h3>Samples while it trained</h3><Samples run={run} steps={stage.samples} /></>}
    </Card>
  );
}

function CurveChart({ curve }: { curve: Curve }) {
  const lines = useMemo<Line[]>(() => curve.series.map((series) => ({ ...series, dashed: series.validation })), [curve]);
  return <Chart title={words(curve.title)} unit={curve.unit} log={curve.log} lines={lines} />;
}

function Samples({ run, steps }: { run: string; steps: SampleStep[] }) {
  const audio = useRef<HTMLAudioElement>(null);
  const [heard, setHeard] = useState("");
  const hear = (sound: string) => {
    const player = audio.current;
    if (!player) return;
    if (heard === sound) return player.pause();
    player.src = media(run, sound);
    void player.play();
    setHeard(sound);
  };
  return (
    <>
      <audio ref={audio} onPause={() => setHeard("")} onEnded={() => setHeard("")} />
      <div class="samples" tabIndex={0} role="region" aria-label="Samples by step">
        {steps.map((step) => (
          <div key={step.step} class="sample-step">
            <p>step {whole(step.step)}</p>
            <ul>{step.clips.map((sample, index) => <SampleFilm key={sample.picture + index} run={run} sample={sample} label={`Sample ${index + 1} at step ${step.step}`} heard={heard === sample.sound && heard !== ""} onHear={() => hear(sample.sound)} />)}</ul>
          </div>
        ))}
      </div>
    </>
  );
}

function SampleFilm({ run, sample, label, heard, onHear }: { run: string; sample: Sample; label: string; heard: boolean; onHear: () => void }) {
  const [moving, setMoving] = useState(!calm.matches);
  const picture = media(run, sample.picture);
  return (
    <li class="sample" title={sample.prompt}>
      {!picture ? <p class="unknown">not in this file</p> : moving ? <img src={picture} alt={sample.prompt || label} loading="lazy" /> : <button type="button" onClick={() => setMoving(true)}>show</button>}
      {sample.sound && media(run, sample.sound) && <button type="button" onClick={onHear} aria-label={`${heard ? "Stop" : "Hear"} ${label}`} aria-pressed={heard}>{heard ? "■" : "♪"}</button>}
    </li>
  );
}
