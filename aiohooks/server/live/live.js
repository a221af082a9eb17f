"use strict";
// The live page: figures by server-sent events, pictures by a WebSocket, commands by fetch. Text from outside only ever becomes text.

const HISTORY = 120;
const byId = (id) => document.getElementById(id);
const cards = new Map();
let events = null;
let socket = null;
let frozen = false;
let attempt = 0;
let timer = 0;
let pictureTimer = 0;
let refused = false;
let troubles = -1;
let lastState = "";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function state(text, look = "") {
  if (text === lastState) return;
  lastState = text;
  byId("state").className = look;
  write(byId("state"), text);
}

let saidTimer = 0;
function say(text) {
  write(byId("said"), text);
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => write(byId("said"), ""), 6000);
}

const number = (value, digits = 0) => value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
const words = (name) => name.replaceAll("_", " ");

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 90) return `${number(value)} s`;
  if (value < 5400) return `${number(value / 60, 1)} min`;
  return `${number(value / 3600, 1)} h`;
}

// what is drawn ---------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

class Spark {
  constructor(label, { points = false, level = null, top = null } = {}) {
    this.values = [];
    this.label = label;
    this.points = points;
    this.top = top;
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "spark");
    this.svg.setAttribute("viewBox", `0 0 ${HISTORY} 50`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.path = this.svg.appendChild(document.createElementNS(SVG, "path"));
    if (level !== null) {
      const line = this.svg.appendChild(document.createElementNS(SVG, "path"));
      line.setAttribute("class", "level");
      line.setAttribute("d", `M0 ${this.place(level, top)}H${HISTORY}`);
    }
  }

  place(value, top) {
    return (47 - 44 * Math.min(1, value / top)).toFixed(1);
  }

  add(...values) {
    this.values.push(...values);
    this.values.splice(0, Math.max(0, this.values.length - HISTORY));
    const top = this.top || Math.max(1e-9, ...this.values.filter((each) => each !== null));
    let pen = "M";
    let path = "";
    this.values.forEach((value, index) => {
      if (value === null) {
        pen = "M";
        return;
      }
      const x = HISTORY - this.values.length + index;
      const y = this.place(value, top);
      path += this.points ? `M${x} ${y}h.9` : `${pen}${x} ${y}`;
      pen = "L";
    });
    this.path.setAttribute("d", path);
    const last = this.values.at(-1);
    this.svg.setAttribute("aria-label", `${this.label}: now ${number(last, 3)}, the highest shown ${number(top, 3)}`);
  }
}

class Figures {
  constructor(names) {
    this.list = make("dl");
    this.values = new Map();
    for (const [key, title] of Object.entries(names)) {
      const value = make("dd", {}, "–");
      this.values.set(key, value);
      this.list.append(make("div", {}, make("dt", {}, title), value));
    }
  }

  show(key, text, look = "") {
    const element = this.values.get(key);
    write(element, text);
    if (element.className !== look) element.className = look;
  }
}

// A form of numbers. What somebody has typed stays until it is sent; Escape, or that it is refused, brings back what is so.
function form(owner, fields, submit) {
  const inputs = fields.map(({ title, ...options }) => make("input", { type: "number", step: "any", ...options }));
  const labels = fields.map(({ title }, index) => make("label", {}, title, inputs[index]));
  const titles = fields.map(({ title }) => title).join(" ");
  const element = make("form", {}, ...labels, make("button", { type: "submit", "aria-label": `Set ${titles}: ${owner}` }, "Set"));
  const shown = inputs.map(() => null);
  const back = () => inputs.forEach((input, index) => { input.value = shown[index] ?? ""; });
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!await submit(...inputs.map((input) => input.value === "" ? null : Number(input.value)))) back();
  });
  element.addEventListener("keydown", (event) => event.key === "Escape" && back());
  return {
    element,
    show(...now) {
      inputs.forEach((input, index) => {
        if (document.activeElement === input || shown[index] === now[index]) return;
        shown[index] = now[index];
        input.value = now[index] ?? "";
      });
    },
  };
}

