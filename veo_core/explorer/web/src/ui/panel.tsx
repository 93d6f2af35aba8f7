// A panel beside a page, over it on a small screen. Escape closes it, and the focus goes back to where it was.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useKeys } from "../lib/keys";

export function Panel({ label, onClose, children, tools }: { label: string; onClose: () => void; children: ComponentChildren; tools?: ComponentChildren }) {
  const panel = useRef<HTMLElement>(null);
  useKeys({ Escape: onClose });
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    panel.current?.focus({ preventScroll: true });
    return () => before?.isConnected && before.focus({ preventScroll: true });
  }, []);
  return (
    <aside class="panel" ref={panel} tabIndex={-1} aria-label={label}>
      <div class="panel-tools">{tools}<button type="button" class="quiet close" onClick={onClose} aria-label="Close" title="Close (Esc)">✕</button></div>
      {children}
    </aside>
  );
}
