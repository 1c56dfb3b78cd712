// What the client does and hears in each scene; what the server does then is a script of
// ../test_javascript.py. A scene that throws has failed.

import { Client, HerdwickError } from "../../../herdwick/client/herdwick.js";
import { becomes, Clock, equal, failure, listen, thrown } from "./support.mjs";

const ATONCE = { random: () => 0 };
const ALL = ["gap", "joined", "message", "presence", "left", "refused"];

// ---------------------------------------------------------------- members

export async function joinsPushesAndLeaves(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42", { params: { name: "Ada" } });
  const next = listen(room, ...ALL);
  equal([client.state, room.state, room.topic], ["connecting", "joining", "chat:42"]);

  equal(await next(), ["joined", { payload: "welcome", recovered: false }]);
  equal([client.state, room.state, room.position], ["connected", "joined", "p1"]);
  equal(await next(), ["message", "<b>hello</b>", "p2"]);
  equal(await next(), ["message", null, null]);
  equal(room.position, "p2");
  equal(await room.push({ type: "Say", text: "hi" }), { heard: "hi" });
  const error = await failure(room.push("boo"));
  equal(error instanceof HerdwickError && error instanceof Error, true);
  equal(
    [error.code, error.message, error.detail, error.retryAfter],
    ["rejected", "no", { why: "rude" }, 2.5],
  );

  room.leave();
  equal(room.state, "left");
  equal((await failure(room.push("late"))).code, "unsent");
  const other = client.join("chat:43");
  equal(await listen(other, "joined")(), ["joined", { payload: null, recovered: false }]);
  equal(next.pending, []); // the server has said more in between
  client.close();
  equal([client.state, other.state], ["closed", "left"]);
}

export async function leavesAtAnyMoment(url) {
  const clock = new Clock();
  const client = new Client(url, { ...ATONCE, timers: clock });
  const [hasty, out] = [client.join("hasty"), client.join("out")];
  const [hearHasty, hearOut] = [listen(hasty, ...ALL), listen(out, ...ALL)];
  hasty.on("joined", () => hasty.leave());
  await hearOut();
  equal((await hearOut())[0], "left");

  out.leave(); // it is none now, and would have returned in a second
  clock.advance(2);

  const other = client.join("other");
  await listen(other, "joined")();
  equal((await hearHasty())[0], "joined");
  equal([...hearHasty.pending, ...hearOut.pending], []); // neither who is present, nor a gap
  client.close();
}

export async function joinsAgainAfterLeaving(url) {
  const client = new Client(url, ATONCE);
  const first = client.join("chat:42");
  await listen(first, "joined")();

  first.leave();
  const second = client.join("chat:42");
  const next = listen(second, ...ALL);

  equal(await next(), ["joined", { payload: null, recovered: false }]);
  equal(await next(), ["message", "of the second", null]);
  client.close();
}

export async function leftAndBackAgain(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);
  await next();

  equal(await next(), ["left", { reason: "crashed", message: "oh", retryAfter: 0.01 }]);
  equal(room.state, "waiting");
  equal(await room.push("once it is back"), "got it");
  equal(await next(), ["joined", { payload: null, recovered: true }]);

  equal(await next(), ["left", { reason: "removed", message: "out", retryAfter: null }]);
  equal(room.state, "left");
  equal((await failure(room.push("late"))).code, "unsent");
  client.join("chat:42"); // it may be joined anew
  client.close();
}

export async function refusedThenLetIn(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);

  const [, error] = await next();
  equal([error.code, error.retryAfter, room.state], ["unavailable", 0.01, "waiting"]);
  equal(await next(), ["joined", { payload: null, recovered: false }]);

  const secret = client.join("secret");
  const waiting = failure(secret.push("let me in"));
  const [name, { code, detail, retryAfter }] = await listen(secret, ...ALL)();
  equal([name, code, detail, retryAfter], ["refused", "forbidden", "members only", null]);
  equal([secret.state, (await waiting).code], ["left", "unsent"]);
  client.close();
}

export async function waitsWithJitter(url) {
  const clock = new Clock();
  const client = new Client(url, { random: () => 0.5, timers: clock });
  const room = client.join("chat:42");
  const next = listen(room, "left", "joined", "refused");
  await next();
  await next();

  clock.advance(4.4); // 4 s as the server says, and half of the first wait
  equal(room.state, "waiting");
  clock.advance(0.2);

  equal(room.state, "joining");
  equal((await next())[0], "refused");
  clock.advance(4.9); // and of the second
  equal(room.state, "waiting");
  clock.advance(0.2);

  equal(await next(), ["joined", { payload: null, recovered: true }]);
  client.close();
  equal(clock.size, 0);
}

// ---------------------------------------------------------------- lost connections

