// One clip in the grid. It plays while the pointer is on it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ClipRow } from "../documents";
import { words } from "../lib/format";
import { media, thumb } from "../lib/source";
import { calm } from "../lib/theme";

const PAUSE = 90; // milliseconds that the pointer rests before a clip plays

export function ClipCard({ run, clip, index, current, open, playing, sound, onOpen, onPlay }: {
  run: string; clip: ClipRow; index: number; current: boolean; open: boolean; playing: boolean; sound: boolean; onOpen: () => void; onPlay: (on: boolean) => void;
}) {
  const timer = useRef(0);
  const [missing, setMissing] = useState(false);
  const picture = clip.thumbnail ? thumb(run, clip.id) : "";
  const address = media(run, clip.media);
  const enter = (event: PointerEvent) => {
    if (event.pointerType === "mouse" && address && !calm.matches) timer.current = window.setTimeout(() => onPlay(true), PAUSE);
  };
  const leave = () => {
    clearTimeout(timer.current);
    if (playing) onPlay(false);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  const name = clip.name.split("/").at(-1) || clip.id.slice(0, 12);
  const fate = clip.verdict === "kept" ? clip.split || "kept" : words(clip.rule || clip.verdict);
  return (
    <button type="button" class={open ? "clip-card open" : "clip-card"} data-index={index} tabIndex={current ? 0 : -1} onClick={onOpen} onPointerEnter={enter} onPointerLeave={leave} aria-label={`${name}: ${clip.verdict}${clip.rule ? `, ${words(clip.rule)}` : ""}`}>
      <span class="clip-picture">
        {picture && !missing ? <img src={picture} alt="" loading="lazy" decoding="async" onError={() => setMissing(true)} /> : <span class="no-picture">{clip.media ? "no picture" : "no clip was made"}</span>}
        {playing && address && <video src={address} autoplay loop playsInline muted={!sound} />}
        {clip.seconds != null && <span class="clip-time">{clip.seconds.toFixed(1)} s</span>}
      </span>
      <span class="clip-name" title={clip.name}>{clip.caption || name}</span>
      <span class={`clip-fate ${clip.verdict}`}><i /> {fate}</span>
    </button>
  );
}
