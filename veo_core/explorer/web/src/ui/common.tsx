// Small parts that every page uses.
import type { ComponentChildren } from "preact";
import type { Loading } from "../lib/document";
import { words } from "../lib/format";

const GLYPHS: Record<string, string> = {
  SUCCEEDED: "✓",
  CACHED: "↺",
  FAILED: "✕",
  RUNNING: "▸",
  PENDING: "·",
  SKIPPED: "–",
  CANCELLED: "■",
  INTERRUPTED: "!",
  UNKNOWN: "?",
};

export function glyph(state: string): string {
  return GLYPHS[state] ?? "?";
}

export function Badge({ state, children }: { state: string; children?: ComponentChildren }) {
  return <span class={`badge ${state.toLowerCase()}`}>{children ?? <><span aria-hidden="true">{glyph(state)}</span> {words(state.toLowerCase())}</>}</span>;
}

/** The content for a document, or what is to be said while there is none. */
export function Await<T>({ of, children, what }: { of: Loading<T>; children: (document: T) => ComponentChildren; what: string }) {
  if (of.document !== null) return <>{children(of.document)}</>;
  if (of.error) return <p class="notice" role="alert">{what} cannot be shown: {of.error}</p>;
  return <p class="waiting" aria-busy="true">Loading {what} …</p>;
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  const known = of.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  if (!known.length) return null;
  return <dl class="facts">{known.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

/** A digest in short; a click copies it whole. */
export function Digest({ of }: { of: string }) {
  if (!of) return <span class="unknown">not known</span>;
  const long = /^[0-9a-f]{20,}$/.test(of);
  return <code class="digest" title={of}>{long ? of.slice(0, 12) : of}</code>;
}

export function Card({ title, hint, children, id, aside }: { title?: ComponentChildren; hint?: ComponentChildren; children: ComponentChildren; id?: string; aside?: ComponentChildren }) {
  return (
    <section class="card" id={id}>
      {title && <header class="card-head"><h2>{title}</h2>{aside}</header>}
      {hint && <p class="hint">{hint}</p>}
      {children}
    </section>
  );
}

export function Tile({ label, value, detail, href }: { label: string; value: string | null | undefined; detail?: ComponentChildren; href?: string }) {
  const body = <>
    <span class="tile-label">{label}</span>
    <span class={value == null ? "tile-value none" : "tile-value"}>{value ?? "not known"}</span>
    <span class="tile-detail">{value == null ? "" : detail}</span>
  </>;
  return href ? <a class="tile" href={href}>{body}</a> : <div class="tile">{body}</div>;
}

export function Notes({ of }: { of: string[] }) {
  const lines = [...new Set(of)].map((line) => line.replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1…"));
  if (!lines.length) return null;
  return <section class="notice" aria-label="What is not known">{lines.length === 1 ? <p>{lines[0]}</p> : <ul>{lines.map((line) => <li key={line}>{line}</li>)}</ul>}</section>;
}

export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return <div class="scroll" tabIndex={0} role="region" aria-label={label}>{children}</div>;
}

export function Segmented<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: [T, string][]; onChange: (value: T) => void }) {
  return (
    <div class="segmented" role="group" aria-label={label}>
      {options.map(([name, title]) => <button key={name} type="button" aria-pressed={name === value} onClick={() => onChange(name)}>{title}</button>)}
    </div>
  );
}
