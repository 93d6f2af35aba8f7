// The clips of a run: a grid of which the part in view is drawn, filters beside it, one clip's story over it.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ClipRow, FieldsDocument, RunDocument } from "../documents";
import { useClips, type ClipList } from "../lib/clips";
import { useDocument } from "../lib/document";
import { sentence, whole } from "../lib/format";
import { useKeys } from "../lib/keys";
import { parseWhere, writeWhere, type Where } from "../lib/query";
import { go, href, type Route } from "../lib/route";
import { isFile } from "../lib/source";
import { Notes } from "../ui/common";
import { useRows } from "../ui/virtual";
import { ClipCard } from "./clip-card";
import { ActiveFilters, Filters } from "./filters";
import { Story } from "./story";

const NARROWEST = 150;
const GAP = 10;
const AROUND = 40; // clips before and after the view that are fetched with it
const PAUSE = 40; // milliseconds for which the view rests before its clips are fetched
const WORDS = 46; // height of the lines under a picture

export function GalleryPage({ run, route }: { run: RunDocument; route: Route }) {
  const id = run.summary.id;
  const where = parseWhere(route.query.get("where"));
  const sort = route.query.get("sort") ?? "";
  const open = route.path[3] ?? "";
  const fields = useDocument<FieldsDocument>(`/api/runs/${encodeURIComponent(id)}/clips/fields`);
  const clips = useClips(id, where, sort);
  const [index, setIndex] = useState(0);
  const [sound, setSound] = useState(false);
  const [filtering, setFiltering] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const place = (changes: { clip?: string; where?: Where; sort?: string }) =>
    href(["run", id, "clips", ...((changes.clip ?? "") ? [changes.clip!] : [])], { where: writeWhere(changes.where ?? where), sort: (changes.sort ?? sort) || undefined });
  const filter = (changed: Where) => go(place({ where: changed }), true);
  const show = (at: number, replace = false) => {
    const clip = clips.at(at);
    if (!clip) return;
    setIndex(at);
    go(place({ clip: clip.id }), replace);
  };
  const close = () => go(place({}));
  const step = (by: number) => show(Math.min((clips.total ?? 1) - 1, Math.max(0, index + by)), true);
  useEffect(() => setIndex(0), [writeWhere(where), sort]);
  useKeys({ "/": () => search.current?.focus(), m: () => setSound(!sound) });
  useKeys({ j: () => step(1), k: () => step(-1) }, open !== "");
  const total = fields.document?.total;
  // Kept as it is while pages of clips arrive.
  const filters = useMemo(() => (fields.document ? <>{isFile && <p class="hint">Counts are of the whole run.</p>}<Filters fields={fields.document.fields} where={where} onChange={filter} /></> : <p class="soft">{fields.error}</p>), [fields.document, fields.error, writeWhere(where), sort]);
  return (
    <div class={filtering ? "gallery-page filtering" : "gallery-page"}>
      <div class="filters" id="filters">{filters}</div>
      <div class="gallery-main">
        <div class="toolbar">
          <button type="button" class="filter-button" aria-expanded={filtering} aria-controls="filters" onClick={() => setFiltering(!filtering)}>Filters</button>
          <input ref={search} type="search" placeholder="Search names, captions, evidence  /" aria-label="Search clips" value={typeof where.text === "string" ? where.text : ""}
            onInput={(event) => filter({ ...where, text: event.currentTarget.value })} />
          <label class="sort">Sort <select value={sort} onChange={(event) => go(place({ sort: event.currentTarget.value }), true)}>
            <option value="">as made</option>
            {(fields.document?.sorts ?? []).flatMap((name) => [<option key={name} value={name}>{title(name)} ↑</option>, <option key={`-${name}`} value={`-${name}`}>{title(name)} ↓</option>])}
          </select></label>
          <button type="button" aria-pressed={sound} onClick={() => setSound(!sound)} title="Sound while a clip plays under the pointer (m)">{sound ? "Sound on" : "Sound off"}</button>
          <span class="push soft" role="status">{clips.total === null ? (clips.error || "Counting …") : `${whole(clips.total)}${total != null && total !== clips.total ? ` of ${whole(total)}` : ""} clips`}</span>
        </div>
        <ActiveFilters fields={fields.document?.fields ?? []} where={where} onChange={filter} />
        <Notes of={fields.document?.notes ?? []} />
        {clips.total === 0 && <p class="notice">No clip fits. Take a filter away.</p>}
        {clips.error && <p class="notice failed" role="alert">{clips.error}</p>}
        <Grid run={id} clips={clips} index={index} onIndex={setIndex} onOpen={show} sound={sound} open={open} />
      </div>
      {open && <Story run={id} clip={open} sound={sound} onClose={close} onStep={step} place={(clip) => place({ clip })} />}
    </div>
  );
}

