// SPDX-License-Identifier: Apache-2.0
// A day of recordings by the viewer's own clock: a slider over it, and the video.

import { request } from "./api.js";
import { familyOf, plays } from "./camera_mime.js";
import { Player } from "./camera_player.js";
import { clockOf, dayOf, midnightOf, zoneOf } from "./camera_time.js";

const HOUR = 3_600_000;
const SMALL = 10_000;
const LARGE = 600_000;
const TOGETHER = 2000;
const HEIGHT = 56; // of the slider's picture, as CSS has it

const box = document.querySelector("[data-day]");
const root = `/console/cameras/${box.dataset.camera}`;
const find = (name) => box.querySelector(`[data-${name}]`);

// --- what there is of the day ---

// Puts the times of a day as the server tells it into milliseconds since 1970.
function read(told) {
  return {
    segments: told.segments.map(([start, length, mime]) => ({
      start: told.start + start,
      end: told.start + start + length,
      mime: told.mimes[mime],
    })),
    motions: told.motions.map(([start, length]) => ({ start: told.start + start, end: told.start + start + length })),
    events: told.events,
  };
}

function joined(days, from, to) {
  const all = (name) => {
    const known = new Map(days.flatMap((d) => d[name]).map((one) => [one.start + (one.id ?? ""), one]));
    return [...known.values()].filter((one) => one.end > from && one.start < to).sort((a, b) => a.start - b.start);
  };
  const segments = all("segments");
  return { segments, stretches: stretches(segments), motions: all("motions"), events: all("events") };
}

// What lies so close that nobody would see a hole, as one.
function stretches(spans) {
  const found = [];
  for (const { start, end } of spans) {
    const last = found.at(-1);
    if (last && start <= last.end + TOGETHER) last.end = Math.max(last.end, end);
    else found.push({ start, end });
  }
  return found;
}

// The list of events, which the server can make of its own day alone.
function list(events) {
  const section = find("events");
  if (!events.length) {
    section.querySelector("ol")?.remove();
    find("none").hidden = false;
    return;
  }
  find("none").hidden = true;
  const items = events.map((event) => {
    const item = document.createElement("li");
    const when = document.createElement("a");
    when.href = `${root}/day/${dayOf(event.start)}?at=${event.start}`;
    when.dataset.jump = event.start;
    when.textContent = clockOf(event.start);
    const what = document.createElement("span");
    const who = document.createElement("a");
    who.href = `/console/cameras/events/${event.id}`;
    who.textContent = event.who;
    what.append(who);
    if (event.zone) {
      const zone = document.createElement("span");
      zone.className = "soft";
      zone.textContent = ` in ${event.zone}`;
      what.append(zone);
    }
    item.append(when, what);
    return item;
  });
  section.querySelector("ol").replaceChildren(...items);
}

const utcDay = (ms) => new Date(ms).toISOString().slice(0, 10);

// --- the slider ---

