// SPDX-License-Identifier: Apache-2.0
// The editor of zones and masks: corners on the picture are buttons, for mouse, finger and keyboard alike. What is kept
// are the corners as numbers in the form, which it reads and writes.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.005;
const FAR = 0.05;
const LEAST = 3;
const MOST = 32;
const SHIFT = 0.06; // between a new one and the next
const SIDE = 5; // so many shifts fit to either side
const NEW = [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]];

const form = document.querySelector("[data-zones]");
const canvas = form.querySelector("[data-canvas]");
const svg = canvas.querySelector("svg");
const list = form.querySelector("[data-list]");
const spare = form.querySelector("[data-spare]");
const most = Number(form.dataset.most);

const inside = (value) => Math.min(1, Math.max(0, value));
const percent = (value) => (value * 100).toFixed(1);

class Zone {
  constructor(field) {
    this.field = field;
    this.key = field.dataset.zone;
    this.name = form.elements[`name-${this.key}`];
    this.spot = form.elements[`spot-${this.key}`];
    this.corners = form.elements[`corners-${this.key}`];
    this.gone = form.elements[`gone-${this.key}`];
    this.polygon = document.createElementNS(SVG, "polygon");
    this.handles = [];
    this.read();
    this.corners.addEventListener("input", () => {
      this.read();
      draw();
    });
    for (const part of [this.spot, this.gone, this.name]) part?.addEventListener("input", draw);
    field.addEventListener("focusin", () => choose(this));
    field.addEventListener("pointerdown", () => choose(this));
    this.polygon.addEventListener("pointerdown", (event) => this.press(event));
  }

  get isGone() {
    return Boolean(this.gone?.checked);
  }

  read() {
    const lines = this.corners.value.split("\n").map((line) => line.trim().split(/[\s,;]+/).map(Number));
    this.points = lines.filter((p) => p.length === 2 && p.every(Number.isFinite)).map((p) => p.map((v) => inside(v / 100)));
  }

  write() {
    this.corners.value = this.points.map((p) => p.map(percent).join(" ")).join("\n");
    this.show();
  }

  show() {
    this.polygon.setAttribute("points", this.points.map((p) => p.join(",")).join(" "));
    this.polygon.setAttribute("class", `${this.spot.value}${this === chosen ? " chosen" : ""}`);
    if (this !== chosen) return;
    while (this.handles.length > this.points.length) this.handles.pop().remove();
    while (this.handles.length < this.points.length) this.handles.push(this.handle());
    this.points.forEach(([x, y], i) => {
      const handle = this.handles[i];
      handle.style.left = `${x * 100}%`;
      handle.style.top = `${y * 100}%`;
      handle.setAttribute("aria-label", `Corner ${i + 1} of ${this.name.value || "the new zone"}: ${percent(x)} per cent from the left, ${percent(y)} from the top`);
    });
  }

  handle() {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "corner";
    canvas.append(made);
    made.addEventListener("pointerdown", (event) => this.drag(event, this.handles.indexOf(made)));
    made.addEventListener("keydown", (event) => this.key_(event, this.handles.indexOf(made)));
    return made;
  }

  put(i, x, y) {
    this.points[i] = [inside(x), inside(y)];
    this.write();
  }

  key_(event, i) {
    const step = event.shiftKey ? FAR : STEP;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) this.put(i, this.points[i][0] + moves[event.key][0], this.points[i][1] + moves[event.key][1]);
    else if (event.key === "Insert" || event.key === "+") this.addAfter(i);
    else if (event.key === "Delete" || event.key === "Backspace") this.removeAt(i);
    else return;
    event.preventDefault();
  }

  addAfter(i, at = undefined) {
    if (this.points.length >= MOST) return;
    const [a, b] = [this.points[i], this.points[(i + 1) % this.points.length]];
    this.points.splice(i + 1, 0, at ?? [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
    this.write();
    this.handles[i + 1].focus();
  }

  removeAt(i) {
    if (this.points.length <= LEAST) return;
    this.points.splice(i, 1);
    this.write();
    this.handles[Math.min(i, this.points.length - 1)].focus();
  }

  drag(event, i) {
    const handle = this.handles[i];
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => this.put(i, ...placeOf(moved));
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  }

  // A press on a zone chooses it; on an edge of the chosen one it adds a corner there; inside it moves the whole.
  press(event) {
    if (this !== chosen) {
      choose(this);
      return;
    }
    const at = placeOf(event);
    const edge = this.edgeNear(at);
    if (edge >= 0) {
      this.addAfter(edge, at);
      event.preventDefault(); // the new corner keeps the focus
      return;
    }
    const first = this.points.map((p) => [...p]);
    const spans = [0, 1].map((axis) => [Math.min(...first.map((p) => p[axis])), Math.max(...first.map((p) => p[axis]))]);
    const move = (moved) => {
      const now = placeOf(moved);
      const by = [0, 1].map((axis) => Math.min(1 - spans[axis][1], Math.max(-spans[axis][0], now[axis] - at[axis])));
      this.points = first.map((p) => [p[0] + by[0], p[1] + by[1]]);
      this.write();
    };
    this.polygon.setPointerCapture(event.pointerId);
    this.polygon.addEventListener("pointermove", move);
    this.polygon.addEventListener("lostpointercapture", () => this.polygon.removeEventListener("pointermove", move), { once: true });
  }

  edgeNear([x, y]) {
    const { width, height } = canvas.getBoundingClientRect();
    const near = this.points.map((a, i) => {
      const b = this.points[(i + 1) % this.points.length];
      const [dx, dy] = [(b[0] - a[0]) * width, (b[1] - a[1]) * height];
      const [px, py] = [(x - a[0]) * width, (y - a[1]) * height];
      const part = Math.min(1, Math.max(0, (px * dx + py * dy) / (dx * dx + dy * dy || 1)));
      return Math.hypot(px - part * dx, py - part * dy);
    });
    const least = Math.min(...near);
    return least < 8 ? near.indexOf(least) : -1;
  }

  leave() {
    while (this.handles.length) this.handles.pop().remove();
  }
}

function placeOf({ clientX, clientY }) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [inside((clientX - left) / width), inside((clientY - top) / height)];
}