export async function resumes(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42", { params: { name: "Ada" } });
  const next = listen(room, ...ALL);
  const states = listen(client, "state");
  await next();
  equal(await next(), ["message", "one", "p2"]);

  const inFlight = failure(room.push("in flight"));
  const lost = await becomes(client, "waiting");
  const later = room.push("later");

  equal([lost.code, lost.delay, room.state], [1006, 0, "joining"]);
  equal((await inFlight).code, "unanswered");
  equal(await next(), ["joined", { payload: null, recovered: true }]);
  equal(await next(), ["message", "two", "p3"]);
  equal(await later, "got it");
  const told = [await states(), await states(), await states(), await states()];
  equal(told.map(([, state]) => state), ["connected", "waiting", "connecting", "connected"]);
  client.close();
  equal(await states(), ["state", "closed", {
    code: 1000, reason: "closed by this client", delay: null,
  }]);
}

export async function tellsGaps(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);
  await next();

  equal(await next(), ["gap", { reason: "slow" }]);
  equal(await next(), ["message", "after the gap", null]);
  equal(room.position, "p9");
  equal(await next(), ["joined", { payload: "anew", recovered: false }]);
  equal(await next(), ["gap", { reason: "epoch" }]);
  equal(await next(), ["joined", { payload: null, recovered: false }]);
  equal(await next(), ["gap", { reason: "unrecorded" }]); // its position is none any more
  client.close();
}

export async function tellsAGapWithoutPositions(url) {
  const client = new Client(url, ATONCE);
  const next = listen(client.join("ticks"), ...ALL);

  equal(await next(), ["joined", { payload: null, recovered: false }]);
  equal(await next(), ["joined", { payload: null, recovered: false }]);
  equal(await next(), ["gap", { reason: "unrecorded" }]);
  client.close();
}

export async function resumesFromAKeptPosition(url) {
  const client = new Client(url, ATONCE);
  const kept = client.join("kept", { since: "p5" });
  const old = client.join("old", { since: "p1" });
  const [hearKept, hearOld] = [listen(kept, ...ALL), listen(old, ...ALL)];

  equal(await hearKept(), ["joined", { payload: null, recovered: true }]);
  equal(await hearOld(), ["joined", { payload: null, recovered: false }]);
  equal(await hearOld(), ["gap", { reason: "history" }]);
  client.close();
}

export async function closesFromAListener(url) {
  const clock = new Clock();
  const client = new Client(url, { timers: clock });
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);
  const unsent = failure(room.push("never sent"));

  client.on("state", (state) => { if (state === "connected") client.close(); });

  equal((await becomes(client, "closed")).code, 1000);
  equal((await next())[0], "left");
  equal((await unsent).code, "unsent");
  equal(clock.size, 0);
}

export async function comesBack(url) {
  const client = new Client(url, ATONCE);
  const next = listen(client, "state");
  const codes = [];
  while (codes.at(-1) !== 4999) {
    const [, state, { code }] = await next();
    if (code !== null) codes.push(code);
    equal(state === "closed", code === 4999);
  }
  equal(codes, [1001, 1002, 1009, 1011, 1012, 1013, 3000, 4000, 4400, 4404, 4429, 4999]);
}

export async function staysAway(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);
  await next();
  const inFlight = failure(room.push("in flight"));

  const { code, reason, delay } = await becomes(client, "closed");
  equal([code >= 1000, reason, delay], [true, "go", null]);
  equal(await next(), ["left", {
    reason: "closed", message: `the connection was closed with ${code}: go`, retryAfter: null,
  }]);
  equal((await inFlight).code, "unanswered");
  equal(thrown(() => client.join("chat:43")).code, "closed");
  client.close(); // does no harm
}

export async function waitsLongAfterAFault(url) {
  const clock = new Clock();
  const client = new Client(url, { random: () => 1, timers: clock });
  const room = client.join("chat:42");
  await listen(room, "joined")();

  const { code, delay } = await becomes(client, "waiting");
  equal([code, delay], [1008, 30]);
  clock.advance(delay);

  await listen(room, "joined")();
  equal((await becomes(client, "waiting")).delay, 1); // it has not broken a rule again
  client.close();
  equal(clock.size, 0);
}

export async function waitsEverLonger(url) {
  const clock = new Clock();
  const client = new Client(url, { random: () => 1, timers: clock });
  const room = client.join("chat:42");
  const delays = [];
  for (let tries = 0; tries < 7; tries += 1) {
    const { code, delay } = await becomes(client, "waiting"); // a refused handshake
    equal(code, 1006);
    delays.push(delay);
    clock.advance(delay);
  }
  equal(delays, [1, 2, 4, 8, 16, 30, 30]);

  await listen(room, "joined")();
  equal((await becomes(client, "waiting")).delay, 1); // the server had answered
  client.close();
  equal(clock.size, 0);
}

