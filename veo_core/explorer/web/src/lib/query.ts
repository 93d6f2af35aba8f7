// Which clips to show: conditions by field, all of which hold. A server answers them; a single file answers
// them from the clips that it holds.
import type { ClipRow } from "../documents";

export interface Range {
  min?: number | null;
  max?: number | null;
}
export type Condition = string | string[] | Range;
export type Where = Record<string, Condition>;

export function parseWhere(text: string | null): Where {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return value && typeof value === "object" && !Array.isArray(value) ? (value as Where) : {};
  } catch {
    return {};
  }
}

export function writeWhere(where: Where): string | undefined {
  const kept = Object.entries(where).filter(([, condition]) => !isEmpty(condition));
  return kept.length ? JSON.stringify(Object.fromEntries(kept)) : undefined;
}

export function isRange(condition: Condition | undefined): condition is Range {
  return typeof condition === "object" && !Array.isArray(condition);
}

export function isEmpty(condition: Condition | undefined): boolean {
  if (condition === undefined || condition === "") return true;
  if (Array.isArray(condition)) return condition.length === 0;
  return isRange(condition) && condition.min == null && condition.max == null;
}

/** Those of `rows` that fit, sorted by a field; "-" before its name sorts downwards, unknown values last. */
export function select(rows: ClipRow[], where: Where, sort: string): ClipRow[] {
  const found = rows.filter((row) => Object.entries(where).every(([field, condition]) => holds(row, field, condition)));
  if (!sort) return found;
  const field = sort.replace(/^-/, "");
  const sign = sort.startsWith("-") ? -1 : 1;
  return found.sort((a, b) => {
    const [x, y] = [valueOf(a, field), valueOf(b, field)];
    if (x == null || y == null) return Number(x == null) - Number(y == null);
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  });
}

function holds(row: ClipRow, field: string, condition: Condition): boolean {
  if (isEmpty(condition)) return true;
  if (typeof condition === "string") {
    const text = `${row.name} ${row.caption} ${row.evidence}`.toLowerCase();
    return condition.toLowerCase().split(/\s+/).every((word) => text.includes(word) || row.id.startsWith(word));
  }
  const value = valueOf(row, field);
  if (Array.isArray(condition)) return condition.includes(String(value ?? ""));
  return typeof value === "number" && value >= (condition.min ?? -Infinity) && value <= (condition.max ?? Infinity);
}

function valueOf(row: ClipRow, field: string): string | number | null {
  if (field.startsWith("signals.")) return row.signals[field.slice("signals.".length)] ?? null;
  const value = (row as unknown as Record<string, unknown>)[field];
  return typeof value === "string" || typeof value === "number" ? value : null;
}
