// The browser's end of /events: keeps a WebSocket open, resumes where it left off, never drops an event silently.

import type { Notification } from "./state";

export type Link = "connecting" | "live" | "offline";

export interface Listener {
  onLink(link: Link): void;
  /** Nothing was missed, or everything that was is about to come as notifications. */
  onNotification(note: Notification): void;
  /** Events were missed for good: load the state anew. Also called at the first connection. */
  onReset(): void;
}

interface Welcome {
  event: "welcome";
  /** Names the gateway's order of events: what an id says about those before it, it says only there. */
  feed: string;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** Ids that are remembered: another gateway may repeat what came a little before. */
const REMEMBERED = 10_000;

export function follow(url: string, listener: Listener): () => void {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last: { id: string; feed: string } | undefined;
  const seen = new Set<string>();
  let pause = FIRST_PAUSE_MS;
  let closed = false;

  const isNew = (id: string): boolean => {
    if (seen.has(id)) return false;
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value!);
    return true;
  };

  const connect = (): void => {
    listener.onLink("connecting");
    let feed = "";
    socket = new WebSocket(url);
    socket.onopen = () => {
      pause = FIRST_PAUSE_MS;
      listener.onLink("live");
      if (last === undefined) listener.onReset();
      else socket?.send(JSON.stringify({ action: "resume", ...last }));
    };
    socket.onmessage = (message) => {
      const frame = JSON.parse(String(message.data)) as { event: string };
      if (frame.event === "welcome") {
        feed = (frame as Welcome).feed;
      } else if (frame.event === "notification") {
        const note = frame as Notification;
        last = { id: note.id, feed };
        if (isNew(note.id)) listener.onNotification(note);
      } else if (frame.event === "reset" || frame.event === "error") {
        // An error: a gateway of another version does not understand how we resume.
        listener.onReset();
      }
    };
    socket.onclose = () => {
      if (closed) return;
      listener.onLink("offline");
      // Jitter, so that a thousand pages do not come back in the same moment.
      timer = setTimeout(connect, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    };
  };

  connect();
  return () => {
    closed = true;
    clearTimeout(timer);
    socket?.close();
  };
}
