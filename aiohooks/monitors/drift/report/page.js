"use strict";
(() => {
  const data = JSON.parse(document.getElementById("windows").textContent);
  const panel = document.getElementById("window");
  const select = document.getElementById("choice");
  const map = document.querySelector("#map svg");
  const SVG = "http://www.w3.org/2000/svg";
  const windows = data.windows;
  let now = -1;

  const node = (name, text, parts) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const part of parts || []) made.append(part);
    return made;
  };
  const draw = (name, values, style) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    made.style.cssText = style;
    return made;
  };
  const number = (value) => value === null ? "–" : value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  const chance = (p) => p !== null && p < 1e-6 ? "< 1e-6" : number(p);
  const percent = (value) => value === null ? "–" : (100 * value).toFixed(1) + "\u00a0%";
  const time = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");
  const surprising = (p) => p === null ? "" : p <= 0.01 ? "critical" : p <= 0.05 ? "warning" : "good";

  const table = (head, rows) => {
    const made = node("table");
    made.append(node("thead", null, [node("tr", null, head.map((one) => node("th", one)))]));
    made.append(node("tbody", null, rows.map((row) => {
      const line = node("tr", null, row.cells.map((cell) => node("td", cell)));
      if (row.look) line.lastChild.className = row.look;
      return line;
    })));
    const around = node("div", null, [made]);
    around.className = "scroll";
    return around;
  };

  const picture = ([url, address, label, strange]) => {
    const made = node("figure");
    if (url) {
      const image = node("img");
      image.src = url;
      image.alt = label || "an event";
      made.append(image);
    }
    const told = node("figcaption", [label, strange === null ? "" : "OOD " + strange.toFixed(2)].filter(Boolean).join(" · "));
    if (address) {
      if (/^https?:/i.test(address)) {
        const link = node("a", url ? "original" : address);
        link.href = address;
        link.rel = "noreferrer noopener";
        told.append(told.textContent ? " · " : "", link);
      } else told.append(node("span", address));
    }
    if (told.textContent) made.append(told);
    return made;
  };

  const fill = (id, parts) => document.getElementById(id).replaceChildren(...parts);

  const mark = (one) => {
    for (const chart of document.querySelectorAll(".time svg[data-x]")) {
      const [left, right, low, high] = chart.dataset.x.split(" ").map(Number);
      const at = (seconds) => left + (seconds - low) / (high - low) * (right - left);
      chart.querySelectorAll(".chosen").forEach((old) => old.remove());
      const bottom = chart.viewBox.baseVal.height - 34;
      const width = Math.max(at(one.end) - at(one.start), 1.5);
      const bar = draw("rect", { class: "chosen", x: at(one.start), y: 44, width, height: bottom - 44 }, "fill:var(--ink);fill-opacity:.14");
      chart.append(bar, draw("path", { class: "chosen", d: `M${at(one.start) + width / 2 - 5} ${bottom + 8}h10l-5 -8Z` }, "fill:var(--ink)"));
    }
  };

  const place = (one) => {
    map.querySelectorAll(".chosen").forEach((old) => old.remove());
    const plane = map.querySelector("svg");
    data.centres.forEach(([x, y], index) => {
      if (one.clusters[index] > 0) {
        const circle = draw("circle", { class: "chosen", cx: x, cy: y, r: data.largest * Math.sqrt(one.clusters[index]) }, "fill:none;stroke:var(--chart-2);stroke-width:2");
        circle.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: `${percent(one.clusters[index])} of events, usually ${percent(data.usual[index])}` }));
        plane.append(circle);
      }
    });
    for (const [x, y] of one.points) plane.append(draw("circle", { class: "chosen", cx: x, cy: y, r: 2.5 }, "fill:var(--chart-2);fill-opacity:.8"));
    if (one.mean) plane.append(draw("path", { class: "chosen", d: `M${one.mean[0] - 7} ${one.mean[1]}h14M${one.mean[0]} ${one.mean[1] - 7}v14` }, "stroke:var(--chart-2);stroke-width:3;fill:none"));
  };

  const show = (index) => {
    const one = windows[index];
    if (!one || index === now) return;
    now = index;
    select.value = String(index);
    document.getElementById("earlier").disabled = index === 0;
    document.getElementById("later").disabled = index === windows.length - 1;
    fill("title", [`${time(one.start)} – ${time(one.end)} UTC`]);
    const said = one.p === null ? one.problem || "no decision" : `p ${one.p < 1e-6 ? "" : "= "}${chance(one.p)}: ${one.p <= 0.05 ? (one.p < 1e-6 ? "fewer than one window in a million" : "one window in " + Math.round(1 / one.p).toLocaleString("en")) + " is so by chance" : "as usual"}`;
    const verdict = node("strong", said);
    verdict.className = surprising(one.p);
    const lines = [node("p", `${one.events.toLocaleString("en")} events. `, [verdict])];
    const wrong = Object.entries(one.problems).map(([what, count]) => `${what} (${count})`).join(", ");
    if (one.refused || wrong) lines.push(node("p", `${one.refused.toLocaleString("en")} events refused${wrong ? "; wrong: " + wrong : ""}`));
    for (const alert of one.alerts) {
      const line = node("p", alert);
      line.className = "critical";
      lines.push(line);
    }
    fill("verdict", lines);
    fill("measures", [table(["measure", "value", "95 % below", "p"], one.measures.map(([name, value, usual, p]) =>
      ({ cells: [name, number(value), number(usual), chance(p)], look: surprising(p) })))]);
    const more = [];
    if (one.classes.length) {
      more.push(node("h3", "Labels whose share changed most"), table(["label", "share", "usual", "p of features"], one.classes.map(([label, share, usual, p]) =>
        ({ cells: [data.labels[label], percent(share), percent(usual), chance(p)], look: surprising(p) }))));
    }
    if (one.segments.length) {
      more.push(node("h3", "Segments"), table(["segment", "events", "p"], one.segments.map(([name, events, p]) =>
        ({ cells: [name || "(none)", events.toLocaleString("en"), chance(p)], look: surprising(p) }))));
    }
    if (one.moved.length) {
      more.push(node("h3", "Directions that moved most"), table(["direction", "deviations", "of all"], one.moved.map(([direction, moved, share]) =>
        ({ cells: [String(direction + 1), number(moved), percent(share)] }))));
    }
    fill("more", more);
    const shown = one.pictures.map(picture);
    fill("pictures", shown.length ? shown : [node("p", one.left ? "They are left out, to keep this page small." : "None are kept of this window.")]);
    mark(one);
    place(one);
  };

  select.addEventListener("change", () => show(Number(select.value)));
  document.getElementById("earlier").addEventListener("click", () => show(now - 1));
  document.getElementById("later").addEventListener("click", () => show(now + 1));
  for (const chart of document.querySelectorAll(".time svg[data-x]")) {
    chart.addEventListener("click", (event) => {
      const [left, right, low, high] = chart.dataset.x.split(" ").map(Number);
      const box = chart.getBoundingClientRect();
      const at = low + ((event.clientX - box.left) / box.width * chart.viewBox.baseVal.width - left) / (right - left) * (high - low);
      let best = 0;
      windows.forEach((one, index) => {
        const gap = (other) => Math.abs((other.start + other.end) / 2 - at);
        if (gap(one) < gap(windows[best])) best = index;
      });
      show(best);
    });
  }
  panel.hidden = false;
  show(Number(select.value));
  document.documentElement.dataset.ready = "yes";
})();