let chosen = null;
const zones = [];

function choose(zone) {
  if (chosen === zone) return;
  chosen?.leave();
  chosen = zone;
  for (const one of zones) one.field.classList.toggle("chosen", one === zone);
  draw();
}

function draw() {
  if (chosen?.isGone) {
    chosen.leave();
    chosen = null;
  }
  const there = zones.filter((z) => !z.isGone && z.points.length);
  svg.replaceChildren(...there.filter((z) => z !== chosen).map((z) => z.polygon), ...(chosen ? [chosen.polygon] : []));
  for (const zone of there) zone.show();
  const full = zones.filter((z) => !z.isGone).length >= most;
  for (const button of form.querySelectorAll("[data-add]")) button.disabled = full;
}

// --- adding: copies of the empty one, which is there for those without scripts ---

const blank = spare?.querySelector("fieldset").cloneNode(true);
spare?.remove();

function unusedKey() {
  let n = 0;
  while (form.elements[`name-n${n}`]) n += 1;
  return `n${n}`;
}

// "Zone 1", "Mask 2": as the server calls those without a name.
function unusedName(spot) {
  const known = new Set(zones.map((z) => z.name.value.trim().toLowerCase()));
  const word = spot === "mask" ? "Mask" : "Zone";
  let n = 1;
  while (known.has(`${word} ${n}`.toLowerCase())) n += 1;
  return `${word} ${n}`;
}

// A square that lies on no other one: the first in the middle, the next ones down and up a diagonal, then the other one.
function unusedPlace() {
  for (let n = 0; ; n += 1) {
    const step = n % (2 * SIDE + 1);
    const by = SHIFT * (step <= SIDE ? step : SIDE - step);
    const points = NEW.map(([x, y]) => [x + by, y + (n > 2 * SIDE ? -by : by)]);
    const near = ([x, y]) => Math.hypot(x - points[0][0], y - points[0][1]) < SHIFT / 2;
    if (n > 4 * SIDE || !zones.some((z) => z.points.length && near(z.points[0]))) return points;
  }
}

function add(spot) {
  const key = unusedKey();
  const made = blank.cloneNode(true);
  made.dataset.zone = key;
  for (const part of made.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
    for (const name of ["name", "id", "for", "aria-describedby"]) {
      const value = part.getAttribute(name);
      if (value?.endsWith("-new")) part.setAttribute(name, value.replace(/new$/, key));
    }
  }
  made.querySelector("[name=zone]").value = key;
  made.querySelector("details").open = false;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button quiet small";
  remove.textContent = "Remove it";
  made.append(remove);
  list.append(made);
  const zone = new Zone(made);
  remove.addEventListener("click", () => {
    zones.splice(zones.indexOf(zone), 1);
    if (chosen === zone) choose(null);
    made.remove();
    draw();
  });
  zone.spot.value = spot;
  zone.points = unusedPlace();
  zone.name.value = unusedName(spot);
  zones.push(zone);
  zone.write();
  choose(zone);
  zone.name.focus();
  zone.name.select(); // typing takes the place of the name that was made up
}

if (blank) {
  form.querySelector("[data-adders]").hidden = false;
  for (const button of form.querySelectorAll("[data-add]")) button.addEventListener("click", () => add(button.dataset.add));
}
form.querySelector("[data-hint]").hidden = false;
for (const field of list.querySelectorAll("fieldset[data-zone]")) zones.push(new Zone(field));
canvas.classList.add("live");
draw();
if (zones.length) choose(zones[0]);
const picture = canvas.querySelector("img");
picture.addEventListener("error", () => canvas.classList.add("bare"));
if (picture.complete && !picture.naturalWidth) canvas.classList.add("bare");
