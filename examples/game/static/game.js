// The page of the game: it tells where its player wants to go, and draws what the room says.

import { decode, encode } from "./msgpack.js";

const SLOWEST_RETRY = 15_000; // milliseconds
const PERIOD = 50; // milliseconds between two worlds
const NOT_LET_IN = 4403; // the close code: trying again by itself is of no use
const CLOSE_ENOUGH = 8; // to the finger
const SMALLEST_TEXT = 11; // pixels
const HUES = [25, 250, 140, 315, 75, 200, 285, 110]; // of at most eight players
const HEADINGS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  KeyA: [-1, 0], KeyD: [1, 0], KeyW: [0, -1], KeyS: [0, 1],
};

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const game = new URLSearchParams(location.search).get("game") || "fell";

// ---------------------------------------------------------------- the connection

let socket;
let failures = 0;
let retry;

function connect() {
  clearTimeout(retry);
  showState("connecting");
  const address = new URL(`games/${encodeURIComponent(game)}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = new URLSearchParams({ name: page.name.value });
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    const { type, ...fact } = decode(data);
    hear[type]?.(fact);
  };
  socket.onclose = ({ code, reason }) => {
    if (code === NOT_LET_IN) return showOut(reason);
    showState("lost", "connection lost, trying again");
    retry = setTimeout(connect, retryDelay(failures++));
  };
}

// Full jitter: a server that comes back is not stormed by all of its pages at once.
function retryDelay(failures) {
  return Math.random() * Math.min(SLOWEST_RETRY, 500 * 2 ** failures);
}

function connectAnew() {
  socket.onmessage = socket.onclose = null;
  socket.close();
  connect();
}

const hear = {
  Welcome({ you, size }) {
    failures = 0;
    me = you;
    [width, height] = size;
    showState("connected");
  },

  World(world) {
    [before, now, arrived] = [now, world, performance.now()];
    showFlock();
    steer();
  },
};

// ---------------------------------------------------------------- where to

const held = new Set(); // keys
let finger = null; // where it is on the field
let resting = true;

// What is held is said again with each world, so it does not matter what gets lost.
function steer() {
  const [dx, dy] = held.size || !finger ? heading() : towards(finger);
  const rests = dx === 0 && dy === 0;
  if (!(rests && resting)) socket.send(encode({ type: "Move", dx, dy }));
  resting = rests;
}

function heading() {
  const headings = [...held].map((key) => HEADINGS[key]);
  const along = (axis) => Math.sign(headings.reduce((sum, each) => sum + each[axis], 0));
  return [along(0), along(1)];
}

function towards([x, y]) {
  const [, sheepX, sheepY] = now.sheep[me] ?? ["", x, y];
  const distance = Math.hypot(x - sheepX, y - sheepY);
  if (distance < CLOSE_ENOUGH) return [0, 0];
  return [(x - sheepX) / distance, (y - sheepY) / distance];
}

onkeydown = (event) => {
  const isCommand = event.ctrlKey || event.metaKey || event.altKey;
  if (isCommand || !(event.code in HEADINGS) || event.target === page.name) return;
  event.preventDefault(); // the page is not to scroll
  held.add(event.code);
};
onkeyup = ({ code }) => { held.delete(code); };
onblur = () => { held.clear(); };

page.field.onpointerdown = page.field.onpointermove = (event) => {
  if (!event.buttons) return;
  page.field.setPointerCapture(event.pointerId);
  const scale = width / page.field.clientWidth;
  finger = [event.offsetX * scale, event.offsetY * scale];
};
page.field.onpointerup = page.field.onpointercancel = () => { finger = null; };

// ---------------------------------------------------------------- what is shown

let me;
let [width, height] = [800, 500];
let before;
let now = { grass: [0, 0], sheep: {} };
let arrived = 0;
let shownFlock = "";
const hues = new Map(); // by player

function showState(state, text = state) {
  page.state.dataset.state = state;
  page.state.textContent = text;
  page.field.classList.toggle("away", state !== "connected");
  page.out.hidden = true;
}

function showOut(why) {
  showState("lost", "not in the game");
  page.why.textContent = why === "full" ? "This field is full." : `You were not let in: ${why}`;
  page.out.hidden = false;
}

function showFlock() {
  const flock = Object.entries(now.sheep).map(([id, [name, , , points]]) => ({ id, name, points }));
  const shown = JSON.stringify(flock);
  if (shown === shownFlock) return; // 20 times a second: only what has changed
  shownFlock = shown;
  flock.sort((one, other) => other.points - one.points);
  page.flock.replaceChildren(...flock.map(({ id, name, points }) => {
    const item = document.createElement("li");
    const total = element("data", points);
    total.value = points;
    item.append(element("bdi", name), ...(id === me ? [element("small", "you")] : []), total);
    item.style.setProperty("--hue", hue(id));
    return item;
  }));
}

// Text is only ever text: whatever people call themselves, no markup comes of it.
function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

// Each has one that no other has; the marks of those who have left are free again.
function hue(id) {
  if (!hues.has(id)) {
    for (const other of hues.keys()) if (!(other in now.sheep)) hues.delete(other);
    const taken = new Set(hues.values());
    hues.set(id, HUES.find((each) => !taken.has(each)));
  }
  return hues.get(id);
}

// ---------------------------------------------------------------- the field

const pen = page.field.getContext("2d");

function draw() {
  requestAnimationFrame(draw);
  const pixels = Math.round(page.field.clientWidth * devicePixelRatio);
  if (page.field.width !== pixels) {
    page.field.width = pixels;
    page.field.height = pixels * height / width;
  }
  const style = getComputedStyle(page.field);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  pen.setTransform(pixels / width, 0, 0, pixels / width, 0, 0);
  pen.fillStyle = colour("field");
  pen.fillRect(0, 0, width, height);
  if (Object.keys(now.sheep).length) drawGrass(now.grass, colour);
  for (const [id, sheep] of Object.entries(now.sheep)) drawSheep(id, sheep, colour);
}

function drawGrass([x, y], colour) {
  pen.strokeStyle = colour("blade");
  pen.lineWidth = 3.5;
  pen.lineCap = "round";
  for (const lean of [-11, -5, 0, 6, 12]) {
    pen.beginPath();
    pen.moveTo(x + lean / 3, y + 11);
    pen.quadraticCurveTo(x + lean / 3, y, x + lean, y - 13 + Math.abs(lean) / 2);
    pen.stroke();
  }
}

function drawSheep(id, [name, toX, toY], colour) {
  // Between the last two worlds: 20 a second would stutter.
  const [, fromX, fromY] = before?.sheep[id] ?? ["", toX, toY];
  const part = Math.min(1, (performance.now() - arrived) / PERIOD);
  const [x, y] = [fromX + (toX - fromX) * part, fromY + (toY - fromY) * part];
  const look = toX < fromX ? -1 : 1;
  const blob = (dx, dy, radius) => {
    pen.beginPath();
    pen.arc(x + look * dx, y + dy, radius, 0, 2 * Math.PI);
    pen.fill();
  };

  pen.fillStyle = colour("face");
  pen.fillRect(x - 11, y + 8, 5, 14);
  pen.fillRect(x + 6, y + 8, 5, 14);
  pen.fillStyle = `oklch(${colour("name-lightness")} .1 ${hue(id)})`; // its mark, as in the list
  for (const [dx, dy] of [[-13, -3], [-6, 6], [6, 6], [-6, -8], [7, -8], [13, 0]]) blob(dx, dy, 13);
  pen.fillStyle = colour("wool");
  for (const [dx, dy] of [[-12, -3], [-6, 5], [6, 5], [-6, -7], [6, -7], [12, 0]]) blob(dx, dy, 10);
  pen.fillStyle = colour("face");
  blob(19, -6, 8);
  blob(11, -10, 4);
  pen.fillStyle = colour("wool");
  blob(21, -8, 2);

  const size = Math.max(15, SMALLEST_TEXT * width / page.field.clientWidth);
  pen.fillStyle = colour("text");
  pen.font = `${id === me ? 600 : 400} ${size}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.fillText(name, x, y - 28 > size ? y - 28 : y + 26 + size); // beneath it, at the upper fence
}

// ---------------------------------------------------------------- the name

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Bold", "Brisk", "Calm", "Fond", "Hardy", "Merry", "Quiet", "Wise"]);
  return `${manner} ${pick(["Ewe", "Hogg", "Lamb", "Ram", "Tup", "Wether"])}`;
}

// Kept for this tab alone: a reload keeps the name, and another tab is somebody else.
page.name.value = sessionStorage.getItem("name") ?? randomName();
sessionStorage.setItem("name", page.name.value);

page.name.onchange = () => {
  page.name.value = page.name.value.trim() || sessionStorage.getItem("name");
  sessionStorage.setItem("name", page.name.value);
  connectAnew();
};
page.name.onkeydown = ({ key }) => { if (key === "Enter") page.name.blur(); };
page.again.onclick = connectAnew;

connect();
draw();
