// The client of herdwick.v1 for browsers and node: rooms over one WebSocket that comes back.
//
// General layout: a `Link` holds the WebSocket, replaces a lost one, and matches the answers to the
// requests; a `Room` is a membership over it, and keeps its position; a `Client` is the door to
// both. What goes over the wire, and when: docs/reference/herdwick-v1.md. Durations are seconds.

const SUBPROTOCOL = "herdwick.v1";
const [CONNECTING, OPEN] = [0, 1]; // as WebSocket.readyState has them
const SILENCE = 25; // seconds without a message, after which the server is asked for one
const PATIENCE = 10; // seconds until it must have come, or the connection have opened
const SLOWEST_RETRY = 30; // seconds
const FAULTS = new Set([1002, 1003, 1007, 1008, 1009]); // we have broken a rule, and may do so again
const AFTER_A_FAULT = 6; // the number of the next try at least: that of the slowest one
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; setTimeout fires at once when given more

/** What the server refused, or what became of a push that has no answer; `code` says which. */
export class HerdwickError extends Error {
  constructor({ code, message, detail, retry_after: retryAfter }) {
    super(message || code);
    this.name = "HerdwickError";
    /** The server's code; or our own: `unanswered`, `unsent`, `full`, `closed`. */
    this.code = code;
    /** What the room has to say of it. */
    this.detail = detail ?? null;
    /** Seconds after which another try is worth it; null: it would be refused again. */
    this.retryAfter = retryAfter ?? null;
  }
}

/** Rooms over one connection, which is made at once, and again whenever it is lost. */
export class Client {
  #link;

  /**
   * @param {string | URL} url Of http or ws; in a browser it may be relative to the page.
   * @param {import("./herdwick.js").ClientOptions} [options]
   */
  constructor(url, {
    token,
    firstMessage = false,
    timeout = 30,
    mostWaiting = 100,
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    timers = globalThis,
  } = {}) {
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace(/^http/, "ws");
    address.hash = "";
    if (!WebSocket) {
      throw new TypeError(
        "there is no WebSocket: take node 22, or 20 with --experimental-websocket, or an option",
      );
    }
    const options = { token, firstMessage, timeout, mostWaiting, WebSocket, random, timers };
    this.#link = new Link(address.href, options);
  }

  /** `connecting`, `connected`, `waiting` (to connect again) or `closed` (for good). */
  get state() {
    return this.#link.state;
  }

  /** Call the listener on each `state` or `error`; returns what ends that. */
  on(event, listener) {
    return this.#link.events.on(event, listener);
  }