export async function closesBeforeTheTokenIsThere() {
  const opened = [];
  class Silent {
    constructor(url) { opened.push(url); }
  }
  let give;
  const token = () => new Promise((resolve) => { give = resolve; });
  const client = new Client("ws://localhost", { token, WebSocket: Silent });

  client.close();
  give("too late");
  await null;
  await null;
  await null;

  equal([client.state, opened], ["closed", []]);
}

export async function givesUpAConnectionThatDoesNotOpen() {
  const clock = new Clock();
  class Silent {
    readyState = 0;
    close() {}
  }
  const client = new Client("ws://localhost", { timers: clock, WebSocket: Silent });
  await null; // the token may come from afar
  await null;

  clock.advance(9.9);
  equal(client.state, "connecting");
  clock.advance(0.1);
  equal(client.state, "waiting");
  client.close();
  equal(clock.size, 0);
}

export async function noticesSilence(url) {
  const clock = new Clock();
  const client = new Client(url, { random: () => 0, timers: clock });
  const room = client.join("chat:42");
  const next = listen(room, "joined", "message");
  await next();

  clock.advance(25); // the server answers this ping with another message: that will do
  equal(await next(), ["message", "still here", null]);
  clock.advance(24.9);
  equal(client.state, "connected");
  clock.advance(0.1); // and this one not at all
  clock.advance(9.9);
  equal(client.state, "connected");
  const waiting = becomes(client, "waiting");
  clock.advance(0.1);

  equal((await waiting).reason, "the server has fallen silent");
  clock.advance(0);
  equal((await next())[0], "joined");
  client.close();
  equal(clock.size, 0);
}

// ---------------------------------------------------------------- tokens

export async function asksForANewToken(url) {
  const tokens = ["old", "new", "newer", null];
  const client = new Client(url, { ...ATONCE, token: async () => tokens.shift() });
  const room = client.join("chat:42");

  await listen(room, "joined")(); // let in with the new one
  await client.refresh();
  const { code, reason } = await becomes(client, "closed");

  equal([code, reason, tokens], [4401, "there is no new token", []]);
}

export async function staysAwayWithTheOldToken(url) {
  const client = new Client(url, { ...ATONCE, token: "old" });

  equal((await becomes(client, "closed")).code, 4401);
}

export async function showsItsTokenFirst(url) {
  const tokens = ["old", "new one"];
  const options = { ...ATONCE, token: () => tokens.shift(), firstMessage: true };
  const client = new Client(url, options);
  const room = client.join("chat:42");

  await listen(room, "joined")();
  client.close();
}

export async function triesAgainWhereTheTokenFails(url) {
  const answers = [() => { throw new Error("offline"); }, () => "mine"];
  const client = new Client(url, { ...ATONCE, token: () => answers.shift()() });
  const room = client.join("chat:42");

  equal((await becomes(client, "waiting")).reason, "Error: offline");
  await listen(room, "joined")();
  client.close();
}

// ---------------------------------------------------------------- presence

export async function showsWhoIsPresent(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, "presence");
  equal(room.present.size, 0);

  const [, first] = await next();
  equal(first, { ada: { a1: { name: "Ada" } }, ["__proto__"]: { x: {} } });
  const [, second] = await next(); // Ada has another connection, and the old one is gone
  equal(second, { ada: { a2: { name: "Ada" } }, ["__proto__"]: { x: {} }, bob: { b1: {} } });
  const [, third] = await next();
  equal(third, { bob: { b1: {}, b2: {} } });
  equal([...first.keys()], ["ada", "__proto__"]); // what was given does not change
  equal(await next(), ["presence", { cyd: { c1: {} } }]); // after a loss, all is new
  equal(room.present, { cyd: { c1: {} } });
  client.close();
}

// ---------------------------------------------------------------- pushes

export async function boundsWhatWaits(url) {
  const clock = new Clock();
  const client = new Client(url, { timers: clock, timeout: 5, mostWaiting: 2 });
  const room = client.join("chat:42");
  const joined = listen(room, "joined");

  const [first, second] = [failure(room.push("first")), room.push("second", { timeout: 60 })];
  equal((await failure(room.push("third"))).code, "full");
  clock.advance(5);
  equal((await first).code, "unsent");

  await joined();
  const third = failure(room.push("never answered"));
  equal(await second, "got it");
  clock.advance(5);
  equal((await third).code, "unanswered");
  const circle = {};
  circle.self = circle;
  equal((await failure(room.push(circle))).name, "TypeError");
  room.leave();
  client.close();
  equal(clock.size, 0);
}

export async function keepsTheOrderOfPushes(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const payload = { text: "as it was" };
  const pushes = [room.push(payload), room.push(2)];
  payload.text = "changed";

  room.on("joined", () => pushes.push(room.push(3)));
  await listen(room, "joined")();

  equal(await Promise.all(pushes), [1, 2, 3]);
  client.close();
}

