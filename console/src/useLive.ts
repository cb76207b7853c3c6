import { useEffect, useReducer, useState } from "react";

import { fetchActiveSessions, fetchChargers, SignedOut } from "./api";
import { follow, type Link } from "./events";
import { applied, empty, loaded, type Notification, type State } from "./state";

type Action = { notes: Notification[] } | { reload: Parameters<typeof loaded> extends [State, ...infer Rest] ? Rest : never };

const reduce = (state: State, action: Action): State =>
  "notes" in action ? action.notes.reduce(applied, state) : loaded(state, ...action.reload);

export interface Live {
  state: State;
  link: Link;
  problem: string | null;
}

/** The state of the page, loaded once and kept live by /events. */
export function useLive(): Live {
  const [state, dispatch] = useReducer(reduce, empty);
  const [link, setLink] = useState<Link>("connecting");
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    let waiting: Notification[] = [];
    let loading = 0;
    let frame = 0;

    // What happens while a load is under way may be newer than what it brings: it waits. A burst is one repaint.
    const flush = (): void => {
      frame = 0;
      if (loading || !waiting.length) return;
      dispatch({ notes: waiting });
      waiting = [];
    };
    const schedule = (): void => {
      frame ||= requestAnimationFrame(flush);
    };

    const reload = async (): Promise<void> => {
      loading++;
      try {
        dispatch({ reload: await Promise.all([fetchChargers(), fetchActiveSessions()]) });
        setProblem(null);
      } catch (error) {
        setProblem(error instanceof SignedOut ? "You are signed out. Open a new sign-in link." : String(error));
      } finally {
        loading--;
        schedule();
      }
    };

    const scheme = window.location.protocol === "https:" ? "wss" : "ws";
    const stop = follow(`${scheme}://${window.location.host}/events`, {
      onLink: setLink,
      onNotification: (note) => {
        waiting.push(note);
        schedule();
      },
      onReset: () => void reload(),
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, []);

  return { state, link, problem };
}
