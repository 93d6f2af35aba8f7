// Text of records is shown as it is: characters that would colour, move or reverse the text around them are
// made visible in its place, wherever a component puts it.
import { options, type VNode } from "preact";

const ANSI = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const SUSPECT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const WORDS = ["title", "aria-label", "alt", "placeholder"] as const;

export function visible(text: string): string {
  return SUSPECT.test(text) ? text.replace(ANSI, "").replace(/\r/g, "").replace(CONTROL, "\ufffd") : text;
}

/** Make every text that is rendered from now on visible. */
export function showControlCharacters(): void {
  const before = options.vnode;
  options.vnode = (node: VNode) => {
    const props = node.props as unknown;
    if (typeof props === "string") (node as { props: unknown }).props = visible(props);
    else if (typeof node.type === "string")
      for (const name of WORDS) {
        const value = (props as Record<string, unknown>)[name];
        if (typeof value === "string" && SUSPECT.test(value)) (props as Record<string, unknown>)[name] = visible(value);
      }
    before?.(node);
  };
}
