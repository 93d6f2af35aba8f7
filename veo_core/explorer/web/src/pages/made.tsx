// The generated clips of an evaluation, with what the detectors saw and heard in each.
import { useMemo, useRef, useState } from "preact/hooks";
import type { AttributeScore, EvaluationDocument, MadeClip, SignalsDocument } from "../documents";
import { useDocument } from "../lib/document";
import { bytes, number, plural, short, words } from "../lib/format";
import { useKeys } from "../lib/keys";
import { go, href, type Route } from "../lib/route";
import { media } from "../lib/source";
import { calm } from "../lib/theme";
import { Card, Facts, Segmented } from "../ui/common";
import { Panel } from "../ui/panel";
import { Timeline, TimelineKey } from "../ui/timeline";

const AT_ONCE = 240;

export function Made({ run, evaluation, route }: { run: string; evaluation: EvaluationDocument; route: Route }) {
  const group = route.query.get("group") ?? "";
  const right = route.query.get("right") ?? "";
  const text = route.query.get("q") ?? "";
  const open = route.query.get("clip") ?? "";
  const [most, setMost] = useState(AT_ONCE);
  const [sound, setSound] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const { clips, places, refused } = evaluation;
  const groups = places.filter((place) => clips.some((clip) => inPlace(clip, place.split, place.mode)));
  const shown = useMemo(() => clips.filter((clip) => {
    const place = groups.find((each) => each.split + each.mode === group);
    if (place && !inPlace(clip, place.split, place.mode)) return false;
    if (right && String(clip.right) !== right) return false;
    const told = `${clip.prompt} ${clip.sentence} ${clip.tags.join(" ")} ${clip.id}`.toLowerCase();
    return text.toLowerCase().split(/\s+/).every((word) => told.includes(word));
  }), [clips, group, right, text]);
  const place = (changes: Record<string, string>) => href(["run", run, "evaluation"], { view: "clips", group, right, q: text, clip: open, ...changes });
  const at = shown.findIndex((clip) => clip.id === open);
  const step = (by: number) => {
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
    if (next) go(place({ clip: next.id }), true);
  };
  useKeys({ "/": () => search.current?.focus(), m: () => setSound(!sound) });
  useKeys({ j: () => step(1), k: () => step(-1) }, open !== "");
  const found = clips.find((clip) => clip.id === open);
  return (
    <Card title="Generated clips" aside={<span class="soft" role="status">{shown.length === clips.length ? plural(clips.length, "clip") : `${shown.length} of ${plural(clips.length, "clip")}`}</span>}>
      <div class="toolbar made-tools">
        <input ref={search} type="search" placeholder="Search prompts  /" aria-label="Search generated clips" value={text} onInput={(event) => go(place({ q: event.currentTarget.value, clip: "" }), true)} />
        {groups.length > 1 && <select aria-label="Kind of prompt" value={group} onChange={(event) => go(place({ group: event.currentTarget.value, clip: "" }), true)}>
          <option value="">all prompts</option>
          {groups.map((each) => <option key={each.split + each.mode} value={each.split + each.mode}>{each.title}</option>)}
        </select>}
        {clips.some((clip) => clip.right !== null) && <Segmented label="Right or wrong" value={right} options={[["", "all"], ["true", "right"], ["false", "wrong"]]} onChange={(value) => go(place({ right: value, clip: "" }), true)} />}
        <button type="button" aria-pressed={sound} onClick={() => setSound(!sound)}>{sound ? "Sound on" : "Sound off"}</button>
      </div>
      <ul class="made">{shown.slice(0, most).map((clip) => <li key={clip.id + clip.prompt}><MadeCard run={run} clip={clip} to={place({ clip: clip.id })} sound={sound} open={clip.id === open} /></li>)}</ul>
      {shown.length > most && <button type="button" onClick={() => setMost(most + AT_ONCE)}>Show more</button>}
      {refused.length > 0 && <details><summary>{plural(refused.length, "prompt")} refused by the filter</summary><ul class="plain-list">{refused.map((each) => <li key={each.prompt}>{each.prompt} <span class="soft">{each.category} (code {each.code}, {each.tier}): {each.reason}</span></li>)}</ul></details>}
      {found && <Panel label="A generated clip" onClose={() => go(place({ clip: "" }))} tools={<>
        <button type="button" class="quiet" onClick={() => step(-1)} title="Previous (k)">← Previous</button>
        <button type="button" class="quiet" onClick={() => step(1)} title="Next (j)">Next →</button>
      </>}><MadeStory key={found.id} run={run} clip={found} sound={sound} /></Panel>}
    </Card>
  );
}

