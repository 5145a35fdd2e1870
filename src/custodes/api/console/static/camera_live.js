// SPDX-License-Identifier: Apache-2.0
// Live views: fragments come over a WebSocket and are played at most about a second behind the camera.
//
// A text says what happens (camera, state, init, refused); bytes are what an init announced, or a fragment with nine
// bytes before it: whether it begins with a key picture, and its time. What can't be played is asked for as stills.

import { request } from "./api.js";
import { Source, familyOf, plays } from "./camera_mime.js";
import { clockOf, momentOf } from "./camera_time.js";
import { explained } from "./photo.js";

const SVG = "http://www.w3.org/2000/svg";
const HEAD = 9;
const BEHIND = 1.0; // seconds after which the view jumps to the newest picture
const CATCH_UP = 0.5; // seconds after which it runs a little faster
const NEAR = 0.12; // so near to the end it is put
const KEPT = 8; // seconds of what was played that are kept
const MOST_QUEUED = 200;
const HIDDEN = 30_000;
const AGES = 60_000; // after which a failure has nothing to do with the one before
const RETRY = [1000, 2000, 4000, 8000, 15_000];
const AWAY = 4001;
const GONE = 4004;
const REFUSED = 1008;
// Draws polygons of ratios, which an SVG covers a picture with.
export function drawMasks(svg, masks) {
  svg.replaceChildren(
    ...masks.map((points) => {
      const polygon = document.createElementNS(SVG, "polygon");
      polygon.setAttribute("points", points.map((p) => p.join(",")).join(" "));
      return polygon;
    }),
  );
}

// What plays an endless stream.
class Stream {
  constructor(video, failed) {
    this.video = video;
    this.failed = failed;
    this.queue = [];
    this.buffer = null;
    this.mime = "";
    this.source = new Source();
    this.url = URL.createObjectURL(this.source);
    this.source.addEventListener("sourceopen", () => this.work(), { once: true });
    video.src = this.url;
    this.onerror = () => failed();
    video.addEventListener("error", this.onerror);
  }

  begin(mime, data) {
    this.queue.push({ mime, data });
    this.work();
  }

  add(data, key) {
    if (this.queue.length > MOST_QUEUED && key) this.queue = this.queue.filter((part) => part.mime);
    this.queue.push({ data });
    this.work();
  }

  work() {
    if (this.source.readyState !== "open" || this.buffer?.updating || !this.queue.length) return;
    const part = this.queue[0];
    try {
      if (part.mime && !this.buffer) {
        this.buffer = this.source.addSourceBuffer(part.mime);
        this.buffer.mode = "sequence"; // a camera that comes back, or groups of pictures that were left out, leave no gap
        this.buffer.addEventListener("updateend", () => {
          this.keepUp();
          this.work();
        });
      } else if (part.mime && part.mime !== this.mime) {
        this.buffer.changeType(part.mime);
      }
      this.mime = part.mime || this.mime;
      this.buffer.appendBuffer(part.data);
      this.queue.shift();
    } catch (error) {
      if (error.name === "QuotaExceededError" && this.trim(1)) return;
      this.failed();
    }
  }

  // Stays near the end of what has come.
  keepUp() {
    const { buffered } = this.video;
    if (!buffered.length) return;
    const last = buffered.length - 1;
    const end = buffered.end(last);
    const behind = end - this.video.currentTime;
    if (behind > BEHIND || this.video.currentTime < buffered.start(last)) {
      this.video.currentTime = Math.max(buffered.start(last), end - NEAR);
    }
    this.video.playbackRate = behind > CATCH_UP && behind <= BEHIND ? 1.1 : 1;
    if (this.video.paused) this.video.play().catch(() => {}); // a browser that wants a click first gets it on the picture
    if (this.video.currentTime - buffered.start(0) > 2 * KEPT) this.trim(KEPT);
  }

  // Drops what was played, but the last seconds; false if there is nothing to drop.
  trim(kept) {
    const { buffered, currentTime } = this.video;
    const until = currentTime - kept;
    if (this.buffer.updating || !buffered.length || until <= buffered.start(0)) return false;
    this.buffer.remove(0, until);
    return true;
  }

  // How far behind the newest picture the view is, in seconds.
  get behind() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }

  close() {
    this.video.removeEventListener("error", this.onerror);
    this.queue = [];
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }
}

export class LiveView {
  constructor(box) {
    this.box = box;
    this.id = box.dataset.live;
    this.video = box.querySelector("video");
    this.still = box.querySelector("img.still");
    this.film = box.querySelector(".film");
    this.says = box.querySelector("[data-says]");
    this.stream = null;
    this.socket = null;
    this.mime = null;
    this.tries = 0;
    this.failures = 0;
    this.failedAt = 0;
    this.newest = 0;
    this.told = "";
    this.excuse = "";
    this.ended = false;
    this.video.addEventListener("loadedmetadata", () => this.shape(this.video.videoWidth, this.video.videoHeight));
    this.video.addEventListener("playing", () => this.say(""));
    const link = box.querySelector("h2 a");
    this.film.addEventListener("click", () => (link ? link.click() : this.video.play().catch(() => {})));
  }

