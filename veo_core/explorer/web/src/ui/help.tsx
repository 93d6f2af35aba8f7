// The list of keys.
import { useEffect, useRef } from "preact/hooks";

const KEYS: [string, string][] = [
  ["?", "this list"],
  ["/", "search"],
  ["1 … 6", "pages of a run"],
  ["← ↑ ↓ →", "move between clips, or between tasks"],
  ["Enter", "open what is chosen"],
  ["j k", "next and previous clip, prompt or task"],
  ["Space", "play and pause"],
  ["m", "sound on and off"],
  [", .", "one picture back and on, side by side"],
  ["a b t", "vote for the left, the right, neither"],
  ["Esc", "close"],
];

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDivElement>(null);
  useEffect(() => dialog.current?.focus(), []);
  return (
    <div class="help" onClick={(event) => event.target === event.currentTarget && onClose()}>
      <div ref={dialog} role="dialog" aria-modal="true" aria-label="Keys" tabIndex={-1}>
        <div class="card-head"><h2>Keys</h2><button type="button" class="quiet" onClick={onClose} aria-label="Close">✕</button></div>
        <dl>{KEYS.map(([key, does]) => <><dt><kbd>{key}</kbd></dt><dd>{does}</dd></>)}</dl>
      </div>
    </div>
  );
}
