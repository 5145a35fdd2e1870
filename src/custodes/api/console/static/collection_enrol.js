// SPDX-License-Identifier: Apache-2.0
// Enrols photos one after the other, two at a time, and shows what became of each.

import { request } from "./api.js";
import { explained, figureOf, unfit } from "./photo.js";

const AT_ONCE = 2;
const TRIES = 6;
const PAUSE = 2000;

const form = document.querySelector("[data-enrol]");
const section = document.querySelector("[data-progress]");
const list = section.querySelector("[data-photos]");
const bar = section.querySelector("[data-bar]");
const said = section.querySelector("[data-said]");
const counted = section.querySelector("[data-count]");
const stop = section.querySelector("[data-stop]");
const input = form.querySelector("input[type=file]");
const most = Number(form.dataset.most);

let running = false;
let stopped = false;
let total = { photos: 0, done: 0, faces: 0, failed: 0 };

const faces = (count) => (count === 1 ? "1 face" : `${count} faces`);

function line(item, className, text) {
  const p = document.createElement("p");
  p.className = className;
  p.textContent = text;
  item.append(p);
  return p;
}

async function add(file) {
  const item = document.createElement("li");
  list.append(item);
  const figure = await figureOf(file, 360);
  item.append(figure);
  line(item, "file", file.name);
  return { file, item, figure, state: line(item, "state", "waits") };
}

function tell(photo, kind, text) {
  photo.state.className = `state ${kind}`;
  photo.state.textContent = text;
}

function count() {
  bar.max = total.photos || 1;
  bar.value = total.done;
  counted.textContent = `${total.done} / ${total.photos}`;
}

async function send(photo, fields) {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  body.append("photos", photo.file, photo.file.name);
  for (let tries = 1; ; tries += 1) {
    try {
      return await request(`${form.dataset.root}/enrol`, { method: "POST", body });
    } catch (problem) {
      if (problem.status !== 429 || tries >= TRIES) throw problem;
      tell(photo, "", "the server is busy; waits");
      await new Promise((resolve) => setTimeout(resolve, PAUSE * tries));
    }
  }
}

async function enrol(photo, fields) {
  const wrong = unfit(photo.file, most);
  if (wrong) {
    tell(photo, "failed", wrong);
    total.failed += 1;
    return;
  }
  tell(photo, "", "is looked at");
  try {
    const done = await send(photo, fields);
    photo.figure.mark(done.width, done.height, [
      ...done.enrolled.map(({ box }) => ({ box, kind: "good" })),
      ...done.skipped.map(({ box }) => ({ box, kind: "over" })),
    ]);
    total.faces += done.enrolled.length;
    const over = done.skipped.map((s) => s.why).join("; ");
    const kind = done.enrolled.length ? (over ? "part" : "done") : "failed";
    const found = done.enrolled.length + done.skipped.length;
    tell(photo, kind, found ? `${faces(done.enrolled.length)} enrolled${over ? `; passed over: ${over}` : ""}` : "no face was found");
    const link = document.createElement("a");
    link.href = `/console/ledger/${done.entry}`;
    link.textContent = `entry ${done.entry}`;
    const p = line(photo.item, "file", "");
    p.append(link);
    if (!done.enrolled.length) total.failed += 1;
  } catch (problem) {
    total.failed += 1;
    tell(photo, "failed", problem.rules?.length ? "refused by the rules" : `${problem.message} ${problem.remedy ?? ""}`);
    if (problem.rules?.length) {
      stopped = true; // the next one would be refused as well
      section.querySelector(".notice-rules")?.remove();
      const told = explained(problem);
      told.classList.add("notice-rules");
      list.before(told);
    }
  }
}

async function run(files) {
  running = true;
  stopped = false;
  stop.hidden = false;
  section.hidden = false;
  section.querySelector(".notice-rules")?.remove();
  const fields = [...new FormData(form)].filter(([name]) => name !== "photos");
  list.replaceChildren();
  total = { photos: files.length, done: 0, faces: 0, failed: 0 };
  said.textContent = "Photos are sent one by one";
  count();
  section.scrollIntoView({ block: "nearest" });
  const queue = [...files];
  const work = async () => {
    while (queue.length && !stopped) {
      const photo = await add(queue.shift());
      await enrol(photo, fields);
      total.done += 1;
      count();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const failed = total.failed ? `; ${total.failed} without any` : "";
  const left = queue.length ? `; stopped, ${queue.length} were not sent` : "";
  said.textContent = `${faces(total.faces)} enrolled of ${total.done === 1 ? "1 photo" : `${total.done} photos`}${failed}${left}.`;
  stop.hidden = true;
  running = false;
  input.value = "";
  input.dispatchEvent(new Event("change"));
}

stop.addEventListener("click", () => {
  stopped = true;
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation(); // the page stays: the form may be sent again
  if (!running && input.files.length) run([...input.files]);
});
