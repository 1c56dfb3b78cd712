/** The types of herdwick.js, the client of herdwick.v1. Durations are seconds. */

export type ClientState = "connecting" | "connected" | "waiting" | "closed";
export type RoomState = "joining" | "joined" | "waiting" | "left";

/**
 * Why messages are missing. history: the server's record reaches back no further; epoch: it began
 * anew; slow: the client did not read in time; conflated: only the newest of each key was kept;
 * unrecorded: nothing is recorded there, and the connection was lost meanwhile.
 */
export type GapReason = "history" | "epoch" | "slow" | "conflated" | "unrecorded";

/** What is known of each connection, by the key of who it is and by its reference. */
export type Present = ReadonlyMap<string, ReadonlyMap<string, Record<string, unknown>>>;

/** Ends what `on` began. */
export type Unsubscribe = () => void;

export interface ClientOptions {
  /** The token, or what is asked for one before each connection; without one, none is shown. */
  token?: string | (() => string | null | undefined | Promise<string | null | undefined>);
  /**
   * Whether the token goes out as the first message, and not with the handshake; for routes with
   * `auth(first_message=True)`. No, if not given.
   */
  firstMessage?: boolean;
  /** Seconds until a push must have its answer; 30 if not given. */
  timeout?: number;
  /** How many pushes of a room may wait to be sent; 100 if not given. */
  mostWaiting?: number;
  /** The class of the connection, where the platform has none. */
  WebSocket?: new (url: string, protocols: string[]) => Pick<
    WebSocket,
    "readyState" | "send" | "close" | "onopen" | "onmessage" | "onclose" | "onerror"
  >;
  /** Gives what lies between 0 and 1; `Math.random` if not given. */
  random?: () => number;
  /** The clock; `globalThis` if not given. */
  timers?: {
    setTimeout(act: () => void, milliseconds: number): unknown;
    clearTimeout(timer: any): void;
  };
}

export interface StateReason {
  /** The close code that led to `waiting` or `closed`; 1006 is a lost connection. */
  code: number | null;
  reason: string;
  /** Seconds until the next try, where the state is `waiting`. */
  delay: number | null;
}

export interface ClientEvents {
  state: (state: ClientState, why: StateReason) => void;
  /** The server could not read a message of ours. */
  error: (error: HerdwickError) => void;
}

export interface JoinOptions {
  /** What the room is told of the one who joins, each time. */
  params?: Record<string, unknown>;
  /** A position to resume from, such as one kept over a reload of the page. */
  since?: string | null;
}

export interface RoomEvents<Message = any> {
  /** A member, for the first time or again; `payload` is what the room says to who joins. */
  joined: (fact: { payload: any; recovered: boolean }) => void;
  /** What was broadcast, or sent to this member alone: then `position` is null. */
  message: (payload: Message, position: string | null) => void;
  /** Messages are missing between what came before and what comes next. */
  gap: (fact: { reason: GapReason }) => void;
  /** Who is present now: another map each time. */
  presence: (present: Present) => void;
  /** No member any more; `retryAfter` tells whether it joins again by itself. */
  left: (fact: {
    reason: "removed" | "crashed" | "closed";
    message: string;
    retryAfter: number | null;
  }) => void;
  /** Not joined; `retryAfter` tells whether it tries again by itself. */
  refused: (error: HerdwickError) => void;
}

/** What the server refused, or what became of a push that has no answer; `code` says which. */
export class HerdwickError extends Error {
  private constructor(frame: never);
  /**
   * A code of the server, or one of our own: `unanswered` (sent, and nobody knows what became of
   * it), `unsent` and `full` (the room certainly has not got it), `closed`.
   */
  readonly code: string;
  /** What the room has to say of it. */
  readonly detail: any;
  /** Seconds after which another try is worth it; null: it would be refused again. */
  readonly retryAfter: number | null;
}

/** Rooms over one connection, which is made at once, and again whenever it is lost. */
export class Client {
  /**
   * @param url Of http or ws; in a browser it may be relative to the page.
   * @throws TypeError if it is no URL, or if there is no WebSocket.
   */
  constructor(url: string | URL, options?: ClientOptions);
  readonly state: ClientState;
  /** @throws TypeError if no event is called that. */
  on<Name extends keyof ClientEvents>(event: Name, listener: ClientEvents[Name]): Unsubscribe;
  /**
   * Become a member of a topic, and remain one over lost connections.
   *
   * @throws HerdwickError if the client is closed, or has a room of that topic.
   */
  join<Message = any>(topic: string, options?: JoinOptions): Room<Message>;
  /**
   * Ask for a new token and show it, before the old one expires; without a connection that is
   * done, as the next one is made with a new token.
   */
  refresh(): Promise<void>;
  /** Leave all rooms and do not come back. */
  close(): void;
}

/** A membership of a topic; `Client.join` makes it. */
export class Room<Message = any> {
  private constructor(link: never);
  readonly topic: string;
  readonly state: RoomState;
  /** The last position, from which `since` of another join resumes; null where there is none. */
  readonly position: string | null;
  /** Who is present, as last heard. */
  readonly present: Present;
  /** @throws TypeError if no event is called that. */
  on<Name extends keyof RoomEvents>(event: Name, listener: RoomEvents<Message>[Name]): Unsubscribe;
  /**
   * Send the room a message and wait for its answer; one that cannot be sent yet waits its turn.
   * Rejects with a HerdwickError.
   */
  push<Reply = any>(payload: unknown, options?: { timeout?: number }): Promise<Reply>;
  /** Be a member no more; nothing is heard of the room from here on. */
  leave(): void;
}
