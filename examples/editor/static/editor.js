// The page of the editor: what is typed becomes changes, and the changes of all become the text.
//
// What is shown is `confirmed`, the text of the room, changed by what was sent and has no answer
// yet, `flight`, and by what is not sent yet. Only one edit is on its way at a time.

import { Client } from "./herdwick.js";
import { apply, difference, lengthOf, moved, transform } from "./text.js";

// After these nobody knows whether the room has made an edit, or it has not. It is pushed again,
// under the same id, and so it is made once.
const AGAIN = new Set(["unanswered", "unavailable", "timeout"]);
const TRIES = 3; // where the room has failed on it: it may have crashed for another reason

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const client = new Client("live");

let room;
let me; // what my own cursor is told under
let revision = 0;
let confirmed = "";
let sent = null; // the edit that is on its way
let flight = []; // its change, as it is to be after all that others have changed since
let others = []; // their cursors, in the confirmed text
let telling = false; // whether my own cursor is on its way
let told; // as it was told last

// ---------------------------------------------------------------- the room

function open() {
  const name = decodeURIComponent(location.hash.slice(1)) || "meadow";
  page.document.value = name;
  page.text.disabled = true;
  room?.leave();
  room = client.join(`doc:${name}`);
  room.on("joined", ({ payload, recovered }) => {
    me = payload.you;
    if (!recovered) begin(payload);
    page.text.disabled = false;
    showState("connected");
    send();
    tellCursor({ anew: true });
  });
  room.on("message", edited);
  room.on("presence", (present) => {
    const cursors = [...present.values()].flatMap((each) => [...each]);
    others = cursors.filter(([id]) => id !== me).map(([id, { name, at }]) => ({ id, name, at }));
    showCursors();
  });
  for (const event of ["left", "refused"]) {
    room.on(event, ({ message }) => showState("lost", message));
  }
}

function begin({ revision: now, text }) {
  [revision, confirmed, sent, flight] = [now, text, null, []];
  page.text.value = text;
  showCursors();
}

function edited({ id, revision: now, change }) {
  revision = now;
  for (const other of others) other.at = moved(other.at, change);
  if (id === sent?.id) {
    confirmed = apply(confirmed, flight);
    [sent, flight] = [null, []];
    send();
    tellCursor();
  } else {
    const unsent = typed();
    confirmed = apply(confirmed, change);
    const afterFlight = transform(change, flight, true);
    flight = transform(flight, change, false);
    show(transform(afterFlight, unsent, true));
  }
  showCursors();
}

/** What was typed and is not sent yet: a change of the confirmed text after the flight. */
function typed() {
  return difference(apply(confirmed, flight), page.text.value);
}

function send() {
  const change = sent ? [] : typed();
  if (!change.length) return;
  sent = { type: "Edit", id: randomId(), revision, change };
  flight = change;
  deliver(room, sent);
}

async function deliver(room, edit) {
  for (let tries = 1; edit === sent; tries++) {
    try {
      await room.push(edit, { timeout: Infinity });
      return;
    } catch (error) {
      const again = AGAIN.has(error.code) || (error.code === "failed" && tries < TRIES);
      if (edit === sent && !again) giveUp(error);
    }
  }
}

function giveUp({ message }) {
  page.note.textContent = `The room did not take your last change: ${message}`;
  begin({ revision, text: confirmed });
}

// ---------------------------------------------------------------- cursors

/** Tell where my cursor is; while something is on its way, that is told afterwards. */
async function tellCursor({ anew = false } = {}) {
  if (anew) told = undefined;
  if (sent || telling || room.state !== "joined") return;
  const at = placeOf(page.text.selectionEnd);
  const cursor = { type: "Cursor", name: page.name.value, at };
  if (JSON.stringify(cursor) === told) return;
  told = JSON.stringify(cursor);
  telling = true;
  await room.push({ ...cursor, revision }).catch(() => {}); // the next one may be luckier
  telling = false;
  tellCursor();
}

function showCursors() {
  const text = page.text.value;
  const unsent = typed();
  const letters = [...text];
  const places = others
    .map((other) => ({ ...other, at: moved(moved(other.at, flight), unsent) }))
    .sort((one, another) => one.at - another.at);
  let reached = 0;
  const pieces = places.flatMap(({ id, name, at }) => {
    const before = letters.slice(reached, at).join("");
    reached = at;
    const caret = hued(element("span", ""), id);
    caret.dataset.name = name;
    return [before, caret];
  });
  page.mirror.replaceChildren(...pieces, `${letters.slice(reached).join("")}\n`);

  page.here.replaceChildren(...places.map(({ id, name, at }) => {
    const line = letters.slice(0, at).join("").split("\n").length;
    return hued(element("li", element("bdi", name), element("small", `line ${line}`)), id);
  }));
  page.alone.hidden = places.length > 0;
  page.revision.textContent = revision;
}

// ---------------------------------------------------------------- what is shown

function show(change) {
  const { selectionStart, selectionEnd, selectionDirection, value } = page.text;
  const [start, end] = [selectionStart, selectionEnd].map((at) => moved(placeOf(at), change));
  page.text.value = apply(value, change);
  page.text.setSelectionRange(unitOf(start), unitOf(end), selectionDirection);
}

// The browser counts UTF-16 code units, and we count characters.
function placeOf(unit) {
  return lengthOf(page.text.value.slice(0, unit));
}

function unitOf(place) {
  return [...page.text.value].slice(0, place).join("").length;
}

function showState(state, text = state) {
  page.state.dataset.state = state;
  page.state.textContent = text;
}

// Text is only ever text: whatever people call themselves, no markup comes of it.
function element(tag, ...content) {
  const node = document.createElement(tag);
  node.append(...content);
  return node;
}

function hued(node, id) {
  const sum = [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 0);
  node.style.setProperty("--hue", sum * 137 % 360);
  return node;
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Bold", "Brisk", "Calm", "Fond", "Hardy", "Merry", "Quiet", "Wise"]);
  return `${manner} ${pick(["Ewe", "Hogg", "Lamb", "Ram", "Shearling", "Tup", "Wether"])}`;
}

// ---------------------------------------------------------------- what is typed

// Kept for this tab alone: a reload keeps the name, and another tab is another cursor.
page.name.value = sessionStorage.getItem("name") ?? randomName();

page.name.onchange = () => {
  page.name.value = page.name.value.trim() || randomName();
  sessionStorage.setItem("name", page.name.value);
  tellCursor();
};

page.document.onchange = () => { location.hash = encodeURIComponent(page.document.value.trim()); };

page.text.oninput = () => {
  page.note.textContent = "";
  send();
  showCursors();
};
document.addEventListener("selectionchange", () => tellCursor());
addEventListener("hashchange", open);

client.on("state", (state, { reason }) => {
  if (state === "connecting") showState("connecting");
  else if (state === "waiting") showState("lost", "connection lost, trying again");
  else if (state === "closed") showState("lost", `closed: ${reason || "reload the page"}`);
});
open();