class Hook {
  constructor(deployment, told) {
    this.about = { deployment, hook: told.index, name: told.name };
    this.key = [told.index, told.name, told.thresholds.map((each) => each.path)].join("\n");
    this.title = make("h4", {}, told.name);
    this.badge = make("span", { class: "badge warning", hidden: true }, "paused");
    this.pause = make("button", { type: "button" });
    this.pause.addEventListener("click", () => command({ do: "pause", ...this.about, paused: !this.paused }));
    this.counts = make("ul", { class: "counts", "aria-label": `Outcomes of ${told.name}` });
    this.items = new Map();
    this.pictures = make("ul", { class: "pictures", "aria-label": `Collected by ${told.name}`, hidden: true });
    this.shown = "";
    this.last = make("p", { class: "quiet" });
    const limits = [{ title: "acts at most", min: "1", step: "1", placeholder: "no limit" }, { title: "times in seconds", min: "0", placeholder: "1" }];
    this.rate = form(told.name, limits, (count, per) =>
      command({ do: "rate", ...this.about, rate: count === null ? null : { count, per: per ?? 1, burst: this.burst ?? 1 } }));
    this.thresholds = told.thresholds.map((each) => [each.path, form(
      told.name, [{ title: `threshold of ${each.trigger}`, min: "0", step: each.is_whole ? "1" : "any", required: true }],
      (value) => command({ do: "threshold", ...this.about, path: each.path, value }))]);
    const adjust = make("div", { class: "adjust" }, this.rate.element, ...this.thresholds.map(([, each]) => each.element));
    this.spool = make("p");
    this.replay = make("button", { type: "button", hidden: true }, "Replay dead letters");
    this.replay.addEventListener("click", () => command({ do: "replay", ...this.about }));
    this.element = make("section", { class: "hook", "aria-label": `Hook ${told.name}` },
      make("div", { class: "hook-head" }, this.title, this.badge, this.pause), this.counts, this.pictures, this.last, this.spool, this.replay,
      make("details", {}, make("summary", {}, "Adjust"), adjust));
  }

  show(told) {
    if (this.paused !== told.paused) {
      this.paused = told.paused;
      this.element.classList.toggle("paused", told.paused);
      this.badge.hidden = !told.paused;
      write(this.pause, told.paused ? "Resume" : "Pause");
      this.pause.setAttribute("aria-label", `${told.paused ? "Resume" : "Pause"} ${told.name}`);
    }
    for (const [kind, count] of Object.entries({ ...told.counts, pending: told.pending })) {
      let item = this.items.get(kind);
      if (!item && (count || kind === "seen" || kind === "fired" || kind === "done")) {
        item = make("li");
        this.items.set(kind, item);
        this.counts.append(item);
      }
      if (item) {
        write(item, `${words(kind)} ${number(count)}`);
        if (["failed", "timed_out", "trigger_failed", "dropped"].includes(kind)) item.className = count ? "critical" : "";
      }
    }
    const numbers = told.pictures.map((each) => each.number).join();
    if (numbers !== this.shown) {
      this.shown = numbers;
      this.pictures.hidden = !numbers;
      this.pictures.replaceChildren(...told.pictures.map((each) => make("li", {}, make("img", {
        src: `live/collected/${encodeURIComponent(this.about.deployment)}/${each.number}`, alt: each.name, title: each.name, width: 96, height: 96,
      }))));
    }
    const last = told.outcomes[0];
    write(this.last, last
      ? `last${told.is_alone ? "" : " of the hooks of this name"}: ${words(last.kind)} ${last.frame}${last.score === null ? "" : `, score ${number(last.score, 3)}`}, ${number(last.ms, 1)} ms${last.error ? `: ${last.error}` : ""}`
      : "");
    this.last.className = last && last.error ? "critical" : "quiet";
    this.burst = told.rate?.burst;
    this.rate.show(told.rate?.count ?? null, told.rate?.per ?? null);
    for (const [path, one] of this.thresholds) one.show(told.thresholds.find((each) => each.path === path)?.value ?? null);
    const spool = told.spool;
    write(this.spool, !spool ? "" : spool.error
      ? `spool: ${spool.error}`
      : `spool: ${number(spool.depth)} waiting, oldest ${seconds(spool.age)}; ${number(spool.dead)} dead; ${number(spool.bytes / 1e6, 1)} MB; ` +
        `${number(spool.delivered)} delivered; ${number(spool.lost)} lost; circuit ${words(spool.circuit)}`);
    this.spool.className = spool && (spool.error || spool.dead || spool.circuit !== "closed") ? "warning" : "";
    this.replay.hidden = !(spool && spool.dead);
  }
}

