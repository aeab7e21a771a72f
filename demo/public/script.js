const LIFE = 60_000;
// The tabs of one browser share a session: each shows what any of them was told.
const tabs = new BroadcastChannel("session");
let server;
let endsAt;

const find = (selector) => document.querySelector(selector);
const write = (selector, text) => {
  find(selector).textContent = text;
};
const say = (text) => write("#status", text);

async function call(path, method, data) {
  const response = await fetch(path, {
    method,
    ...(data && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) }),
  }).catch(() => {
    throw new Error("The demo does not answer.");
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `The server answered ${response.status}.`);
  return body;
}

function show(session) {
  server = session.server;
  endsAt = Date.now() + session.expiresIn;
  write("#server", `Server ${server}`);
  write("#sid", session.sid);
  write("#counter", session.counter);
  write("#user", session.user ? `Logged in as ${session.user}` : "Not logged in");
  find("#login").hidden = Boolean(session.user);
  find("#known").hidden = !session.user;
  find("#basket").replaceChildren(...Object.entries(session.basket).map(basketRow));
  for (const item of document.querySelectorAll("#servers li")) {
    if (item.dataset.server === server) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
  tick();
}

function basketRow([id, name]) {
  const row = document.createElement("li");
  const form = document.createElement("form");
  const button = document.createElement("button");
  form.dataset.remove = id;
  button.textContent = "Remove";
  button.setAttribute("aria-label", `Remove ${name}`);
  form.append(button);
  row.append(name, form);
  return row;
}

function tick() {
  if (endsAt === undefined) return;
  const left = Math.max(0, endsAt - Date.now());
  write("#left", left ? `${Math.ceil(left / 1000)} s` : "Over");
  find("#bar").style.transform = `scaleX(${left / LIFE})`;
  if (left) return;
  endsAt = undefined;
  say("A minute without a request: the session is over. The next click begins a new one.");
}

/** Why the session that this browser had was ended, in a sentence; nothing where it never had one. */
function explain({ reason, at, because } = {}) {
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (reason === "revoked") return `You were ${because} at ${time}. `;
  if (reason === "limit") return `Another login under your name ended the session at ${time}. `;
  if (reason === "expired-or-evicted") return "The session was over: a minute without a request. ";
  if (reason === "logout" || reason === "regenerated") return `You logged out at ${time}. `;
  return "";
}

/** One request to the app, told in a sentence. */
async function act(what, path, method, data) {
  const before = server;
  const session = await call(path, method, data);
  show(session);
  tabs.postMessage(session);
  const hop = before && before !== server ? `, the click before by server ${before}` : "";
  const why = explain(session.ended);
  say(why ? `${why}${what} by server ${server}.` : `${what} by server ${server}${hop}.`);
}

/** @returns whether both changes are kept */
async function pair(path) {
  const cells = [...document.querySelectorAll(`[data-pair="${path}"] td`)];
  for (const cell of cells) Object.assign(cell, { textContent: "…", className: "" });
  await call(path, "POST");
  await Promise.all([call(`${path}/slow`, "POST"), call(`${path}/fast`, "POST")]);
  const result = await call(path);
  for (const cell of cells) {
    const kept = Boolean(result[cell.dataset.key]);
    Object.assign(cell, {
      textContent: kept ? "✓ kept" : "✗ lost",
      className: kept ? "kept" : "lost",
    });
  }
  return result.slow && result.fast;
}

const done = {
  count: "Counted",
  login: "Logged in",
  logout: "Logged out",
  "logout-others": "Logged out elsewhere",
  basket: "Added",
};

async function submit(form) {
  const { post, remove } = form.dataset;
  const { server: name, state } = form.closest("[data-server]")?.dataset ?? {};
  if (name && state === "dead") {
    await call(`servers/${name}/start`, "POST");
    say(`Server ${name} is back.`);
  } else if (name) {
    await call(`servers/${name}/kill`, "POST");
    say(`Server ${name} is dead. Your session is not.`);
  } else if (remove) {
    await act("Removed", `basket/${remove}`, "DELETE");
    find("#item").focus();
  } else if (post) {
    await act(done[post], post, "POST", Object.fromEntries(new FormData(form)));
    if (post === "basket") form.reset();
    // The form that had the focus is hidden by now.
    if (post === "login") find("#logout button").focus();
    if (post === "logout") find("#name").focus();
  } else {
    const [kept] = await Promise.all([pair("pair"), pair("connect-redis/pair")]);
    await act(kept ? "Both changes are kept. Read" : "A change is lost. Read", "session");
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.ariaBusy) return;
  form.ariaBusy = "true";
  submit(form)
    .catch((error) => say(`${error.message} Try again.`))
    .finally(() => {
      form.ariaBusy = null;
    });
});

new EventSource("servers").addEventListener("message", ({ data }) => {
  for (const { name, pid, state } of JSON.parse(data)) {
    const item = find(`[data-server="${name}"]`);
    const button = item.querySelector("button");
    item.dataset.state = state;
    item.querySelector("span").textContent = state === "running" ? `pid ${pid}` : state;
    button.textContent = state === "dead" ? "Start" : "Kill";
    button.setAttribute("aria-label", `${button.textContent} server ${name}`);
  }
});

tabs.addEventListener("message", ({ data }) => show(data));
setInterval(tick, 250);
act("Loaded", "session").catch((error) => say(error.message));
