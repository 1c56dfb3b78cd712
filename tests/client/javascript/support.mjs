// What the scenes share; it runs in node and in browsers.

const PATIENCE = 10_000; // milliseconds

/** Compare as JSON, with maps as objects. */
export function equal(actual, expected) {
  const [told, wanted] = [actual, expected].map((value) => JSON.stringify(value, plain));
  if (told !== wanted) throw new Error(`${told} is not ${wanted}`);
}

function plain(_, value) {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

/** Records the events of a client or a room: each call gives the next, as [name, ...facts]. */
export function listen(source, ...names) {
  const heard = [];
  let wake = () => {};
  for (const name of names) {
    source.on(name, (...facts) => {
      heard.push([name, ...facts]);
      wake();
    });
  }
  const next = async () => {
    if (!heard.length) await within(new Promise((resolve) => { wake = resolve; }), names);
    return heard.shift();
  };
  next.pending = heard;
  return next;
}

/** Waits until the client is in the state, and gives why. */
export function becomes(client, state) {
  return within(new Promise((resolve) => {
    const stop = client.on("state", (now, why) => {
      if (now !== state) return;
      stop();
      resolve(why);
    });
  }), state);
}

/** Waits until the promise is rejected, and gives its error. */
export async function failure(promise) {
  try {
    await within(promise, "a failure");
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

/** Gives what the function throws. */
export function thrown(act) {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("it threw nothing");
}

async function within(promise, what) {
  const late = new Error(`waited in vain for ${what}`);
  let timer;
  const limit = new Promise((_, reject) => { timer = setTimeout(reject, PATIENCE, late); });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Timers that go off when the scene says how much time has passed. */
export class Clock {
  #now = 0;
  #timers = new Set();

  setTimeout(act, delay) {
    const timer = { act, at: this.#now + delay };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  advance(seconds) {
    this.#now += seconds * 1000;
    const due = [...this.#timers].filter(({ at }) => at <= this.#now);
    for (const timer of due.sort((one, other) => one.at - other.at)) {
      if (this.#timers.delete(timer)) timer.act();
    }
  }

  get size() {
    return this.#timers.size;
  }
}
