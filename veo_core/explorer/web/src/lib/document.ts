// A document of the server as state of a component.
import { useEffect, useState } from "preact/hooks";
import { load } from "./source";

export interface Loading<T> {
  document: T | null;
  error: string;
}

const cache = new Map<string, Promise<unknown>>();

/** The document at a path; "" loads nothing. It is fetched again every `refresh` milliseconds where that is set. */
export function useDocument<T>(path: string, refresh = 0): Loading<T> {
  const [state, setState] = useState<Loading<T> & { path: string }>({ document: null, error: "", path: "" });
  useEffect(() => {
    if (!path) return;
    let current = true;
    const take = (promise: Promise<unknown>) =>
      promise.then(
        (document) => current && setState({ document: document as T, error: "", path }),
        (error: Error) => current && setState((old) => ({ document: old.path === path ? old.document : null, error: error.message, path })),
      );
    void take(cached(path));
    const timer = refresh ? setInterval(() => void take(again(path)), refresh) : 0;
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [path, refresh]);
  return state.path === path ? state : { document: null, error: "" };
}

export function cached(path: string): Promise<unknown> {
  return cache.get(path) ?? again(path);
}

function again(path: string): Promise<unknown> {
  const promise = load(path);
  cache.set(path, promise);
  promise.catch(() => cache.delete(path));
  return promise;
}
