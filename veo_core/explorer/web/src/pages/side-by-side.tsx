// Clips that two runs made of one prompt, side by side: two players on one scrubber, or one over the other.
import { useMemo, useRef, useState } from "preact/hooks";
import type { ClipPair, CompareDocument, MadeClip, SignalsDocument } from "../documents";
import { useDocument } from "../lib/document";
import { plural, words } from "../lib/format";
import { useKeys } from "../lib/keys";
import { go, href, type Route } from "../lib/route";
import { media } from "../lib/source";
import { useTogether, type Heard } from "../lib/together";
import { Segmented } from "../ui/common";
import { Timeline, TimelineKey } from "../ui/timeline";
import { useRows } from "../ui/virtual";
import { Marks } from "./made";

const ROW = 46;
type Changed = "" | "changed" | "better" | "worse";

export function SideBySide({ compared, route }: { compared: CompareDocument; route: Route }) {
  const [, a = "", b = ""] = route.path;
  const [changed, setChanged] = useState<Changed>("");
  const [text, setText] = useState("");
  const search = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const pairs = useMemo(() => compared.pairs.filter((pair) => {
    const [before, after] = [score(pair.first), score(pair.second)];
    if (changed && before === after) return false;
    if (changed === "better" && after <= before) return false;
    if (changed === "worse" && after >= before) return false;
    return text.toLowerCase().split(/\s+/).every((word) => `${pair.prompt} ${pair.split} ${pair.mode}`.toLowerCase().includes(word));
  }), [compared, changed, text]);
  const rows = useRows(pairs.length, ROW, scroller);
  const asked = route.path[4] ?? "";
  const pair = compared.pairs.find((each) => each.id === asked) ?? pairs[0];
  const place = (id: string) => href(["compare", a, b, "clips", id]);
  const step = (by: number) => {
    const at = pairs.findIndex((each) => each.id === pair?.id);
    const next = pairs[Math.min(pairs.length - 1, Math.max(0, at + by))];
    if (!next) return;
    go(place(next.id), true);
    rows.scrollTo(pairs.indexOf(next));
  };
  useKeys({ "/": () => search.current?.focus(), j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1) });
  return (
    <div class="pairs">
      <div class="card pair-list">
        <input ref={search} type="search" placeholder="Search prompts  /" aria-label="Search prompts" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <Segmented label="Which" value={changed} options={[["", "all"], ["changed", "differ"], ["better", "B better"], ["worse", "B worse"]]} onChange={setChanged} />
        <p class="soft" role="status">{plural(pairs.length, "prompt")}</p>
        <div class="pair-scroll" ref={scroller} tabIndex={-1}>
          <div style={{ height: `${rows.height}px` }} class="runs-space">{rows.items.map((item) => {
            const each = pairs[item.index];
            return each && <a key={each.id} href={place(each.id)} class="pair-row" aria-current={each.id === pair?.id ? "true" : undefined} style={{ transform: `translateY(${item.start}px)`, height: `${ROW}px` }}>
              <span>{each.prompt}</span>
              <small>{words(each.split)} {each.mode} · {verdict(each)}</small>
            </a>;
          })}</div>
        </div>
      </div>
      {pair ? <Pair key={pair.id} a={a} b={b} pair={pair} /> : <p class="notice">No prompt fits.</p>}
    </div>
  );
}

function score(clip: MadeClip): number {
  return clip.attributes.filter((attribute) => attribute.right).length;
}

function verdict(pair: ClipPair): string {
  const [before, after] = [score(pair.first), score(pair.second)];
  const all = pair.first.attributes.length;
  if (!all) return "not scored";
  return before === after ? `both ${before} of ${all}` : `A ${before}, B ${after} of ${all}`;
}

