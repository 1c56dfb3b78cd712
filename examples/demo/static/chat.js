// The page of the chat: what is typed is said, and what is heard is shown.

import { Client } from "./herdwick.js";

const CRASH_PAUSE = 2_000; // milliseconds
const AT_THE_END = 60; // pixels

// After these nobody knows whether the room has heard it, or it has not: it is said again, under
// the same id, and so it is heard once.
const AGAIN = new Set(["unanswered", "unavailable", "timeout"]);

const GAPS = {
  epoch: "The server has begun anew. What it knew before, only this page still shows.",
  history: "You were away for too long: some of what was said is missing here.",
};

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const fells = [...document.querySelectorAll("nav a")];

// All tabs of a browser are one guest, but for those that ask to be another one.
const store = new URLSearchParams(location.search).has("guest") ? sessionStorage : localStorage;
const me = { name: kept("name", randomName) };
const client = new Client("live", { token: kept("token", randomId) });

let room; // the one that is shown
let key; // what I am present as
let people; // the names of those who are here, by their keys; undefined: not told yet

// ---------------------------------------------------------------- a room

function enter() {
  const link = fells.find(({ hash }) => hash === location.hash) ?? fells[0];
  for (const each of fells) each.ariaCurrent = each === link ? "page" : null;
  page.another.hash = link.hash;
  room?.leave();
  people = undefined;
  page.heard.replaceChildren();
  page.here.replaceChildren();
  page.crash.disabled = true;
  join(`fell:${link.hash.slice(1)}`);
}

function join(topic) {
  let returning = false;
  room = client.join(topic, { params: me });
  room.on("joined", ({ payload, recovered }) => {
    key = payload.you;
    page.incarnation.textContent = payload.incarnation;
    showState("connected");
    if (returning && recovered) note("You were away, and have missed nothing.");
    returning = true;
  });
  room.on("message", (fact) => hear[fact.type]?.(fact));
  room.on("gap", ({ reason }) => {
    append(element("div", "gap", GAPS[reason] ?? GAPS.history));
    room.leave();
    join(topic); // as one who has heard nothing yet: that one is told the last of what was said
  });
  room.on("presence", showPresent);
  for (const event of ["left", "refused"]) {
    room.on(event, ({ message }) => showState("lost", message));
  }
}

const hear = {
  Said({ id, who, name, text, at }) {
    document.getElementById(`waiting-${id}`)?.remove();
    append(bubble(who, text, nameTag(who, name), time(at)));
  },

  Restored({ incarnation }) {
    if (incarnation > page.incarnation.textContent) page.incarnation.textContent = incarnation;
    append(element("div", "restored",
      element("strong", "", "The room crashed, and is back. "),
      `Its incarnation ${incarnation} goes on where the last one was. Nobody was dropped, and`
      + " nothing that was said is lost.",
    ));
  },
};

async function say(text) {
  const id = randomId();
  const item = bubble(key, text);
  item.id = `waiting-${id}`;
  page.waiting.append(item);
  page.log.scrollTop = page.log.scrollHeight;
  await deliver(room, { type: "Say", id, text });
  item.remove();
}

async function deliver(place, message) {
  for (;;) {
    try {
      return await place.push(message, { timeout: Infinity });
    } catch ({ code, message: why }) {
      if (!AGAIN.has(code)) return note(`Not sent: “${message.text}” (${why})`);
    }
  }
}

// ---------------------------------------------------------------- who is here

function showPresent(present) {
  const before = people;
  people = new Map([...present].map(([key, tabs]) => [key, [...tabs.values()].at(-1).name]));
  page.count.textContent = people.size;
  page.alone.hidden = people.size > 1;
  page.here.replaceChildren(...[...people].map(([who, name]) => {
    const tabs = present.get(who).size;
    const facts = [who === key && "you", tabs > 1 && `${tabs} tabs`].filter(Boolean).join(", ");
    return hued(element("li", "", element("bdi", "", name), element("small", "", facts)), who);
  }));
  if (before) noteChanges(before);
}

function noteChanges(before) {
  for (const [who, name] of people) {
    if (!before.has(who) && who !== key) note(`${name} came in`);
    else if (before.has(who) && before.get(who) !== name) note(`${before.get(who)} is now ${name}`);
  }
  for (const [who, name] of before) {
    if (!people.has(who) && who !== key) note(`${name} left`);
  }
}

// ---------------------------------------------------------------- what is shown

function showState(state, text = state) {
  page.state.dataset.state = state;
  page.state.textContent = text;
  page.crash.disabled = state !== "connected";
}

function append(item) {
  const { scrollHeight, scrollTop, clientHeight } = page.log;
  const following = scrollHeight - scrollTop - clientHeight < AT_THE_END;
  item.classList.toggle("again", item.dataset.who === page.heard.lastElementChild?.dataset.who);
  page.heard.append(item);
  if (following) page.log.scrollTop = page.log.scrollHeight;
}

function note(text) {
  append(element("div", "note", element("bdi", "", text)));
}

function bubble(who, text, ...heading) {
  const item = element("div", "said", element("div", "who", ...heading), element("p", "", text));
  item.dataset.who = who;
  item.classList.toggle("mine", who === key);
  return item;
}

// Text is only ever text: whatever people call themselves, no markup comes of it.
function element(tag, className, ...content) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...content);
  return node;
}

function nameTag(who, name) {
  return hued(element("bdi", "name", name), who);
}

function hued(node, who) {
  const sum = [...who].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 0);
  node.style.setProperty("--hue", sum * 137 % 360);
  return node;
}

function time(at) {
  const moment = new Date(at * 1000);
  const node = element("time", "", moment.toLocaleTimeString([], { timeStyle: "short" }));
  node.dateTime = moment.toISOString();
  return node;
}

// ---------------------------------------------------------------- who I am

function kept(item, make) {
  const value = store.getItem(item) ?? make();
  store.setItem(item, value);
  return value;
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Bold", "Brisk", "Calm", "Fond", "Hardy", "Merry", "Quiet", "Wise"]);
  return `${manner} ${pick(["Ewe", "Hogg", "Lamb", "Ram", "Shearling", "Tup", "Wether"])}`;
}

function rename(name) {
  me.name = page.name.value = name; // each join tells it, and so nothing is lost where this fails
  room.push({ type: "Rename", name }).catch(() => {});
}

// ---------------------------------------------------------------- what is typed

page.name.value = me.name;

page.name.onchange = () => {
  const name = page.name.value.trim() || me.name;
  if (name !== me.name) {
    store.setItem("name", name);
    rename(name);
  }
  page.name.value = name;
};

addEventListener("storage", ({ key: item, newValue }) => { // of another tab
  if (store === localStorage && item === "name" && newValue) rename(newValue);
});

page.composer.onsubmit = (event) => {
  event.preventDefault();
  const text = page.text.value.trim();
  if (text) say(text);
  page.text.value = "";
  page.text.focus();
};

page.crash.onclick = () => {
  page.crash.disabled = true;
  room.push({ type: "Crash" }).catch(() => {});
  setTimeout(() => { page.crash.disabled = page.state.dataset.state !== "connected"; }, CRASH_PAUSE);
};

client.on("state", (state, { reason }) => {
  if (state === "connecting") showState("connecting");
  else if (state === "waiting") showState("lost", "connection lost, trying again");
  else if (state === "closed") showState("lost", `closed: ${reason || "reload the page"}`);
});
addEventListener("hashchange", enter);
enter();
