// SPDX-License-Identifier: Apache-2.0
// The dashboard's figures, asked for again while somebody looks. It can be paused; it pauses by itself when the page is
// hidden, and when nobody has moved for a while, so that an open page doesn't keep a session alive for ever.

import { request } from "./api.js";

const EVERY = 5000;
const COUNTING = 150;
const NOBODY = 10 * 60 * 1000;

const box = document.querySelector("[data-live-box]");
const told = box.querySelector("[data-live-at]");
const button = box.querySelector("[data-live-pause]");
const chart = document.querySelector("[data-live-chart]");

let paused = false;
let timer = 0;
let lastSeen = Date.now();

function say(text, state = "") {
  box.className = `live ${state}`;
  told.textContent = text;
}

function show(data) {
  for (const [key, text] of Object.entries(data.values)) {
    for (const place of document.querySelectorAll(`[data-live="${CSS.escape(key)}"]`)) {
      if (place.textContent !== text) place.textContent = text;
    }
  }
  for (const [key, tone] of Object.entries(data.tones)) {
    const place = document.querySelector(`[data-tone="${CSS.escape(key)}"]`);
    if (place) place.className = tone ? `stat tone-${tone}` : "stat";
  }
  for (const [key, made] of Object.entries(data.meters)) {
    const meter = document.querySelector(`[data-meter="${CSS.escape(key)}"]`);
    if (meter) meter.value = made;
  }
  document.querySelector("[data-live-most]").textContent = data.most;
  document.querySelector("[data-live-counting]").hidden = data.counted;
  if (chart.dataset.last !== data.chart) {
    chart.dataset.last = data.chart;
    chart.innerHTML = data.chart; // the server's own: numbers and dates
  }
}

async function look() {
  if (Date.now() - lastSeen > NOBODY) {
    pause(true, "Paused: nobody was here");
    return;
  }
  let wait = EVERY;
  try {
    const data = await request("/console/live");
    if (paused) return;
    show(data);
    say(`Live, ${new Date(data.at).toLocaleTimeString()}`);
    if (!data.counted) wait = COUNTING;
  } catch {
    if (!paused) say("The server doesn't answer", "lost");
  }
  schedule(wait);
}

function schedule(wait) {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(look, wait);
}

function pause(off, text = "Paused") {
  paused = off;
  button.textContent = off ? "Go on" : "Pause";
  if (off) {
    clearTimeout(timer);
    say(text, "off");
  } else {
    lastSeen = Date.now();
    say("Live");
    schedule(0);
  }
}

button.addEventListener("click", () => pause(!paused));
for (const sign of ["pointermove", "keydown", "scroll"]) {
  addEventListener(sign, () => (lastSeen = Date.now()), { passive: true });
}
document.addEventListener("visibilitychange", () => schedule(0));
box.hidden = false;
say("Live");
schedule(EVERY);
