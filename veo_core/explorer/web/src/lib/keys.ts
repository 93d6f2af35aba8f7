// Keys that work anywhere on a page, and their list for the help.
import { useLayoutEffect } from "preact/hooks";

type Handler = (event: KeyboardEvent) => void;

/** Call handlers by key while the component is shown, except while someone types, scrolls a text or holds Ctrl, Alt or Meta. */
export function useKeys(handlers: Record<string, Handler>, active = true): void {
  useLayoutEffect(() => {
    if (!active) return;
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
      if (event.key !== "Escape" && typing(event.target)) return;
      const handler = handlers[event.key];
      if (handler) {
        event.preventDefault();
        handler(event);
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  });
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), textarea, select, pre") || target.isContentEditable);
}