function Pair({ a, b, pair }: { a: string; b: string; pair: ClipPair }) {
  const [wiping, setWiping] = useState(false);
  const [edge, setEdge] = useState(50);
  const [heard, setHeard] = useState<Heard>("none");
  const [rate, setRate] = useState("1");
  const films = useTogether(pair.id, heard, Number(rate));
  const fps = pair.first.fps ?? pair.second.fps ?? 8;
  const nudge = (by: number) => films.seek(Math.min(films.length, Math.max(0, films.time + by / fps)));
  useKeys({ " ": films.toggle, ",": () => nudge(-1), ".": () => nudge(1), w: () => setWiping(!wiping), m: () => setHeard(heard === "none" ? "first" : heard === "first" ? "second" : "none") });
  const sources = [media(a, pair.first.media), media(b, pair.second.media)] as const;
  const ratio = pair.first.width && pair.first.height ? pair.first.width / pair.first.height : 1;
  return (
    <section class="card pair" aria-label="Side by side">
      <h2>{pair.prompt}</h2>
      <p class="soft">{words(pair.split)}, {pair.mode}, seed {pair.seed}</p>
      <div class={wiping ? "films wiping" : "films"} style={{ "--ratio": String(ratio) }}>
        <figure><figcaption><b class="letter a">A</b></figcaption><Film films={films} which="first" source={sources[0]} /></figure>
        <figure style={wiping ? { clipPath: `inset(0 0 0 ${edge}%)` } : { clipPath: "none" }}><figcaption><b class="letter b">B</b></figcaption><Film films={films} which="second" source={sources[1]} /></figure>
        {wiping && <><i class="wipe-line" style={{ left: `${edge}%` }} /><input class="wipe" type="range" min="0" max="100" value={edge} aria-label="Edge between A and B" onInput={(event) => setEdge(Number(event.currentTarget.value))} /></>}
      </div>
      <div class="transport">
        <button type="button" class="primary" onClick={films.toggle} aria-label={films.playing ? "Pause both" : "Play both"} title="Space">{films.playing ? "❚❚" : "▶"}</button>
        <button type="button" onClick={() => nudge(-1)} aria-label="One picture back" title=",">‹</button>
        <button type="button" onClick={() => nudge(1)} aria-label="One picture on" title=".">›</button>
        <input type="range" class="scrubber" min="0" max={films.length || 1} step="0.001" value={films.time} aria-label="Time of both" aria-valuetext={`${films.time.toFixed(2)} s`} onInput={(event) => films.seek(Number(event.currentTarget.value))} />
        <span class="num soft">{films.time.toFixed(2)} / {films.length.toFixed(2)} s</span>
      </div>
      <div class="toolbar">
        <Segmented label="Sound of" value={heard} options={[["first", "Hear A"], ["second", "Hear B"], ["none", "Silent"]]} onChange={setHeard} />
        <Segmented label="Speed" value={rate} options={[["0.25", "¼"], ["0.5", "½"], ["1", "1×"]]} onChange={setRate} />
        <button type="button" aria-pressed={wiping} onClick={() => setWiping(!wiping)} title="w">{wiping ? "Beside each other" : "Wipe"}</button>
      </div>
      <div class="tracks">
        <Track letter="A" run={a} clip={pair.first} films={films} which="first" />
        <Track letter="B" run={b} clip={pair.second} films={films} which="second" />
        <TimelineKey />
      </div>
    </section>
  );
}

type Films = ReturnType<typeof useTogether>;

function Film({ films, which, source }: { films: Films; which: "first" | "second"; source: string }) {
  return source ? <video ref={films[which]} src={source} muted playsInline preload="auto" onClick={films.toggle} aria-label={which === "first" ? "Clip of A" : "Clip of B"} /> : <p class="unknown">not in the store</p>;
}

function Track({ letter, run, clip, films, which }: { letter: string; run: string; clip: MadeClip; films: Films; which: "first" | "second" }) {
  const signals = useDocument<SignalsDocument>(clip.media ? `/api/runs/${encodeURIComponent(run)}/signals/${clip.id}` : "");
  return (
    <div class="track">
      <b class={`letter ${letter.toLowerCase()}`}>{letter}</b>
      <div><Timeline clip={clip} signals={signals.document} video={films[which]} onSeek={films.seek} /><Marks of={clip.attributes} />{clip.problem && <p class="unknown">{clip.problem}</p>}</div>
    </div>
  );
}