class Card {
  constructor(told) {
    this.name = told.name;
    const id = `deployment-${cards.size}`;
    this.canvas = make("canvas", { role: "img", "aria-label": "No picture yet", width: 640, height: 480 });
    this.context = this.canvas.getContext("2d");
    this.caption = make("span", {}, "no picture yet");
    this.age = make("span", { class: "warning" });
    this.figures = new Figures({
      rate: "inferences a second", p50: "median, ms", p95: "95 %, ms", queue: "waiting", slots: "in slots", done: "done", failed: "failed",
    });
    this.spark = new Spark("Inferences a second");
    this.oodTitle = make("h3", { hidden: true }, "Out of distribution");
    this.ood = new Spark("OOD score", { points: true, level: 0.5, top: 1 });
    this.ood.svg.toggleAttribute("hidden", true);
    this.oodText = make("p", { class: "quiet" });
    this.hooks = make("div");
    this.hookCards = new Map();
    this.hooksTitle = make("h3", {}, "Hooks");
    this.driftTitle = make("h3", { hidden: true }, "Drift");
    this.drift = make("div");
    this.driftVersion = 0;
    const settings = { deployment: told.name };
    this.settings = {
      places: form(told.name, [{ title: "requests at once", min: "1", max: "1024", step: "1", required: true }],
        (places) => command({ do: "settings", ...settings, places })),
      room: form(told.name, [{ title: "requests that may wait", min: "0", step: "1", required: true }],
        (room) => command({ do: "settings", ...settings, room })),
      min_score: form(told.name, [{ title: "lowest score", min: "0", max: "1", required: true }],
        (value) => command({ do: "settings", ...settings, min_score: value })),
    };
    this.thresholds = make("p", { class: "quiet" });
    this.about = make("p", { class: "quiet" });
    this.monitors = make("p", { class: "quiet" });
    this.element = make("section", { class: "deployment", "aria-labelledby": id },
      make("h2", { id }, told.name), this.about,
      make("div", { class: "top" }, make("figure", { class: "view" }, this.canvas, make("figcaption", {}, this.caption, this.age)), make("div", {}, this.figures.list, this.spark.svg)),
      this.oodTitle, this.ood.svg, this.oodText, this.driftTitle, this.drift, this.hooksTitle, this.hooks, this.monitors,
      make("details", {}, make("summary", {}, "Inference settings"),
        make("div", { class: "adjust" }, ...Object.values(this.settings).map((each) => each.element)), this.thresholds));
    byId("deployments").append(this.element);
  }

  show(told) {
    write(this.about, `${words(told.task ?? "")} on ${told.device ?? "–"}${told.open ? "" : ", closed"}`);
    const { figures } = this;
    figures.show("rate", number(told.rate, told.rate < 10 ? 1 : 0));
    figures.show("p50", number(told.p50, told.p50 < 10 ? 1 : 0));
    figures.show("p95", number(told.p95, told.p95 < 10 ? 1 : 0));
    const queued = Math.max(told.waiting, told.under_way - told.slots, 0);
    figures.show("queue", number(queued));
    figures.show("slots", told.slots ? `${number(Math.min(told.under_way, told.slots))} of ${number(told.slots)}` : "–");
    figures.show("done", number(told.done));
    figures.show("failed", number(told.failed), told.failed ? "critical" : "");
    this.spark.add(told.rate);
    if (told.ood.length) {
      this.ood.svg.toggleAttribute("hidden", false);
      this.oodTitle.hidden = false;
      this.ood.add(...told.ood.slice(-12));
      const strange = told.ood.filter((each) => each > 0.5).length;
      write(this.oodText, `of the last ${told.ood.length} looked at, ${strange} above 0.5 (dashed); the highest ${number(Math.max(...told.ood), 3)}`);
      this.oodText.className = strange ? "warning" : "quiet";
    }
    this.hooksTitle.hidden = !told.hooks.length;
    const keys = told.hooks.map((each) => [each.index, each.name, each.thresholds.map((one) => one.path)].join("\n"));
    for (const [key, card] of this.hookCards) {
      if (!keys.includes(key)) {
        card.element.remove();
        this.hookCards.delete(key);
      }
    }
    told.hooks.forEach((each, index) => {
      let card = this.hookCards.get(keys[index]);
      if (!card) {
        card = new Hook(told.name, each);
        this.hookCards.set(card.key, card);
        this.hooks.append(card.element);
      }
      card.show(each);
    });
    write(this.monitors, told.monitors.map((each) => `${each.name}: ${number(each.seen)} seen${each.failed ? `, ${number(each.failed)} failed` : ""}`).join("; "));
    for (const [key, one] of Object.entries(this.settings)) {
      one.element.hidden = told.settings[key] === null;
      one.show(told.settings[key]);
    }
    const own = Object.entries(told.thresholds).map(([name, value]) => `${name} ${number(value, 4)}`).join(", ");
    write(this.thresholds, own ? `What the model itself leaves out is set where it is loaded (--parameter NAME=VALUE): ${own}.` : "");
    write(this.age, told.picture_age > 5 ? `, ${seconds(told.picture_age)} ago` : "");
    const names = Object.keys(told.drifting);
    this.driftTitle.hidden = !names.length;
    const drifting = names.filter((each) => told.drifting[each]);
    write(this.driftTitle, drifting.length ? `Drift: alarm of ${drifting.join(", ")}` : "Drift: no alarm");
    this.driftTitle.className = drifting.length ? "critical" : "";
    if (told.drift_version !== this.driftVersion) {
      this.driftVersion = told.drift_version;
      this.readDrift();
    }
  }

