// Filters of the gallery: choices with their counts, ranges with their histograms.
import { useState } from "preact/hooks";
import type { ClipField } from "../documents";
import { number, short, whole, words } from "../lib/format";
import { isEmpty, isRange, type Condition, type Where } from "../lib/query";

const SHOWN = 7;

interface Of {
  fields: ClipField[];
  where: Where;
  onChange: (where: Where) => void;
}

export function Filters({ fields, where, onChange }: Of) {
  const set = (name: string, condition: Condition) => onChange({ ...where, [name]: condition });
  return <>{fields.filter((field) => field.kind !== "text").map((field) => {
    const condition = where[field.name];
    return (
      <details key={field.name} class="filter" open={!isEmpty(condition) || ["verdict", "rule", "stage", "split"].includes(field.name)}>
        <summary>{field.title}</summary>
        {field.kind === "choice" ? <Choices field={field} chosen={Array.isArray(condition) ? condition : []} onChange={(chosen) => set(field.name, chosen)} />
          : <Limits field={field} range={isRange(condition) ? condition : {}} onChange={(range) => set(field.name, range)} />}
      </details>
    );
  })}</>;
}

function Choices({ field, chosen, onChange }: { field: ClipField; chosen: string[]; onChange: (chosen: string[]) => void }) {
  const [all, setAll] = useState(false);
  const most = field.choices[0]?.count ?? 1;
  const shown = all ? field.choices : field.choices.filter((choice, index) => index < SHOWN || chosen.includes(choice.value));
  const turn = (value: string) => onChange(chosen.includes(value) ? chosen.filter((other) => other !== value) : [...chosen, value]);
  return (
    <div role="group" aria-label={field.title}>
      {shown.map((choice) => (
        <label key={choice.value} class="choice">
          <input type="checkbox" checked={chosen.includes(choice.value)} onChange={() => turn(choice.value)} />
          <span class="choice-name" title={choice.value}>{short(words(choice.value)) || "none"}</span>
          <span class="choice-count">{whole(choice.count)}</span>
          <i style={{ width: `${(100 * choice.count) / most}%` }} />
        </label>
      ))}
      {field.choices.length > SHOWN && <button type="button" class="quiet more" onClick={() => setAll(!all)}>{all ? "fewer" : `all ${field.choices.length}`}</button>}
    </div>
  );
}

function Limits({ field, range, onChange }: { field: ClipField; range: { min?: number | null; max?: number | null }; onChange: (range: { min?: number; max?: number }) => void }) {
  const bins = field.bins ?? [];
  const most = Math.max(1, ...bins);
  const [low, high] = [field.min ?? 0, field.max ?? 0];
  const width = (high - low) / (bins.length || 1);
  const within = (index: number) => low + (index + 1) * width > (range.min ?? -Infinity) && low + index * width < (range.max ?? Infinity);
  const read = (text: string) => (text === "" ? undefined : Number(text));
  const [from, to] = [range.min ?? undefined, range.max ?? undefined];
  return (
    <div role="group" aria-label={field.title}>
      {bins.length > 0 && <svg class="bins" viewBox={`0 0 ${bins.length} 20`} preserveAspectRatio="none" aria-hidden="true">{bins.map((count, index) => <rect key={index} class={within(index) ? "in" : ""} x={index + 0.06} width="0.88" y={20 - (count ? 1 : 0) - (19 * Math.sqrt(count)) / Math.sqrt(most)} height={(count ? 1 : 0) + (19 * Math.sqrt(count)) / Math.sqrt(most)} />)}</svg>}
      <div class="limits">
        <input type="number" step="any" placeholder={number(field.min)} value={from ?? ""} aria-label={`${field.title}: at least`} onChange={(event) => onChange({ min: read(event.currentTarget.value), max: to })} />
        <span class="soft">to</span>
        <input type="number" step="any" placeholder={number(field.max)} value={to ?? ""} aria-label={`${field.title}: at most`} onChange={(event) => onChange({ min: from, max: read(event.currentTarget.value) })} />
        <span class="soft">{field.unit}</span>
      </div>
    </div>
  );
}

/** What is filtered by, each to be taken away. */
export function ActiveFilters({ fields, where, onChange }: Of) {
  const active = Object.entries(where).filter(([name, condition]) => name !== "text" && !isEmpty(condition));
  if (!active.length) return null;
  const without = (name: string) => Object.fromEntries(Object.entries(where).filter(([other]) => other !== name));
  return (
    <div class="chips" role="group" aria-label="Filters in force">
      {active.map(([name, condition]) => {
        const title = fields.find((field) => field.name === name)?.title ?? name;
        return <button key={name} type="button" class="chip" onClick={() => onChange(without(name))} aria-label={`Take away: ${title} ${said(condition)}`}>{title}: <b>{said(condition)}</b> <span aria-hidden="true">✕</span></button>;
      })}
      {active.length > 1 && <button type="button" class="quiet" onClick={() => onChange({})}>Clear all</button>}
    </div>
  );
}

function said(condition: Condition): string {
  if (typeof condition === "string") return condition;
  if (Array.isArray(condition)) return condition.map((value) => short(words(value)) || "none").join(" or ");
  if (condition.min == null) return `at most ${number(condition.max)}`;
  return condition.max == null ? `at least ${number(condition.min)}` : `${number(condition.min)} to ${number(condition.max)}`;
}
