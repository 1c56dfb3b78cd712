// The page of the lobby: what is typed is said, and what is heard is shown.

const SLOWEST_RETRY = 15_000; // milliseconds
const CRASH_PAUSE = 2_000;
const AT_THE_END = 60; // pixels

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const address = new URL("lobby", location.href.replace(/^http/, "ws"));

let socket;
let failures = 0;

// ---------------------------------------------------------------- the connection

function connect() {
  showState("connecting");
  socket = new WebSocket(address);
  socket.onopen = () => send({ type: "Enter", name: page.name.value });
  socket.onmessage = ({ data }) => {
    const fact = JSON.parse(data);
    hear[fact.type]?.(fact);
  };
  socket.onclose = () => {
    showState("lost", "connection lost, trying again");
    setTimeout(connect, retryDelay(failures++));
  };
}

// Full jitter: a server that comes back is not stormed by all of its pages at once.
function retryDelay(failures) {
  return Math.random() * Math.min(SLOWEST_RETRY, 500 * 2 ** failures);
}

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

const hear = {
  Welcome({ history }) {
    failures = 0;
    page.log.replaceChildren();
    history.forEach(hear.Said);
    showState("connected");
  },

  Said({ name, text, at }) {
    const who = element("div", "who", nameTag(name), time(at));
    const item = element("div", "said", who, element("p", "", text));
    item.dataset.name = name;
    item.classList.toggle("mine", name === page.name.value);
    item.classList.toggle("again", page.log.lastElementChild?.dataset.name === name);
    append(item);
  },

  Here({ names }) {
    page.count.textContent = names.length;
    page.alone.hidden = names.length > 1;
    page.here.replaceChildren(...names.map((name) => {
      const you = name === page.name.value ? [element("small", "", "you")] : [];
      return hued(element("li", "", element("bdi", "", name), ...you), name);
    }));
  },

  Note({ text }) {
    append(element("div", "note", element("bdi", "", text)));
  },

  Restored({ incarnation }) {
    append(element("div", "restored",
      element("strong", "", "The lobby crashed, and is back. "),
      `This is its incarnation ${incarnation}. Nobody was disconnected. What was said above is`
      + " gone from its memory: only your page still shows it, until you reload.",
    ));
    setTimeout(() => { page.crash.disabled = !isOpen(); }, CRASH_PAUSE);
  },

  error({ detail }) {
    append(element("div", "note", `The server did not take that: ${detail}`));
  },
};

// ---------------------------------------------------------------- what is shown

function isOpen() {
  return page.state.dataset.state === "connected";
}

function showState(state, text = state) {
  page.state.dataset.state = state;
  page.state.textContent = text;
  page.send.disabled = page.crash.disabled = !isOpen();
}

function append(item) {
  const { scrollHeight, scrollTop, clientHeight } = page.log;
  const following = scrollHeight - scrollTop - clientHeight < AT_THE_END;
  page.log.append(item);
  if (following) page.log.scrollTop = page.log.scrollHeight;
}

// Text is only ever text: whatever people call themselves, no markup comes of it.
function element(tag, className, ...content) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...content);
  return node;
}

function nameTag(name) {
  return hued(element("bdi", "name", name), name);
}

function hued(node, name) {
  const sum = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 0);
  node.style.setProperty("--hue", sum * 137 % 360);
  return node;
}

function time(at) {
  const moment = new Date(at * 1000);
  const node = element("time", "", moment.toLocaleTimeString([], { timeStyle: "short" }));
  node.dateTime = moment.toISOString();
  return node;
}

// ---------------------------------------------------------------- what is typed

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Bold", "Brisk", "Calm", "Fond", "Hardy", "Merry", "Quiet", "Wise"]);
  return `${manner} ${pick(["Ewe", "Hogg", "Lamb", "Ram", "Shearling", "Tup", "Wether"])}`;
}

// Kept for this tab alone: a reload keeps the name, and another tab is somebody else.
page.name.value = sessionStorage.getItem("name") ?? randomName();
sessionStorage.setItem("name", page.name.value);

page.name.onchange = () => {
  const before = sessionStorage.getItem("name");
  page.name.value = page.name.value.trim() || before;
  if (page.name.value === before) return;
  sessionStorage.setItem("name", page.name.value);
  send({ type: "Enter", name: page.name.value });
};

page.composer.onsubmit = (event) => {
  event.preventDefault();
  const text = page.text.value.trim();
  if (text && isOpen()) {
    send({ type: "Say", text });
    page.text.value = "";
  }
  page.text.focus();
};

page.crash.onclick = () => {
  page.crash.disabled = true;
  send({ type: "Crash" });
};

connect();
