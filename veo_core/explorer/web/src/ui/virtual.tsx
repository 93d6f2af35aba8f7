// Long lists of which only the rows in view are in the page, on @tanstack/virtual-core.
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer, type VirtualItem } from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer } from "preact/hooks";

interface Rows {
  items: VirtualItem[];
  height: number;
  scrollTo: (row: number) => void;
}

/** Rows of one height in an element that scrolls. */
export function useRows(count: number, height: number, scroller: RefObject<HTMLElement | null>): Rows {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const options = {
    count,
    estimateSize: () => height,
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    overscan: 3,
    onChange: () => draw(0),
  };
  const virtual = useMemo(() => new Virtualizer<HTMLElement, HTMLElement>(options), []);
  virtual.setOptions(options);
  useEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  useLayoutEffect(() => virtual.measure(), [height]);
  return {
    items: virtual.getVirtualItems(),
    height: virtual.getTotalSize(),
    scrollTo: (row) => virtual.scrollToIndex(row, { align: "auto" }),
  };
}
