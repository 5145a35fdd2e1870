// SPDX-License-Identifier: Apache-2.0
// Waits for a preview that is being made, and shows it. Whatever is asked for here leaves no trace on the server.

import { Problem, request } from "./api.js";

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

for (const box of document.querySelectorAll("[data-preview][data-state=working]")) follow(box);
