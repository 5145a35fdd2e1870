// SPDX-License-Identifier: Apache-2.0
// Plays recorded segments one after the other as one video whose time is that of the day; what lies between two of
// them is skipped. One segment is fetched at a time, some ahead; what was played is dropped.

import { Source } from "./camera_mime.js";

const AHEAD = 20; // seconds of video that are fetched ahead, at once the speed
const KEPT = 20; // seconds that are kept behind
const EDGE = 0.06; // so near to the end of what was fetched is at its end
const CLOSE = 1.0; // and so near, where the last picture stands still
const LONG = 3_600_000; // no segment is longer

export class Player extends EventTarget {
  // segments: { start, end, mime }, by start; url(segment): where one is fetched; origin: when the video's time is 0.
  // Tells "time", "state", and "problem" (detail: an Error).
  constructor(video, segments, url, origin) {
    super();
    this.video = video;
    this.segments = segments;
    this.url = url;
    this.origin = origin;
    this.next = 0; // the segment that is fetched next
    this.missing = new Set();
    this.wanted = false; // whether it is to play
    this.speed = 1;
    this.work = Promise.resolve();
    this.generation = 0;
    this.source = new Source();
    this.opened = new Promise((resolve) => {
      this.source.addEventListener("sourceopen", resolve, { once: true });
    });
    video.src = URL.createObjectURL(this.source);
    for (const name of ["timeupdate", "waiting", "stalled", "seeked"]) video.addEventListener(name, () => this.look());
    for (const name of ["play", "pause", "playing", "waiting"]) video.addEventListener(name, () => this.tell("state"));
    video.addEventListener("error", () => this.fail(new Error("The video can't be played.")));
    this.timer = setInterval(() => this.look(), 250);
  }

  get at() {
    return this.origin + this.video.currentTime * 1000;
  }

  seconds(ms) {
    return (ms - this.origin) / 1000;
  }

  tell(name, detail = undefined) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // The segment of a moment, or the next one; -1 if there is none.
  indexAt(ms) {
    return this.segments.findIndex((s) => s.end > ms && !this.missing.has(s.start));
  }

  // Goes to a moment, or to the next one with video; returns where that is, or null if there is none.
  seek(ms) {
    const index = this.indexAt(ms);
    if (index < 0) return null;
    const at = Math.max(ms, this.segments[index].start);
    const time = this.seconds(at) + (at === this.segments[index].start ? EDGE : 0);
    if (!this.isThere(time)) {
      this.generation += 1;
      this.next = index;
      this.abort?.abort(); // what isn't wanted any more
      this.later(async () => {
        if (this.buffer?.buffered.length) await this.change(() => this.buffer.remove(0, Infinity));
      });
    }
    this.opened.then(() => {
      this.video.currentTime = time;
      this.tell("time");
      this.look();
    });
    return at;
  }

  play() {
    this.wanted = true;
    this.video.playbackRate = this.speed;
    this.video.play().catch(() => {});
    this.look();
  }

  pause() {
    this.wanted = false;
    this.video.pause();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.video.defaultPlaybackRate = speed;
    this.video.playbackRate = speed;
    this.look();
  }

  isThere(time) {
    const { buffered } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) - 0.001 <= time && time < buffered.end(i)) return true;
    }
    return false;
  }

  // Until when there is video without a hole from where it plays.
  get until() {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) - 0.001 <= currentTime && currentTime <= buffered.end(i)) return buffered.end(i);
    }
    return currentTime;
  }

  look() {
    if (this.source.readyState !== "open") return;
    if (!this.video.seeking) {
      this.tell("time");
      this.jump();
    }
    if (this.busy || this.next >= this.segments.length) return;
    const ahead = this.fetched - this.video.currentTime;
    if (ahead < AHEAD * this.speed) this.fetchNext();
  }

  get fetched() {
    const { buffered } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) : this.video.currentTime;
  }

  // Over a hole: to the next video that was fetched, or that there is.
  jump() {
    const left = this.until - this.video.currentTime;
    if (!this.wanted || left > (this.video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA ? EDGE : CLOSE)) return;
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) > currentTime) {
        this.video.currentTime = buffered.start(i) + 0.001;
        return;
      }
    }
    if (this.next >= this.segments.length && !this.busy) {
      this.pause(); // the end
      this.tell("end");
    }
  }

  fetchNext() {
    const segment = this.segments[this.next];
    const { generation } = this;
    this.next += 1;
    this.busy = true;
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.later(async () => {
      try {
        if (generation !== this.generation) return;
        const answer = await fetch(this.url(segment), { credentials: "same-origin", signal });
        if (answer.status === 401) location.reload();
        if (answer.status === 404) this.missing.add(segment.start);
        else if (!answer.ok) throw new Error("The server doesn't hand this video out.");
        else await this.append(segment, await answer.arrayBuffer(), generation);
      } finally {
        this.busy = false;
      }
    });
  }

  async append(segment, data, generation) {
    await this.opened;
    if (generation !== this.generation) return;
    if (!this.buffer) {
      this.buffer = this.source.addSourceBuffer(segment.mime);
      this.buffer.mode = "sequence"; // a file's own times don't matter: its first picture is put where it belongs
      this.source.duration = this.seconds(this.segments.at(-1).end) + LONG / 1000;
    } else if (segment.mime !== this.mime) this.buffer.changeType(segment.mime);
    this.mime = segment.mime;
    await this.trim();
    this.buffer.timestampOffset = this.seconds(segment.start);
    await this.change(() => this.buffer.appendBuffer(data));
    this.look();
    if (this.wanted && this.video.paused) this.play();
  }

  async trim() {
    const until = this.video.currentTime - KEPT;
    const { buffered } = this.buffer;
    if (buffered.length && buffered.start(0) < until) await this.change(() => this.buffer.remove(0, until));
  }

  // Does something to the buffer, and waits until it is done.
  change(act) {
    return new Promise((resolve, reject) => {
      const { buffer } = this;
      buffer.addEventListener("updateend", resolve, { once: true });
      buffer.addEventListener("error", () => reject(new Error("This video can't be read.")), { once: true });
      try {
        act();
      } catch (error) {
        reject(error);
      }
    });
  }

  // One after the other; what goes wrong is told, and the next is done all the same.
  later(act) {
    this.work = this.work.then(act).catch((error) => this.fail(error));
    this.work.then(() => this.look());
  }

  fail(error) {
    if (error.name !== "AbortError") this.tell("problem", error);
  }
}