function title(name: string): string {
  return sentence(name.replace(/^signals\./, ""));
}

function Grid({ run, clips, index, onIndex, onOpen, sound, open }: { run: string; clips: ClipList; index: number; onIndex: (index: number) => void; onOpen: (index: number) => void; sound: boolean; open: string }) {
  const scroller = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [playing, setPlaying] = useState("");
  const wanted = useRef(-1);
  const total = clips.total ?? 0;
  const columns = Math.max(2, Math.floor((width + GAP) / (NARROWEST + GAP)));
  const cell = (width - GAP * (columns - 1)) / columns;
  const ratio = aspect(clips.at(0));
  const height = Math.round(cell / ratio + WORDS + GAP);
  const rows = useRows(width ? Math.ceil(total / columns) : 0, height, scroller);
  const first = (rows.items[0]?.index ?? 0) * columns;
  const last = Math.min(total, ((rows.items.at(-1)?.index ?? 0) + 1) * columns) - 1;
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => setWidth(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // What is only passed by is not asked for; what lies before and after the view is.
  useEffect(() => {
    if (!total) return;
    const rest = setTimeout(() => clips.want(Math.max(0, first - AROUND), Math.min(total - 1, Math.max(first, last) + AROUND)), PAUSE);
    return () => clearTimeout(rest);
  }, [clips, first, last, total]);
  const move = (by: number) => {
    const next = Math.min(total - 1, Math.max(0, index + by));
    onIndex(next);
    rows.scrollTo(Math.floor(next / columns));
    wanted.current = next;
  };
  // The clip to move to gets the focus as soon as it is drawn, which may be after its page has come.
  useLayoutEffect(() => {
    const card = wanted.current < 0 ? null : scroller.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`);
    if (!card) return;
    card.focus({ preventScroll: true });
    wanted.current = -1;
  });
  const pressed = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -index, End: total };
    if (event.key in steps) move(steps[event.key]!);
    else if (event.key === " ") setPlaying(playing ? "" : (clips.at(index)?.id ?? ""));
    else return;
    event.preventDefault();
  };
  return (
    <div class="grid-scroll" ref={scroller} onKeyDown={pressed} role="list" aria-label="Clips">
      <div class="grid-space" style={{ height: `${rows.height}px` }} role="presentation">
        {rows.items.flatMap((row) => Array.from({ length: Math.min(columns, total - row.index * columns) }, (_, column) => {
          const at = row.index * columns + column;
          const clip = clips.at(at);
          return (
            <div key={at} role="listitem" class="grid-cell" style={{ transform: `translate(${column * (cell + GAP)}px, ${row.start}px)`, width: `${cell}px`, height: `${height - GAP}px`, "--ratio": String(ratio) }}>
              {clip ? <ClipCard run={run} clip={clip} index={at} current={at === index} open={clip.id === open} playing={clip.id === playing} sound={sound} onOpen={() => onOpen(at)} onPlay={(on) => setPlaying(on ? clip.id : "")} /> : <div class="clip-card empty" aria-hidden="true"><div class="clip-picture" /></div>}
            </div>
          );
        }))}
      </div>
    </div>
  );
}

/** Width over height of the pictures: that of the first clip, within what a grid looks well with. */
function aspect(clip: ClipRow | undefined): number {
  return clip?.width && clip.height ? Math.min(1.8, Math.max(0.6, clip.width / clip.height)) : 1;
}
