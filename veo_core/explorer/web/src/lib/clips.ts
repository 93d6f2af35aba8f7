// The clips that fit a query, of which the pages in view are fetched.
import { useEffect, useMemo, useReducer } from "preact/hooks";
import type { ClipRow, ClipsDocument } from "../documents";
import { select, writeWhere, type Where } from "./query";
import { isFile, load } from "./source";

const PAGE = 120;
const MOST_PAGES = 40;

export interface ClipList {
  total: number | null;
  error: string;
  at: (index: number) => ClipRow | undefined;
  want: (first: number, last: number) => void;
}

export function useClips(run: string, where: Where, sort: string): ClipList {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const condition = writeWhere(where) ?? "";
  const list = useMemo(() => new Pages(run, condition, sort, () => draw(0)), [run, condition, sort]);
  useEffect(() => {
    list.want(0, 1);
    return () => list.close();
  }, [list]);
  return list;
}

class Pages implements ClipList {
  total: number | null = null;
  error = "";
  private pages = new Map<number, ClipRow[] | null>();
  private stop = new AbortController();

  constructor(private run: string, private where: string, private sort: string, private changed: () => void) {}

  at = (index: number) => this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];

  want = (first: number, last: number) => {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
      const known = this.pages.get(page);
      if (known !== undefined) {
        this.pages.delete(page);
        this.pages.set(page, known); // the last to be thrown away
      } else void this.fetch(page);
    }
    for (const page of this.pages.keys()) if (this.pages.size > MOST_PAGES) this.pages.delete(page);
  };

  close() {
    this.stop.abort();
  }

  private async fetch(page: number) {
    this.pages.set(page, null);
    try {
      const found = await this.ask(page);
      this.total = found.total;
      this.pages.set(page, found.clips);
      this.error = "";
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.pages.delete(page);
      this.error = (error as Error).message;
    }
    this.changed();
  }

  private async ask(page: number): Promise<ClipsDocument> {
    const path = `/api/runs/${encodeURIComponent(this.run)}/clips`;
    if (isFile) {
      const all = await load<ClipsDocument>(path);
      const clips = select([...all.clips], JSON.parse(this.where || "{}") as Where, this.sort);
      return { total: clips.length, offset: page * PAGE, clips: clips.slice(page * PAGE, (page + 1) * PAGE) };
    }
    const query = new URLSearchParams({ offset: String(page * PAGE), limit: String(PAGE) });
    if (this.sort) query.set("sort", this.sort);
    if (this.where) query.set("where", this.where);
    return load<ClipsDocument>(`${path}?${query}`, this.stop.signal);
  }
}
