// Where documents and media come from: the server that sent this page, or the page's own embedded data.
interface Embedded {
  documents: Record<string, unknown>;
  media: Record<string, string>;
  thumbs?: Record<string, string>;
}

const embedded = readEmbedded();
const objectUrls = new Map<string, string>();

/** Whether this page is a single file without a server. */
export const isFile = embedded !== null;

export class NotKnownError extends Error {}

function readEmbedded(): Embedded | null {
  const text = document.getElementById("veo-data")?.textContent;
  return text ? (JSON.parse(text) as Embedded) : null;
}

/** The document at a path. Rejects with one line that says why there is none. */
export async function load<T>(path: string, signal?: AbortSignal): Promise<T> {
  if (embedded) {
    if (!(path in embedded.documents)) throw new NotKnownError("This file does not hold it; `veo ui` shows it.");
    return embedded.documents[path] as T;
  }
  const response = await fetch(path, { headers: { Accept: "application/json" }, signal });
  if (!response.ok) throw new NotKnownError(await told(response));
  return (await response.json()) as T;
}

/** Send a record to the server, and get its answer. */
export async function send<T>(path: string, body: unknown): Promise<T> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Veo": "vote" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await told(response));
  return (await response.json()) as T;
}

/** Why a request was refused, in the server's words where it has some. */
async function told(response: Response): Promise<string> {
  const body = (await response.json().catch(() => null)) as { error?: unknown } | null;
  return typeof body?.error === "string" ? body.error : `The server answered ${response.status}.`;
}

/** Address of an object of a run, or "" where this page has none. */
export function media(run: string, sha256: string): string {
  if (!sha256 || !embedded) return sha256 && `/media/${encodeURIComponent(run)}/${sha256}`;
  const data = embedded.media[sha256];
  if (!data) return "";
  const known = objectUrls.get(sha256);
  if (known) return known;
  const url = data.startsWith("data:video/") ? URL.createObjectURL(blob(data)) : data;
  objectUrls.set(sha256, url);
  return url;
}

/** Address of a clip's small picture, or "". */
export function thumb(run: string, clip: string): string {
  if (embedded) return embedded.thumbs?.[clip] ?? "";
  return `/thumb/${encodeURIComponent(run)}/${encodeURIComponent(clip)}`;
}

function blob(data: string): Blob {
  const [head = "", body = ""] = data.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: /^data:([^;]+)/.exec(head)?.[1] ?? "" });
}