  async readDrift() {
    const place = `live/drift/${encodeURIComponent(this.name)}`;
    const answer = await fetch(place).catch(() => null);
    if (!answer || !answer.ok) return;
    const told = await answer.json();
    for (const [name, one] of Object.entries(told)) {
      let box = [...this.drift.children].find((each) => each.dataset.name === name);
      if (!box) {
        box = this.drift.appendChild(make("div", { "data-name": name }, make("p", { class: "quiet" }), make("div", { class: "charts" }), make("ul")));
      }
      const [about, charts, alerts] = box.children;
      if (one.problem) {
        write(about, `${name}: ${one.problem}`);
        continue;
      }
      write(about, `${name}: ${number(one.events)} events in ${number(one.windows)} windows of one ${one.length}; green is what is usual without drift`);
      const at = (index) => `${place}/${encodeURIComponent(name)}/${index}?v=${this.driftVersion}`;
      // The first one is there for wide screens, the second is the same for narrow ones.
      one.charts.filter((_, index) => index !== 1).forEach((title, index) => {
        const src = at(index ? index + 1 : 0);
        let figure = charts.children[index];
        if (!figure) {
          const size = index ? { width: 480, height: 240 } : { width: 1000, height: 320 };
          const narrow = index ? [] : [make("source", { media: "(max-width: 520px)", width: 480, height: 240 })];
          figure = charts.appendChild(make("figure", {}, make("picture", {}, ...narrow, make("img", { ...size, alt: `Chart: ${title}` }))));
        }
        const source = figure.querySelector("source");
        if (source) source.srcset = at(1);
        figure.querySelector("img").src = src;
      });
      alerts.replaceChildren(...one.alerts.map((each) => make("li", { class: each.kind === "recovered" ? "good" : each.kind },
        `${new Date(1000 * each.start).toISOString().slice(0, 16).replace("T", " ")} ${each.kind}: ${each.rule}, ${each.metric} ${number(each.value, 3)}` +
        (each.p_value === null ? "" : `, p = ${each.p_value.toPrecision(2)}`))));
    }
  }

  async draw(head, jpeg) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const seen = head.top ? `${head.top[0]} ${(100 * head.top[1]).toFixed(0)} %` : "nothing";
    const more = head.labels.length > 1 ? `; ${head.labels.join(", ")}` : "";
    const text = `${head.frame}: ${seen}${more}${head.ood === null ? "" : `; OOD ${number(head.ood, 3)}`}`;
    write(this.caption, text);
    this.canvas.setAttribute("aria-label", `Latest frame, ${text}`);
  }
}

// what comes in ---------------------------------------------------------------------------------------------------

