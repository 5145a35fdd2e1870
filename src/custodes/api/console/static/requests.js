// SPDX-License-Identifier: Apache-2.0
// Waits for a preview that is being made, and shows it; times of forms are typed by the viewer's own clock. Whatever is
// asked for here leaves no trace on the server.

import { Problem, request } from "./api.js";
import { clockOf, dayOf, zoneOf } from "./camera_time.js";

const WAIT = 700;

async function follow(box) {
  const path = box.dataset.preview;
  const [wait, still, bar, clip, failed] = ["wait", "still", "progress", "clip", "failed"].map((n) => box.querySelector(`[data-${n}]`));
  for (;;) {
    let told;
    try {
      told = await request(path);
    } catch (error) {
      told = { state: "failed", message: error instanceof Problem ? error.message : "The server doesn't answer.", remedy: "Load the page again." };
    }
    if (told.state === "working") {
      bar.value = told.done;
      if (told.still) {
        still.src = `${path}/still.jpg?${told.done}`;
        still.hidden = false;
      }
      await new Promise((done) => setTimeout(done, WAIT));
      continue;
    }
    wait.hidden = true;
    if (told.state === "ready") {
      clip.src = `${path}/clip.mp4`;
      clip.hidden = false;
      document.querySelector("[data-ready]").hidden = false;
    } else {
      failed.textContent = `${told.message} ${told.remedy}`;
      failed.hidden = false;
    }
    box.dataset.state = told.state;
    return;
  }
}

// A time of a form: shown and typed as the viewer's clock has it, and sent in UTC.
function own(field) {
  const told = field.parentElement.querySelector("[data-of-zone]");
  const sent = document.createElement("input");
  sent.type = "hidden";
  sent.name = field.name;
  field.removeAttribute("name");
  field.after(sent);
  const tell = (ms) => {
    sent.value = Number.isNaN(ms) ? "" : new Date(ms).toISOString();
    told.textContent = `(${zoneOf(Number.isNaN(ms) ? Date.now() : ms)})`;
  };
  const at = field.dataset.utc ? Number(field.dataset.utc) : NaN;
  field.value = Number.isNaN(at) ? "" : `${dayOf(at)}T${clockOf(at)}`;
  tell(at);
  field.addEventListener("input", () => tell(Date.parse(field.value)));
}

for (const field of document.querySelectorAll("input[data-utc]")) own(field);
for (const box of document.querySelectorAll("[data-preview][data-state=working]")) follow(box);