class Scrubber {
  constructor(element, day, from, to) {
    this.element = element;
    this.day = day;
    this.from = from;
    this.to = to;
    this.at = from;
    this.hours = 24;
    element.replaceChildren();
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    element.append(this.canvas);
    const attributes = { role: "slider", tabindex: "0", "aria-label": "Time of day", "aria-valuemin": "0" };
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.setAttribute("aria-valuemax", Math.round((to - from) / 1000));
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("pointerdown", (event) => this.grab(event));
    new ResizeObserver(() => this.draw()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.set(from);
  }

  // What of the day is shown: from, to.
  get shown() {
    const length = Math.min(this.hours * HOUR, this.to - this.from);
    if (this.hours === 24) return [this.from, this.to];
    const begin = Math.min(Math.max(this.at - length / 2, this.from), this.to - length);
    return [begin, begin + length];
  }

  // Where keys lead no further: shortly before the end of what was recorded.
  get last() {
    return (this.day.segments.at(-1)?.end ?? this.to) - 1000;
  }

  set(at) {
    this.at = Math.min(Math.max(at, this.from), this.to - 1);
    const recorded = this.day.segments.some((s) => s.start <= this.at && this.at < s.end);
    this.element.setAttribute("aria-valuenow", Math.round((this.at - this.from) / 1000));
    this.element.setAttribute("aria-valuetext", `${clockOf(this.at)}, ${recorded ? "recorded" : "nothing recorded"}`);
    this.draw();
  }

  choose(at) {
    this.set(at);
    this.onchoose?.(this.at);
  }

  key(event) {
    const steps = { ArrowLeft: -SMALL, ArrowDown: -SMALL, ArrowRight: SMALL, ArrowUp: SMALL, PageDown: -LARGE, PageUp: LARGE };
    const ends = { Home: this.from, End: this.day.segments.at(-1)?.start ?? this.to };
    if (event.key in ends) this.choose(ends[event.key]);
    else if (event.key in steps) this.choose(Math.min(this.at + steps[event.key], Math.max(this.at, this.last)));
    else return;
    event.preventDefault();
  }

  grab(event) {
    const [begin, end] = this.shown; // as it was grabbed: it doesn't move under one's finger
    const place = ({ clientX }) => {
      const { left, width } = this.canvas.getBoundingClientRect();
      return begin + (Math.min(Math.max(clientX - left, 0), width) / width) * (end - begin);
    };
    this.grabbed = [begin, end];
    this.element.setPointerCapture(event.pointerId);
    const move = (moved) => this.set(place(moved));
    const leave = (left) => {
      this.element.removeEventListener("pointermove", move);
      this.grabbed = undefined;
      this.choose(place(left));
    };
    move(event);
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", leave, { once: true });
    this.element.addEventListener("pointercancel", leave, { once: true });
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = HEIGHT * scale;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const [begin, end] = this.grabbed ?? this.shown;
    const x = (ms) => ((ms - begin) / (end - begin)) * width;
    const band = (spans, fill, top, height, least = 1) => {
      pen.fillStyle = fill;
      for (const span of spans) {
        if (span.end < begin || span.start > end) continue;
        pen.fillRect(x(span.start), top, Math.max(least, x(span.end) - x(span.start)), height);
      }
    };
    pen.fillStyle = color("sunk");
    pen.fillRect(0, 12, width, 22);
    band(this.day.stretches, color("band-recorded"), 12, 22);
    band(this.day.motions, color("band-moved"), 22, 12);
    band(this.day.events, color("band-event"), 4, 8, 3);
    this.hoursOn(pen, begin, end, x, width, color);
    pen.fillStyle = color("ink");
    pen.fillRect(x(this.at) - 1, 0, 2, 38);
    pen.beginPath();
    pen.arc(x(this.at), 4, 4, 0, 2 * Math.PI);
    pen.fill();
  }

  hoursOn(pen, begin, end, x, width, color) {
    const room = Math.max(2, Math.floor(width / 64));
    const step = [300_000, 600_000, 900_000, 1_800_000, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR].find((s) => (end - begin) / s <= room) ?? 12 * HOUR;
    pen.fillStyle = color("soft");
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "bottom";
    for (let at = this.from; at <= end; at += step) {
      if (at < begin) continue;
      pen.fillRect(x(at), 34, 1, 5);
      const text = at === this.to ? "24:00" : clockOf(at).slice(0, 5);
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x(at) - half, 0), width - 2 * half), HEIGHT);
    }
  }
}

// --- the page ---

function control(player, scrubber) {
  const says = find("says");
  const clock = find("clock");
  const play = find("play");
  const tell = () => {
    clock.textContent = `${clockOf(player.at)} ${zoneOf(player.at)}`;
    if (!scrubber.grabbed) scrubber.set(player.at);
    play.textContent = player.wanted ? "Pause" : "Play";
  };
  const go = (at, then = true) => {
    const found = player.seek(at);
    if (found === null) says.textContent = "Nothing was recorded after this moment.";
    else if (found - at > 2000) says.textContent = `Nothing was recorded here; on at ${clockOf(found)}.`;
    else says.textContent = "";
    if (found !== null && then) player.play();
    if (found !== null) setTimeout(() => (says.textContent = ""), 3000);
  };
  player.addEventListener("time", tell);
  player.addEventListener("state", tell);
  player.addEventListener("end", () => (says.textContent = "The end of what was recorded on this day."));
  player.addEventListener("problem", ({ detail }) => (says.textContent = detail.message));
  scrubber.onchoose = (at) => go(at);
  play.addEventListener("click", () => (player.wanted ? player.pause() : player.play()));
  for (const button of box.querySelectorAll("[data-skip]")) {
    button.addEventListener("click", () => go(player.at + Number(button.dataset.skip) * 1000, player.wanted));
  }
  for (const link of box.querySelectorAll("[data-jump]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      go(Number(link.dataset.jump));
      box.querySelector(".large").scrollIntoView({ block: "nearest" });
    });
  }
  for (const speed of box.querySelectorAll("[name=speed]")) {
    speed.addEventListener("change", () => player.setSpeed(Number(speed.value)));
  }
  document.addEventListener("keydown", (event) => {
    const own = event.target.closest("a, button, input, select, summary, textarea");
    if (event.key !== " " || own || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault(); // or the page would move
    play.click();
  });
  const full = find("full");
  full.hidden = !document.fullscreenEnabled;
  full.addEventListener("click", () => find("stage").requestFullscreen());
  find("controls").hidden = false;
  const first = Number(box.dataset.at) || player.segments.at(-1).start;
  go(first, Boolean(Number(box.dataset.at)));
}

