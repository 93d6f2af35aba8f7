// Figures in words.
const NARROW = "\u00a0"; // a figure and its unit stay on one line
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const unknown = "not known";

export function whole(value: number | null | undefined): string {
  return value == null ? "–" : WHOLE.format(value);
}

/** Three significant digits, without an exponent where that is short. */
export function number(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace(/\.?0*e\+?/, "e");
  if (size >= 1000) return WHOLE.format(value);
  return String(Number(value.toPrecision(3)));
}

/** A figure in its unit: shares as per cent, times below 10 s as milliseconds. */
export function figure(value: number | null | undefined, unit: string, digits = 1): string {
  if (value == null) return "–";
  if (unit === "share") return `${(100 * value).toFixed(digits)}${NARROW}%`;
  if (unit === "s" && Math.abs(value) < 10) return `${(1000 * value).toFixed(0)}${NARROW}ms`;
  return `${number(value)} ${unit}`.trim();
}

export function interval(low: number | null, high: number | null, unit: string): string {
  if (low == null || high == null) return "";
  const first = figure(low, unit, 0).replace(/\s(%|ms|s)$/, "");
  return `${first} – ${figure(high, unit, 0)}`;
}

export function seconds(value: number | null | undefined): string {
  if (value == null) return "";
  if (value < 1) return `${(1000 * value).toFixed(0)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function span(started: number | null, finished: number | null): string {
  return started == null || finished == null || finished <= started ? "" : seconds(finished - started);
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return "";
  let rest = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (rest < 1024) return `${unit === "B" || rest >= 100 ? rest.toFixed(0) : rest.toFixed(1)} ${unit}`;
    rest /= 1024;
  }
  return `${rest.toFixed(1)} TiB`;
}

/** Seconds since the epoch as a date and a time of this place. */
export function moment(value: number | null | undefined): string {
  if (value == null) return "";
  return new Date(1000 * value).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A moment of this year in few letters. */
export function brief(value: number | null | undefined): string {
  if (value == null) return "";
  const date = new Date(1000 * value);
  const year = date.getFullYear() === new Date().getFullYear() ? {} : ({ year: "numeric" } as const);
  return date.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...year });
}

export function short(digest: string): string {
  return /^[0-9a-f]{16,}$/.test(digest) ? digest.slice(0, 12) : digest;
}

export function words(name: string): string {
  return name.replace(/_/g, " ");
}

export function sentence(name: string): string {
  const said = words(name);
  return said.charAt(0).toUpperCase() + said.slice(1);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}