function onFigures(told) {
  attempt = 0;
  const count = told.deployments.length === 1 ? "1 deployment" : `${told.deployments.length} deployments`;
  if (!told.ready) state("not ready, or shutting down", "warning");
  else if (refused) state(`${count}, live, without pictures: does a proxy pass on WebSockets, and the header Host?`, "warning");
  else state(`${count}, live`, "good");
  for (const each of told.deployments) {
    if (!cards.has(each.name)) cards.set(each.name, new Card(each));
    cards.get(each.name).show(each);
  }
  byId("log").hidden = false;
  if (told.troubles !== troubles) {
    troubles = told.troubles;
    readTroubles();
  }
  document.documentElement.dataset.ready = "yes";
}

async function readTroubles() {
  const answer = await fetch("live/troubles").catch(() => null);
  if (!answer || !answer.ok) return;
  const told = await answer.json();
  byId("no-troubles").hidden = told.length > 0;
  byId("troubles").hidden = !told.length;
  byId("troubles").replaceChildren(...told.map((each) => make("li", {},
    make("time", { datetime: each.time }, `${each.time.slice(0, 19).replace("T", " ")} UTC`), " ",
    make("span", { class: each.level === "WARNING" ? "warning" : "critical" }, each.level.toLowerCase()), " ",
    make("span", { class: "quiet" }, each.source), " ", make("span", { class: "message" }, each.message))));
}

async function onPicture(data) {
  const length = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  await cards.get(head.deployment)?.draw(head, new Uint8Array(data, 4 + length));
}

async function command(told) {
  let text;
  let done = false;
  try {
    const answer = await fetch("live/do", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(told) });
    const said = await answer.json();
    done = answer.ok;
    text = done ? said.done : `not done: ${said.error}`;
  } catch (error) {
    text = "not done: the server does not answer";
  }
  say(text);
  return done;
}

// coming and going ------------------------------------------------------------------------------------------------

function leave() {
  clearTimeout(timer);
  clearTimeout(pictureTimer);
  events?.close();
  events = null;
  if (socket) {
    socket.onclose = null;
    socket.close();
  }
  socket = null;
}

function again() {
  leave();
  if (frozen || document.hidden) return;
  attempt += 1;
  state("the server does not answer; trying again …", "warning");
  timer = setTimeout(begin, Math.min(15000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2));
}

async function begin() {
  leave();
  let answer;
  try {
    answer = await fetch("live/session", { cache: "no-store" });
  } catch (error) {
    again();
    return;
  }
  byId("entry").hidden = answer.status !== 401;
  if (answer.status === 401) {
    state("the token is needed", "warning");
    byId("token").focus();
    return;
  }
  if (!answer.ok) {
    state((await answer.json().catch(() => ({}))).error ?? `the server says ${answer.status}`, "critical");
    timer = setTimeout(begin, 10000);
    return;
  }
  byId("stop").hidden = false;
  const mine = events = new EventSource("live/events");
  mine.addEventListener("figures", (event) => onFigures(JSON.parse(event.data)));
  mine.onerror = () => mine === events && again();
  watchPictures();
}

function watchPictures() {
  const address = new URL("live/pictures", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const pictures = socket = new WebSocket(address);
  let opened = false;
  pictures.onopen = () => {
    opened = true;
    refused = false;
  };
  pictures.binaryType = "arraybuffer";
  pictures.onmessage = async (event) => {
    try {
      await onPicture(event.data);
    } finally {
      if (pictures.readyState === WebSocket.OPEN) pictures.send("ok");
    }
  };
  pictures.onclose = () => {
    if (pictures !== socket) return;
    if (opened) {
      again();
    } else {
      refused = true;  // while there are figures, the pictures alone are asked for again
      pictureTimer = setTimeout(watchPictures, 15000);
    }
  };
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("live/session", { method: "POST", headers: { Authorization: `Bearer ${byId("token").value}` } }).catch(() => null);
  write(byId("refused"), answer?.ok ? "" : answer?.status === 401 ? "That is not the token." : "The server does not answer.");
  if (answer?.ok) {
    byId("token").value = "";
    begin();
  }
});

byId("stop").addEventListener("click", () => {
  frozen = !frozen;
  write(byId("stop"), frozen ? "Go on" : "Freeze");
  if (frozen) {
    leave();
    state("frozen: nothing is asked of the server", "warning");
  } else begin();
});

// A page that nobody sees costs the server nothing.
document.addEventListener("visibilitychange", () => (document.hidden || frozen ? leave() : begin()));
window.addEventListener("pagehide", leave);
if (!document.hidden) begin();