  /**
   * Become a member of a topic, and remain one over lost connections.
   *
   * @param {string} topic
   * @param {import("./herdwick.js").JoinOptions} [options]
   */
  join(topic, options) {
    if (this.state === "closed") throw failure("closed", "the client is closed: make another");
    if (this.#link.members.has(topic)) {
      throw failure("already_joined", `${topic} is joined already: use that room, or leave it`);
    }
    return new Room(this.#link, topic, options);
  }

  /** Ask for a new token and show it, before the old one expires. */
  async refresh() {
    const token = await this.#link.askForToken();
    if (token === null) throw failure("unsent", "there is no token to show");
    // Without a connection there is nothing to do: the next one is made with a new token.
    await new Promise((done, failed) => {
      if (!this.#link.request({ type: "refresh", token }, { done, failed })) done();
    });
  }

  /** Leave all rooms and do not come back. */
  close() {
    this.#link.close();
  }
}

/** A membership of a topic; `Client.join` makes it. */
export class Room {
  #events = new Events("joined", "message", "gap", "presence", "left", "refused");
  #state = "joining";
  #present = new Map();
  #waiting = new Set(); // pushes that are not sent yet, the oldest first
  #link;
  #topic;
  #params;
  #position;
  #returning; // whether there may be something that it has missed
  #failures = 0; // since it was last joined
  #retry; // the timer that ends the state "waiting"

  constructor(link, topic, { params = {}, since = null } = {}) {
    this.#link = link;
    this.#topic = topic;
    this.#params = params;
    this.#position = since;
    this.#returning = since !== null;
    this.#join();
    link.members.set(topic, {
      connected: () => { if (this.#state === "joining") this.#join(); },
      lost: () => { if (this.#state === "joined") this.#state = "joining"; },
      ended: (message) => this.#put("left", { reason: "closed", message, retryAfter: null }),
      hear: (frame) => this.#hear(frame),
    });
  }

  get topic() {
    return this.#topic;
  }

  /** `joining`, `joined`, `waiting` (to join again, as the server has said) or `left`. */
  get state() {
    return this.#state;
  }

  /** The last position, from which `since` of another join resumes; null where there is none. */
  get position() {
    return this.#position;
  }

  /** Who is present, as last heard: what is known of each connection, by key and reference. */
  get present() {
    return this.#present;
  }

  /** Call the listener on each event of that name; returns what ends that. */
  on(event, listener) {
    return this.#events.on(event, listener);
  }

  /**
   * Send the room a message and wait for its answer; one that cannot be sent yet waits its turn.
   *
   * Rejects with a `HerdwickError`: one of the server's codes, `unsent` (the room certainly has not
   * got it), `full` (too many wait: nor that), or `unanswered` (it may have been handled, or not).
   *
   * @param {unknown} payload
   * @param {{timeout?: number}} [options] Seconds until there must be an answer.
   */
  push(payload, { timeout = this.#link.options.timeout } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#state === "left") throw this.#unsent();
      const { mostWaiting, timers } = this.#link.options;
      const request = this.#link.prepare(
        { type: "push", topic: this.#topic, payload: payload ?? null },
        {
          done: (reply) => { timers.clearTimeout(timer); resolve(reply.payload ?? null); },
          failed: (error) => { timers.clearTimeout(timer); reject(error); },
        },
      );
      const timer = this.#link.after(timeout, () => {
        const unsent = this.#waiting.delete(request);
        this.#link.forget(request);
        reject(unsent ? this.#unsent() : unanswered(`not within ${timeout} s`));
      });
      if (this.#state === "joined" && this.#link.submit(request)) return;
      if (this.#waiting.size < mostWaiting) this.#waiting.add(request);
      else request.failed(failure("full", `not sent: ${mostWaiting} pushes wait already`));
    });
  }

  /** Be a member no more; nothing is heard of the room from here on. */
  leave() {
    const isMember = this.#state === "joining" || this.#state === "joined";
    if (isMember) this.#link.request({ type: "leave", topic: this.#topic });
    this.#events.clear();
    this.#end();
  }

  #join() {
    this.#state = "joining";
    this.#link.request(
      { type: "join", topic: this.#topic, params: this.#params, since: this.#position },
      { done: (frame) => this.#joined(frame), failed: (error) => this.#refused(error) },
    );
  }

  #joined({ payload, recovered = false, gap, position, presence }) {
    if (this.#state !== "joining") return; // left meanwhile
    const missed = this.#returning && !recovered;
    this.#state = "joined";
    this.#returning = true;
    this.#failures = 0;
    this.#position = position ?? null;
    // Before anybody hears of it, so that what listeners push comes after it.
    for (const request of this.#waiting) {
      if (this.#link.submit(request)) this.#waiting.delete(request);
    }
    this.#events.emit("joined", { payload: payload ?? null, recovered });
    // Without a position there was nothing to ask for: all that was said meanwhile is missing.
    if (missed) this.#events.emit("gap", { reason: gap ?? "unrecorded" });
    if (presence || this.#present.size) this.#show(presenceAfter(NOBODY, { joins: presence }));
  }

  #refused(error) {
    if (this.#state !== "joining") return;
    if (error.code === "unanswered") return; // the connection is lost; the next one joins again
    if (error.code === "invalid_position" && this.#position !== null) {
      this.#position = null;
      this.#join();
    } else {
      this.#put("refused", error);
    }
  }

  #hear(frame) {
    if (this.#state !== "joined") return; // it belongs to the membership before this one
    this.#position = frame.position ?? this.#position;
    switch (frame.type) {
      case "publication":
        return this.#events.emit("message", frame.payload ?? null, frame.position ?? null);
      case "gap":
        return this.#events.emit("gap", { reason: frame.reason });
      case "presence":
        return this.#show(presenceAfter(this.#present, frame));
      case "left": {
        const { reason, message = "", retry_after: retryAfter = null } = frame;
        return this.#put("left", { reason, message, retryAfter });
      }
    }
  }

  #show(present) {
    this.#present = present;
    this.#events.emit("presence", present);
  }

  /** Be out: until the time that the server has named, and some more, or for good. */
  #put(event, why) {
    if (why.retryAfter === null) {
      this.#end();
    } else {
      const jitter = this.#link.waitBefore(++this.#failures);
      this.#state = "waiting";
      this.#retry = this.#link.after(why.retryAfter + jitter, () => this.#join());
    }
    this.#events.emit(event, why);
  }

  #end() {
    if (this.#state === "left") return;
    this.#state = "left";
    this.#link.options.timers.clearTimeout(this.#retry);
    this.#link.members.delete(this.#topic);
    for (const request of this.#waiting) request.failed(this.#unsent());
    this.#waiting.clear();
  }

  #unsent() {
    const why = this.#state === "left" ? "is left" : "was not joined in time";
    return failure("unsent", `not sent: ${this.#topic} ${why}`);
  }
}

// ---------------------------------------------------------------- the connection

class Link {
  events = new Events("state", "error");
  state = "connecting";
  members = new Map(); // by topic, how a room is told what happens
  #socket = null;
  #requests = new Map(); // by ref, those that wait for their answer
  #lastRef = 0;
  #failures = 0; // since the server last answered
  #timer; // one at a time: until the next try, or until the silence is too long
  #token = null;
  #refusedToken; // the server wants another than this; undefined: it has not said so
  #url;

  constructor(url, options) {
    this.#url = url;
    this.options = options;
    this.#connect();
  }

  after(seconds, act) {
    return this.options.timers.setTimeout(act, Math.min(seconds * 1000, LONGEST_TIMER));
  }

  /** Full jitter: what comes back is not stormed by all of its clients at once. */
  waitBefore(tries) {
    return this.options.random() * Math.min(SLOWEST_RETRY, 0.5 * 2 ** tries);
  }

  async askForToken() {
    const { token } = this.options;
    this.#token = (typeof token === "function" ? await token() : token) || null;
    return this.#token;
  }

  /** Write a request now, to be submitted later; its payload may change in between. */
  prepare(frame, { done, failed } = {}) {
    const ref = ++this.#lastRef;
    return { ref, text: JSON.stringify({ ...frame, ref }), done, failed };
  }

  /** Send a request, or tell that there is no connection. */
  submit(request) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(request.text);
    this.#requests.set(request.ref, request);
    return true;
  }

  request(frame, answer) {
    return this.submit(this.prepare(frame, answer));
  }

  forget(request) {
    this.#requests.delete(request.ref);
  }

  close() {
    if (this.state === "closed") return;
    this.#release()?.close(1000);
    this.#end(1000, "closed by this client");
  }

  async #connect() {
    try {
      const token = await this.askForToken();
      if (this.state === "closed") return;
      const refused = this.#refusedToken;
      if (refused !== undefined && (token === null || token === refused)) {
        return this.#end(4401, "there is no new token");
      }
      // A browser can set no header.
      const shown = token !== null && !this.options.firstMessage;
      const protocols = shown ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
      this.#attach(new this.options.WebSocket(this.#url, protocols));
    } catch (error) {
      if (this.state !== "closed") this.#lost(1006, String(error));
    }
  }

  #attach(socket) {
    this.#socket = socket;
    this.#wait(PATIENCE, () => this.#lost(1006, "the server does not answer"));
    socket.onopen = () => {
      this.#watch();
      if (this.options.firstMessage && this.#token !== null) {
        this.request({ type: "refresh", token: this.#token });
      }
      this.#change("connected");
      for (const member of [...this.members.values()]) member.connected();
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    // A close follows, but not in node 20 where no connection came about.
    socket.onerror = () => {
      if (socket.readyState === CONNECTING) this.#lost(1006, "the connection failed");
    };
  }

  #hear(data) {
    this.#watch();
    let frame;
    try {
      frame = Object(JSON.parse(data));
    } catch {
      return this.#lost(1006, `the server does not speak ${SUBPROTOCOL}`);
    }
    if (frame.type === "error") this.events.emit("error", new HerdwickError(frame));
    else if (frame.ref != null) this.#answer(frame);
    else this.members.get(frame.topic)?.hear(frame);
  }

  #answer(frame) {
    const request = this.#requests.get(frame.ref);
    this.#requests.delete(frame.ref);
    if (frame.type === "refused") {
      request?.failed?.(new HerdwickError(frame));
    } else {
      this.#failures = 0;
      request?.done?.(frame);
    }
  }

  /** A dead connection tells nobody, and a browser cannot send WebSocket's own ping. */
  #watch() {
    this.#wait(SILENCE, () => {
      this.request({ type: "ping" });
      this.#wait(PATIENCE, () => this.#lost(1006, "the server has fallen silent"));
    });
  }

  #wait(seconds, act) {
    this.options.timers.clearTimeout(this.#timer);
    this.#timer = this.after(seconds, act);
  }

  #lost(code, reason) {
    this.#release()?.close();
    if (code === 1000 || code === 4403 || (code >= 4500 && code <= 4999)) {
      return this.#end(code, reason);
    }
    if (code === 4401) this.#refusedToken = this.#token;
    if (FAULTS.has(code)) this.#failures = Math.max(this.#failures, AFTER_A_FAULT - 1);
    const delay = this.waitBefore(++this.#failures);
    this.#wait(delay, () => {
      this.#change("connecting");
      this.#connect();
    });
    this.#change("waiting", { code, reason, delay });
  }

  /** Hear nothing more of the socket, and give it. */
  #release() {
    const socket = this.#socket;
    this.#socket = null;
    this.options.timers.clearTimeout(this.#timer);
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {}; // the class of the package ws throws what nobody hears
    }
    for (const member of this.members.values()) member.lost();
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.failed?.(unanswered("the connection was lost"));
    return socket;
  }

  #end(code, reason) {
    this.#change("closed", { code, reason, delay: null });
    const message = `the connection was closed with ${code}${reason && `: ${reason}`}`;
    for (const member of [...this.members.values()]) member.ended(message);
  }

  #change(state, why = { code: null, reason: "", delay: null }) {
    this.state = state;
    this.events.emit("state", state, why);
  }
}

