// The page of the notes: it shows what the user's topic says, here as on all other devices.

import { Client } from "./herdwick.js";

const NOT_AUTHENTICATED = 4401; // the close code

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const whenLoggedIn = [document.querySelector("main"), document.querySelector("aside"), page.state];

let client; // there while somebody is logged in
let room;
let notes; // the oldest first
let read; // how many of them, from the oldest on

// ---------------------------------------------------------------- who is logged in

// All tabs of a browser share it, and hear of it when another one changes it.
function session() {
  return JSON.parse(localStorage.getItem("session"));
}

function begin() {
  if (client || !session()) return;
  const { name } = session();
  client = new Client("live", { token: () => session()?.token });
  client.on("state", (state, { code }) => {
    if (code === NOT_AUTHENTICATED) logOut("You were logged out.");
    else if (state === "waiting") checkSession();
    showState(state);
  });
  show(name);
  join(name);
}

function logOut(why = "") {
  localStorage.removeItem("session");
  client?.close();
  client = undefined;
  for (const part of whenLoggedIn) part.hidden = true;
  page.login.hidden = false;
  page.why.textContent = why;
  document.title = "Herdwick notes";
}

// A browser does not tell a page why it was not connected; a token that is void looks like a lost
// connection.
async function checkSession() {
  const answer = await call("me").catch(() => null);
  if (answer?.status === 401 && client) logOut("You are not logged in any more.");
}

function call(path, body) {
  return fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "authorization": `Bearer ${session()?.token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

// ---------------------------------------------------------------- what is heard

function join(name) {
  [notes, read] = [[], 0];
  room = client.join(`user:${name}`);
  room.on("message", (fact) => { hear[fact.type]?.(fact); showSoon(); });
  room.on("gap", () => { room.leave(); join(name); }); // anew: what is recorded is all there is
  showSoon();
}

const hear = {
  Note(note) {
    notes.push(note);
  },

  Read({ id }) {
    read = Math.max(read, notes.findIndex((note) => note.id === id) + 1);
  },
};

// ---------------------------------------------------------------- what is shown

function show(name) {
  page.login.hidden = true;
  for (const part of whenLoggedIn) part.hidden = false;
  page.user.textContent = name;
  page.command.textContent = [
    `curl ${new URL(`internal/users/${name}/notes`, location.href)}`,
    `-H "Authorization: Bearer dog"`,
    `--json '{"text": "Hello"}'`,
  ].join(" \\\n  ");
  showState(client.state);
}

function showState(state) {
  page.state.dataset.state = state === "waiting" ? "lost" : state;
  page.state.textContent = state === "waiting" ? "connection lost, trying again" : state;
  showSoon();
}

let timer;

// Once, however many come at a time; and not when the page is painted, for it may be hidden.
function showSoon() {
  timer ??= setTimeout(() => { timer = undefined; showNotes(); });
}

function showNotes() {
  if (!client) return;
  const unread = notes.length - read;
  document.title = unread ? `(${unread}) Herdwick notes` : "Herdwick notes";
  page.unread.textContent = unread ? `${unread} unread` : "all read";
  page.unread.classList.toggle("some", unread > 0);
  page.none.hidden = notes.length > 0;
  page.unread.hidden = notes.length === 0;
  page.read.disabled = !unread || client.state !== "connected";
  page.notes.replaceChildren(...notes.map(asItem).reverse());
}

// Text is only ever text: whatever a note says, no markup comes of it.
function asItem({ text, at }, place) {
  const item = document.createElement("li");
  const isNew = place >= read;
  item.classList.toggle("new", isNew);
  item.append(...(isNew ? [element("small", "New: ")] : []), element("bdi", text), time(at));
  return item;
}

function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

function time(at) {
  const moment = new Date(at * 1000);
  const today = moment.toDateString() === new Date().toDateString();
  const style = { timeStyle: "short", ...(today ? {} : { dateStyle: "short" }) };
  const node = element("time", moment.toLocaleString([], style));
  node.dateTime = moment.toISOString();
  return node;
}

// ---------------------------------------------------------------- what is pressed

page.login.onsubmit = async (event) => {
  event.preventDefault();
  const [name, password] = [page.name.value.trim(), page.password.value];
  const answer = await call("login", { name, password }).catch(() => null);
  if (answer?.ok) {
    const { token } = await answer.json();
    localStorage.setItem("session", JSON.stringify({ name, token }));
    page.login.reset();
    begin();
  } else {
    page.why.textContent = answer ? "Wrong name or password." : "The server does not answer.";
  }
};

// What comes of them all devices hear from their topic, this one too. While the server does not
// answer nothing comes of them, and the state above says so.
page.read.onclick = () => call("read", { id: notes.at(-1).id }).catch(() => null);
page.logout.onclick = () => call("log-out-everywhere", {}).catch(() => null);

onstorage = ({ key }) => {
  if (key === "session" && !session()) logOut();
  else begin();
};

if (session()) begin();
else logOut();