  open() {
    if (this.socket || this.ended) return;
    this.say("Connecting …");
    const url = new URL(`/console/cameras/${this.id}/live`, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.socket) return;
      if (typeof data === "string") this.hear(JSON.parse(data));
      else this.receive(data);
    });
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket !== this.socket) return;
      this.over(code);
      if (!opened) this.ask();
    });
    this.socket = socket;
  }

  // A WebSocket that doesn't open says nothing: a page tells whether one is signed out, or the camera is gone.
  async ask() {
    try {
      await request(`/console/cameras/${this.id}`);
    } catch (problem) {
      if (problem.status === 404) this.over(GONE);
    }
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.retry);
    socket?.close();
    this.stop();
    this.hideStill();
  }

  stop() {
    this.stream?.close();
    this.stream = null;
    this.mime = null;
  }

  over(code) {
    this.socket = null;
    this.stop();
    this.hideStill();
    this.badge("warn", "Not connected");
    clearTimeout(this.retry);
    if (code === AWAY) location.reload(); // to the door
    else if (code === GONE || code === REFUSED) {
      this.ended = true;
      this.say(this.told || "This camera isn't here any more.");
    } else {
      this.say(this.told || "The connection is lost. It is tried again …");
      this.retry = setTimeout(() => this.open(), RETRY[Math.min(this.tries, RETRY.length - 1)]);
      this.tries += 1;
    }
    this.told = "";
  }

  hear(told) {
    if (told.type === "camera") {
      this.tries = 0;
      for (const svg of this.box.querySelectorAll("svg.masks")) drawMasks(svg, told.masks);
    } else if (told.type === "state") this.show(told);
    else if (told.type === "init") this.mime = told.mime;
    else if (told.type === "refused") {
      this.told = `${told.message} ${told.remedy}`.trim();
      if (told.rules.length) this.box.querySelector("[data-stage]").replaceWith(explained(told));
    }
  }

  receive(data) {
    if (!this.still.hidden) {
      const [first, second] = new Uint8Array(data, 0, 2);
      if (first === 0xff && second === 0xd8) this.showStill(data); // not what was on its way before
    } else if (this.mime !== null) {
      const { mime } = this;
      this.mime = null;
      this.begin(mime, data);
    } else if (this.stream) {
      const head = new DataView(data, 0, HEAD);
      this.newest = Number(head.getBigUint64(1));
      this.stream.add(new Uint8Array(data, HEAD), head.getUint8(0) === 1);
    }
  }

  begin(mime, data) {
    if (!plays(mime)) {
      this.showStills(mime);
      return;
    }
    this.stream ??= new Stream(this.video, () => this.failed());
    this.stream.begin(mime, data);
  }

  // The browser couldn't play on: once more from the beginning, and pictures one by one if that happens again and again.
  failed() {
    this.failures = Date.now() - this.failedAt > AGES ? 1 : this.failures + 1;
    this.failedAt = Date.now();
    const mime = this.stream?.mime ?? "";
    this.stop();
    if (this.failures > 3) {
      if (this.socket) this.showStills(mime);
      return;
    }
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.retry = setTimeout(() => this.open(), RETRY[1]);
  }

  // --- still pictures, where the browser can't play the video ---

  showStills(mime) {
    if (!this.still.hidden) return;
    this.stop();
    this.still.hidden = false;
    this.film.classList.add("stills");
    this.excuse = `This browser can't play ${familyOf(mime)}: only pictures are shown.`;
    this.say(this.excuse);
    this.socket.send("stills");
  }

  showStill(data) {
    URL.revokeObjectURL(this.still.src);
    this.still.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    this.still.decode().then(() => this.shape(this.still.naturalWidth, this.still.naturalHeight), () => {});
  }

  hideStill() {
    this.still.hidden = true;
    this.film.classList.remove("stills");
  }

  // --- words ---

  shape(width, height) {
    if (width && height) this.film.style.setProperty("--ratio", width / height);
  }

  say(text) {
    this.says.textContent = text;
  }

  show(state) {
    this.shape(state.width, state.height);
    if (state.up && !plays(state.mime)) this.showStills(state.mime);
    this.showState(state);
  }

  // Puts one word in the place of all that was told; returns where that is.
  badge(tone, text) {
    const line = this.box.querySelector("[data-state]");
    const made = document.createElement("span");
    made.className = `badge ${tone}`;
    made.textContent = text;
    line.replaceChildren(made);
    return line;
  }

  showState(state) {
    const line = this.badge(state.up ? "good" : state.since ? "bad" : "warn", state.up ? "Live" : state.since ? "Gone" : "Not there yet");
    if (!state.up) {
      const since = state.since ? `since ${momentOf(state.since).replace("Today ", "")}` : "";
      const soft = document.createElement("span");
      soft.className = "soft";
      soft.textContent = ` ${[since, state.why].filter(Boolean).join(": ")}`;
      line.append(soft);
      this.say(state.why ? `No video: ${state.why}.` : "No video yet.");
    } else if (!this.still.hidden) this.say(this.excuse);
    else this.say(this.video.readyState > 2 ? "" : "Waiting for a picture …");
    const troubles = this.box.querySelector("[data-troubles]");
    troubles.hidden = !state.trouble.length;
    troubles.replaceChildren(
      ...state.trouble.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }),
    );
  }

  tick() {
    const clock = this.box.querySelector("[data-clock]");
    if (!clock || !this.newest || !this.stream) return;
    clock.hidden = false;
    clock.textContent = clockOf(this.newest - this.stream.behind * 1000);
  }
}

const views = [...document.querySelectorAll("[data-live]")].map((box) => new LiveView(box));
for (const view of views) view.open();
setInterval(() => views.forEach((view) => view.tick()), 250);

// Nobody looks at a page that is hidden for a while.
let hidden;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => views.forEach((view) => view.close()), HIDDEN);
  else views.forEach((view) => view.socket || view.open());
});
addEventListener("pagehide", () => views.forEach((view) => view.close()));
addEventListener("pageshow", (event) => event.persisted && views.forEach((view) => view.open()));

for (const button of document.querySelectorAll("[data-full]")) {
  const stage = document.querySelector("[data-stage]");
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener("click", () => stage.requestFullscreen());
}