// ---------------------------------------------------------------- the unexpected

export async function bearsWithTheUnexpected(url) {
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  const next = listen(room, ...ALL);
  const [, { code, message }] = await listen(client, "error")();
  equal([code, message], ["invalid_message", "what?"]);

  await next();
  equal(await next(), ["message", "still there", null]); // after frames of no known type
  equal((await becomes(client, "waiting")).reason, "the server does not speak herdwick.v1");
  client.close();
}

export async function outlivesItsListeners(url) {
  const uncaught = nextUncaught();
  const client = new Client(url, ATONCE);
  const room = client.join("chat:42");
  room.on("joined", () => { throw new Error("a mistake of the page"); });
  const stop = room.on("message", () => { throw new Error("not called"); });
  stop();
  const next = listen(room, "joined", "message");

  equal((await next())[0], "joined");
  equal(await next(), ["message", "hello", null]);
  equal(await uncaught, "a mistake of the page");
  client.close();
}

function nextUncaught() {
  return new Promise((resolve) => {
    if (globalThis.process) {
      process.once("uncaughtException", (error) => resolve(error.message));
    } else {
      addEventListener("error", (event) => {
        event.preventDefault();
        resolve(event.error.message);
      }, { once: true });
    }
  });
}

export async function tellsMistakesAtOnce() {
  const opened = [];
  class Silent {
    constructor(url) { opened.push(url); }
    close() {}
  }
  globalThis.location ??= { href: "https://example.org/page/" };
  const client = new Client("/live?x=1#part", { WebSocket: Silent });
  const room = client.join("chat:42");
  await null; // the token may come from afar
  await null;

  equal(opened, [new URL("/live?x=1", location.href).href.replace("http", "ws")]);
  equal(thrown(() => client.join("chat:42")).code, "already_joined");
  equal(thrown(() => client.on("stat", () => {})).message, "no event is called stat: state, error");
  equal(thrown(() => room.on("messages", () => {})).name, "TypeError");
  equal(thrown(() => new Client("http://:x")) instanceof TypeError, true);
  equal(thrown(() => new Client("ws://localhost", { WebSocket: null })) instanceof TypeError, true);
  client.close();
}

// ---------------------------------------------------------------- against Herdwick itself

export async function talksAcrossACrash(url) {
  const [ada, bob] = ["ada", "bob"].map((name) =>
    new Client(`${url}/live`, { token: `${name}-${Math.random()}` }));
  const rooms = [ada, bob].map((client, n) =>
    client.join("fell:helvellyn", { params: { name: ["Ada", "Bob"][n] } }));
  const heard = rooms.map((room) => listen(room, "message", "gap", "left", "refused"));
  const [welcome] = (await Promise.all(rooms.map((room) => listen(room, "joined")()))).map(([, told]) => told);
  equal(welcome.recovered, false);
  while (rooms[1].present.size < 2) await listen(rooms[1], "presence")();

  const said = async (text) => {
    await rooms[0].push({ type: "Say", id: text, text });
    return Promise.all(heard.map(async (next) => (await next())[1].text));
  };
  equal(await said("before"), ["before", "before"]);
  await rooms[1].push({ type: "Crash" });
  for (const next of heard) {
    const [name, told] = await next();
    equal([name, told.type, told.incarnation], ["message", "Restored", welcome.payload.incarnation + 1]);
  }
  equal(await said("after"), ["after", "after"]);
  equal([ada.state, bob.state, rooms[1].present.size], ["connected", "connected", 2]);

  const late = ada.join("fell:nowhere", { params: { name: "Ada" } });
  const [, error] = await listen(late, "refused")();
  equal([error.code, error.detail], ["forbidden", "there is no such fell"]);
  ada.close();
  while (rooms[1].present.size > 1) await listen(rooms[1], "presence")();
  bob.close();
}

export async function resumesWithoutAHole(url) {
  const [line, direct] = url.split(" ");
  const token = `eve-${Math.random()}`;
  const away = new Client(`${line}/live`, { ...ATONCE, token });
  const near = new Client(`${direct}/live`, { token });
  const room = away.join("fell:skiddaw", { params: { name: "Eve" } });
  const other = near.join("fell:skiddaw", { params: { name: "Eve" } });
  const next = listen(room, "message", "gap");
  await Promise.all([room, other].map((each) => listen(each, "joined")()));
  const say = (n) => other.push({ type: "Say", id: `${token} ${n}`, text: `${n}` });

  for (let n = 0; n < 60; n++) {
    await say(n);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the line is cut again and again
  }
  for (let n = 0; n < 60; n++) {
    const [name, told] = await next();
    equal([name, told.text], ["message", `${n}`]);
  }
  equal(next.pending, []);
  away.close();
  near.close();
}
