// Two players as one: they start, stop and seek together.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const DRIFT = 0.04; // seconds that the second may be off before it is set right

export type Heard = "first" | "second" | "none";

export interface Together {
  first: RefObject<HTMLVideoElement | null>;
  second: RefObject<HTMLVideoElement | null>;
  playing: boolean;
  time: number;
  length: number;
  ended: boolean;
  toggle: () => void;
  seek: (time: number) => void;
}

export function useTogether(key: string, heard: Heard, rate: number): Together {
  const first = useRef<HTMLVideoElement>(null);
  const second = useRef<HTMLVideoElement>(null);
  const [playing, setPlaying] = useState(false);
  const [time, setTime] = useState(0);
  const [length, setLength] = useState(0);
  const [ended, setEnded] = useState(false);
  const both = () => [first.current, second.current].filter((video) => video !== null);

  useEffect(() => {
    setPlaying(false);
    setTime(0);
    setLength(0);
    setEnded(false);
  }, [key]);
  useEffect(() => {
    if (first.current) first.current.muted = heard !== "first";
    if (second.current) second.current.muted = heard !== "second";
    for (const video of both()) video.playbackRate = rate;
  }, [key, heard, rate]);
  useEffect(() => {
    let frame = 0;
    const follow = () => {
      const [a, b] = [first.current, second.current];
      if (a && b) {
        const whole = Math.max(a.duration || 0, b.duration || 0);
        if (Number.isFinite(whole)) setLength(whole);
        setTime(Math.max(a.currentTime, b.currentTime));
        if (!a.paused && !b.paused && Math.abs(a.currentTime - b.currentTime) > DRIFT) b.currentTime = a.currentTime;
        if (a.ended && b.ended) {
          setEnded(true);
          void start(0);
        }
      }
      if (playing) frame = requestAnimationFrame(follow);
    };
    frame = requestAnimationFrame(follow);
    for (const video of both()) video.addEventListener("loadedmetadata", follow);
    return () => {
      cancelAnimationFrame(frame);
      for (const video of both()) video.removeEventListener("loadedmetadata", follow);
    };
  }, [playing, key]);

  const start = (from: number) => {
    for (const video of both()) video.currentTime = from;
    return Promise.allSettled(both().map((video) => video.play()));
  };
  const toggle = () => {
    if (playing) for (const video of both()) video.pause();
    else void Promise.allSettled(both().map((video) => video.play()));
    setPlaying(!playing);
  };
  const seek = (to: number) => {
    for (const video of both()) video.currentTime = Number.isFinite(video.duration) ? Math.min(to, Math.max(0, video.duration - 0.001)) : to;
    setTime(to);
  };
  return { first, second, playing, time, length, ended, toggle, seek };
}