// The clip: from and to.
function clips(player, day, from, to) {
  const form = find("clip");
  if (!form) return;
  form.hidden = false;
  if (!(form.from.value >= from && form.from.value < to)) [form.from.value, form.to.value] = [day.stretches[0].start, day.stretches[0].end];
  const told = find("clip-told");
  const tell = () => {
    const [from, to] = [form.from, form.to].map((field) => Number(field.value));
    told.textContent = to > from ? `From ${clockOf(from)} to ${clockOf(to)}: ${Math.round((to - from) / 1000)} seconds.` : "It ends before it begins.";
    form.querySelector(".primary").disabled = to <= from;
  };
  for (const [name, field] of [["clip-from", form.from], ["clip-to", form.to]]) {
    find(name).hidden = false;
    find(name).addEventListener("click", () => {
      field.value = Math.round(player.at);
      tell();
    });
  }
  tell();
}

async function begin() {
  const own = box.dataset.date;
  const told = JSON.parse(box.dataset.day);
  const at = Number(box.dataset.at);
  const date = at ? dayOf(at) : own;
  const [from, to] = [midnightOf(date), midnightOf(date, 1)];
  const days = [read(told)];
  for (const name of new Set([utcDay(from), utcDay(to - 1)])) {
    if (name === own || from >= Date.now() + 24 * HOUR) continue;
    try {
      days.push(read(await request(`${root}/day/${name}`)));
    } catch (problem) {
      find("wrong").append(`${problem.message} `);
      find("wrong").hidden = false;
    }
  }
  const day = joined(days, from, to);
  box.querySelector("h2").firstChild.textContent = `${date} `;
  find("zone-name").textContent = zoneOf(from);
  box.querySelector("[name=day]").value = date;
  for (const [rel, later] of [["prev", -1], ["next", 1]]) {
    const link = box.querySelector(`a[rel=${rel}]`);
    if (link) link.href = `${root}/day/${dayOf(midnightOf(date, later))}`;
  }
  list(day.events);
  const scrubber = new Scrubber(find("scrubber"), day, from, to);
  find("zooms").hidden = false;
  find("hint").hidden = false;
  for (const zoom of box.querySelectorAll("[name=zoom]")) {
    zoom.addEventListener("change", () => {
      scrubber.hours = Number(zoom.value);
      scrubber.draw();
    });
  }
  // The server knows its own day alone, which may have no video where the viewer's has some, and the other way round.
  find("film").hidden = !day.segments.length;
  find("empty").hidden = Boolean(day.segments.length);
  if (!day.segments.length) {
    if (find("clip")) find("clip").hidden = true;
    return;
  }
  const video = find("player");
  const played = day.segments.filter((s) => plays(s.mime));
  if (!played.length) {
    find("says").textContent = `This browser can't play ${familyOf(day.segments[0].mime)}, as which this was recorded.`;
    return;
  }
  video.hidden = false;
  video.addEventListener("loadedmetadata", () => {
    box.querySelector(".film").style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  });
  const player = new Player(video, played, (s) => `${root}/segments/${s.start}.mp4`, from);
  control(player, scrubber);
  clips(player, day, from, to);
}

await begin();
