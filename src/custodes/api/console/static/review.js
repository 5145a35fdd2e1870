// SPDX-License-Identifier: Apache-2.0
// The side-by-side viewer: zoom, place, turn, levels of two pictures, together or one at a time; and the keys of the review.

const viewer = document.querySelector("[data-viewer]");
const panes = [...viewer.querySelectorAll("[data-pane]")];
const tools = viewer.querySelector("[data-tools]");
const tool = (name) => tools.querySelector(`[data-tool="${name}"]`);
const form = document.querySelector("[data-answer]");
const GREY = "custodes-grey"; // a wellbeing setting of this browser: sensitive pictures come grey, as in cases_calm.js

function keptGrey() {
  try {
    return localStorage.getItem(GREY);
  } catch {
    return null; // no storage: the page's own default holds
  }
}

function keepGrey(chosen) {
  try {
    localStorage.setItem(GREY, chosen);
  } catch {
    // No storage: it holds for this page.
  }
}

const fresh = () => ({ zoom: 1, x: 0, y: 0, turn: 0, brightness: 1, contrast: 1, grey: false, invert: false });
const looks = panes.map(fresh);
let current = 0;

const linked = () => tool("link").checked;
const chosen = () => (linked() ? looks.map((_, i) => i) : [current]);

function draw() {
  panes.forEach((pane, i) => {
    const look = looks[i];
    const image = pane.querySelector("img");
    image.style.transform = `translate(${look.x}%, ${look.y}%) scale(${look.zoom}) rotate(${look.turn}deg)`;
    image.style.filter = `brightness(${look.brightness}) contrast(${look.contrast}) grayscale(${look.grey ? 1 : 0}) invert(${look.invert ? 1 : 0})`;
    pane.classList.toggle("current", i === current);
  });
  const shown = looks[current];
  for (const name of ["zoom", "turn", "brightness", "contrast"]) tool(name).value = shown[name];
  for (const name of ["grey", "invert"]) tool(name).checked = shown[name];
}

const within = (value, least, most) => Math.min(most, Math.max(least, value));

function set(name, value) {
  for (const i of chosen()) looks[i][name] = value;
  draw();
}

function step(name, by, least, most) {
  for (const i of chosen()) looks[i][name] = within(looks[i][name] + by, least, most);
  draw();
}

function move(x, y) {
  for (const i of chosen()) {
    looks[i].x = within(looks[i].x + x, -400, 400);
    looks[i].y = within(looks[i].y + y, -400, 400);
  }
  draw();
}

function reset() {
  for (const i of chosen()) looks[i] = { ...fresh(), grey: looks[i].grey };
  draw();
}

function whole(on) {
  for (const pane of panes) {
    const image = pane.querySelector("img");
    image.dataset.face ??= image.getAttribute("src");
    image.src = on ? image.dataset.full : image.dataset.face;
  }
}

for (const name of ["zoom", "turn", "brightness", "contrast"]) tool(name).addEventListener("input", (e) => set(name, Number(e.target.value)));
tool("grey").addEventListener("change", (e) => { set("grey", e.target.checked); keepGrey(e.target.checked ? "on" : "off"); });
tool("invert").addEventListener("change", (e) => set("invert", e.target.checked));
tool("whole")?.addEventListener("change", (e) => whole(e.target.checked));
tool("reset").addEventListener("click", reset);

panes.forEach((pane, i) => {
  const stage = pane.querySelector(".stage");
  pane.addEventListener("focusin", () => { current = i; draw(); });
  stage.addEventListener("wheel", (e) => {
    e.preventDefault();
    current = i;
    step("zoom", e.deltaY < 0 ? 0.2 : -0.2, 1, 8);
  }, { passive: false });
  stage.addEventListener("pointerdown", (e) => {
    e.preventDefault();
    pane.focus();
    stage.setPointerCapture(e.pointerId);
    stage.classList.add("dragging");
    const size = stage.getBoundingClientRect().width;
    let [x, y] = [e.clientX, e.clientY];
    const drag = (m) => { move(((m.clientX - x) / size) * 100, ((m.clientY - y) / size) * 100); [x, y] = [m.clientX, m.clientY]; };
    const drop = () => { stage.classList.remove("dragging"); stage.removeEventListener("pointermove", drag); };
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", drop, { once: true });
    stage.addEventListener("pointercancel", drop, { once: true });
  });
});

const KEYS = {
  "+": () => step("zoom", 0.25, 1, 8),
  "=": () => step("zoom", 0.25, 1, 8),
  "-": () => step("zoom", -0.25, 1, 8),
  "[": () => step("turn", -2, -180, 180),
  "]": () => step("turn", 2, -180, 180),
  b: () => step("brightness", 0.1, 0.2, 3),
  B: () => step("brightness", -0.1, 0.2, 3),
  c: () => step("contrast", 0.1, 0.2, 3),
  C: () => step("contrast", -0.1, 0.2, 3),
  g: () => tool("grey").click(),
  i: () => tool("invert").click(),
  w: () => tool("whole")?.click(),
  l: () => tool("link").click(),
  f: () => { const list = document.querySelector(".checklist"); list.open = !list.open; },
  0: reset,
};
const ARROWS = { ArrowLeft: [-3, 0], ArrowRight: [3, 0], ArrowUp: [0, -3], ArrowDown: [0, 3] };

document.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); form.requestSubmit(); return; }
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.closest("textarea, select, input:not([type=checkbox]):not([type=radio])")) return;
  const key = form.querySelector(`[data-key="${e.key}"]`);
  if (key) { key.checked = true; key.focus(); return; }
  if (ARROWS[e.key] && e.target.closest("[data-pane]")) { e.preventDefault(); move(...ARROWS[e.key]); return; }
  const act = KEYS[e.key];
  if (act) { e.preventDefault(); act(); }
});

if ((keptGrey() ?? (viewer.hasAttribute("data-sensitive") ? "on" : "off")) === "on") for (const look of looks) look.grey = true;
tools.hidden = false;
draw();