/** Whether a clip is of a group; "all" holds every split of a mode. */
function inPlace(clip: MadeClip, split: string, mode: string): boolean {
  return (split === "all" || clip.split === split) && clip.mode === mode;
}

function MadeCard({ run, clip, to, sound, open }: { run: string; clip: MadeClip; to: string; sound: boolean; open: boolean }) {
  const [playing, setPlaying] = useState(false);
  const timer = useRef(0);
  const address = media(run, clip.media);
  const poster = media(run, clip.poster);
  const enter = (event: PointerEvent) => {
    if (event.pointerType === "mouse" && !calm.matches) timer.current = window.setTimeout(() => setPlaying(true), 90);
  };
  const leave = () => {
    clearTimeout(timer.current);
    setPlaying(false);
  };
  return (
    <a class={open ? "clip-card made-card open" : "clip-card made-card"} href={to} onPointerEnter={enter} onPointerLeave={leave}>
      <span class="clip-picture" style={{ "--ratio": clip.width && clip.height ? String(clip.width / clip.height) : "1" }}>
        {poster ? <img src={poster} alt="" loading="lazy" decoding="async" /> : <span class="no-picture">{address ? "no picture" : "not in the store"}</span>}
        {playing && address && <video src={address} autoplay loop playsInline muted={!sound} />}
      </span>
      <span class="made-prompt">{clip.prompt}</span>
      <Marks of={clip.attributes} />
      {clip.problem && <span class="clip-fate failed"><i /> {clip.problem}</span>}
    </a>
  );
}

export function Marks({ of }: { of: AttributeScore[] }) {
  if (!of.length) return null;
  return <span class="marks">{of.map((attribute) => {
    const seen = attribute.seen || "nothing";
    const wanted = attribute.name === "count" ? `objects: ${attribute.wanted}` : attribute.wanted;
    return <span key={attribute.name} class={attribute.right ? "mark right" : "mark wrong"} title={`${attribute.name}: wanted ${attribute.wanted}, saw ${seen}`}><span aria-hidden="true">{attribute.right ? "✓" : "✕"}</span> {attribute.right ? wanted : `${wanted} → ${seen}`}</span>;
  })}</span>;
}

function MadeStory({ run, clip, sound }: { run: string; clip: MadeClip; sound: boolean }) {
  const video = useRef<HTMLVideoElement>(null);
  const signals = useDocument<SignalsDocument>(clip.media ? `/api/runs/${encodeURIComponent(run)}/signals/${clip.id}` : "");
  const address = media(run, clip.media);
  return (
    <article class="story">
      <h2>{clip.prompt}</h2>
      {address ? <video class="story-video" ref={video} src={address} poster={media(run, clip.poster) || undefined} controls loop playsInline autoplay muted={!sound} aria-label={`Generated clip: ${clip.prompt}`} />
        : <p class="unknown">The film is not in this file, or not in the store.</p>}
      {address && <><Timeline clip={clip} signals={signals.document} video={video} /><TimelineKey /></>}
      {signals.error && <p class="unknown">{signals.error}</p>}
      {clip.sentence && <p>Saw and heard: {clip.sentence}</p>}
      {clip.problem && <p class="notice failed">{clip.problem}</p>}
      <Marks of={clip.attributes} />
      <Facts of={[
        ["Prompt", `${words(clip.split)}, ${clip.mode}`],
        ["Tags", clip.tags.join(", ")],
        ["Seed", clip.seed],
        ["Clip", clip.width && clip.height ? `${clip.width} × ${clip.height}, ${number(clip.fps)} frames a second, ${number(clip.seconds)} s` : ""],
        ["File", <>{bytes(clip.bytes)}, <code>{short(clip.id)}</code></>],
        ["Watermark", clip.marked === null ? "" : clip.marked ? "read back" : "none"],
        ["Signed", clip.signed === null ? "" : clip.signed ? "yes" : "no"],
        ["Safety", clip.unsafe === null ? "" : clip.unsafe ? <span class="badge wrong">unsafe</span> : "nothing unsafe found"],
        ["Judge says", clip.unsafe_reason],
      ]} />
      {clip.first_frame && media(run, clip.first_frame) && <figure class="given"><figcaption class="soft">Given first picture</figcaption><img src={media(run, clip.first_frame)} alt="The picture that the clip was to start with" /></figure>}
      <dl class="figures">{Object.entries(clip.figures).filter(([, value]) => value !== null).map(([name, value]) => <div key={name}><dt>{words(name)}</dt><dd>{number(value)}</dd></div>)}</dl>
    </article>
  );
}