// ---------------------------------------------------------------- what both use

class Events {
  #listeners;

  constructor(...names) {
    this.#listeners = new Map(names.map((name) => [name, new Set()]));
  }

  on(name, listener) {
    const listeners = this.#listeners.get(name);
    if (!listeners) {
      throw new TypeError(`no event is called ${name}: ${[...this.#listeners.keys()].join(", ")}`);
    }
    listeners.add(listener);
    return () => { listeners.delete(listener); };
  }

  emit(name, ...facts) {
    for (const listener of this.#listeners.get(name)) {
      try {
        listener(...facts);
      } catch (error) {
        // Uncaught, as it should be, but not in our way.
        queueMicrotask(() => { throw error; });
      }
    }
  }

  clear() {
    for (const listeners of this.#listeners.values()) listeners.clear();
  }
}

function failure(code, message) {
  return new HerdwickError({ code, message });
}

function unanswered(why) {
  return failure("unanswered", `sent, but there is no answer: ${why}`);
}

// Maps, since anybody may choose the keys: `__proto__` is one like any other.
const NOBODY = new Map();

/** Who is present after the change; what was given stays as it is. Joins come before leaves. */
function presenceAfter(before, { joins, leaves }) {
  const present = new Map(before);
  for (const [key, metas] of Object.entries(joins ?? {})) {
    present.set(key, new Map([...(present.get(key) ?? []), ...Object.entries(metas)]));
  }
  for (const [key, references] of Object.entries(leaves ?? {})) {
    const left = new Map(present.get(key));
    for (const reference of references) left.delete(reference);
    if (left.size) present.set(key, left);
    else present.delete(key);
  }
  return present;
}
