// SPDX-License-Identifier: Apache-2.0
// Pages of cases: how pictures are shown, adding photos one by one, progress. It only adds to what works without.

import { request } from "./api.js";

const root = document.documentElement;
const sensitive = Boolean(document.querySelector(".case[data-sensitive]"));

// The tab of this page, where tabs don't fit.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 24;
}

// --- how pictures are shown ---

const isOn = (name) => (root.dataset[name] ?? (name === "grey" && sensitive ? "on" : "off")) === "on";

for (const tools of document.querySelectorAll("[data-calm]")) {
  tools.hidden = false;
  for (const button of tools.querySelectorAll("[data-calm-set]")) {
    const name = button.dataset.calmSet;
    const tell = () => button.setAttribute("aria-pressed", String(isOn(name)));
    tell();
    button.addEventListener("click", () => {
      root.dataset[name] = isOn(name) ? "off" : "on";
      try {
        localStorage.setItem(`custodes-${name}`, root.dataset[name]);
      } catch {
        // No storage: it holds for this page.
      }
      tell();
    });
  }
}

for (const button of document.querySelectorAll("[data-boxes-toggle]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const off = document.querySelector("[data-whole]").classList.toggle("no-boxes");
    button.setAttribute("aria-pressed", String(!off));
  });
}

// --- times of this computer's zone ---

for (const form of document.querySelectorAll("form[data-local-time]")) {
  const field = form.querySelector("input[type=datetime-local]");
  const help = form.querySelector(`#${field.getAttribute("aria-describedby")?.split(" ")[0]}`);
  if (help) help.textContent = `In the time of this computer (${Intl.DateTimeFormat().resolvedOptions().timeZone}).`;
  form.addEventListener("submit", () => {
    const at = new Date(field.value);
    form.elements.offset.value = Number.isNaN(at.getTime()) ? "0" : String(at.getTimezoneOffset());
  });
}

// --- candidates ---

for (const button of document.querySelectorAll("[data-tick-all]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const boxes = [...document.querySelectorAll("input[name=candidates]")];
    const all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
    button.textContent = all ? "Tick all on this page" : "Untick all";
  });
}

// --- a run that goes on ---

for (const card of document.querySelectorAll("[data-run]")) {
  const bar = card.querySelector("progress");
  const text = card.querySelector(".progress-head span:last-child");
  const look = async () => {
    try {
      const told = await request(card.dataset.run);
      if (told.state !== "running") {
        location.reload();
        return;
      }
      if (bar && told.of) {
        bar.max = told.of;
        bar.value = told.made;
        text.textContent = `${told.made} / ${told.of}`;
      }
    } catch {
      // The next look may do better.
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 1500);
}

// --- adding photos: each file on its own, so that one that fails doesn't stop the others ---

const HEAD = 500 * 1024;

async function dateOf(file, path) {
  try {
    const told = await request(`${path}/photos/date`, {
      method: "POST",
      body: file.slice(0, HEAD),
      headers: { "Content-Type": "application/octet-stream" },
    });
    return told.taken ?? "";
  } catch {
    return "";
  }
}

function setUp(form) {
  const path = form.dataset.case;
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector("[data-list]");
  const said = form.querySelector("[data-said]");
  const template = document.querySelector("template[data-card]");
  const button = form.querySelector("button.primary");
  const cards = [];
  form.querySelector("[data-one-date]").remove();
  form.querySelector("[data-previews]")?.remove();
  input.required = false;

  const count = () => {
    const waiting = cards.filter((card) => !card.kept).length;
    list.hidden = !cards.length;
    button.textContent = waiting > 1 ? `Keep ${waiting} photos` : "Keep the photo";
  };

  const add = async (file) => {
    const node = template.content.firstElementChild.cloneNode(true);
    const card = { file, node, kept: false };
    const picture = node.querySelector("img");
    picture.addEventListener("error", () => picture.removeAttribute("src"));
    if (file.type.startsWith("image/")) picture.src = URL.createObjectURL(file);
    node.querySelector(".upload-name").textContent = file.name;
    node.querySelector("[data-drop-file]").addEventListener("click", () => {
      URL.revokeObjectURL(picture.src);
      node.remove();
      cards.splice(cards.indexOf(card), 1);
      count();
    });
    cards.push(card);
    list.append(node);
    count();
    const date = node.querySelector("[data-of=taken_at]");
    const told = node.querySelector(".upload-date");
    const taken = await dateOf(file, path);
    if (taken && !date.value) {
      date.value = taken;
      told.textContent = `Taken ${taken}, as the file says. If that is the day of a scan, change it.`;
    } else if (!taken) {
      told.textContent = "The file says no date. Add one, if it is known: age gaps count on it.";
    }
  };

  const take = () => {
    for (const file of input.files) add(file);
    input.value = "";
  };
  input.addEventListener("change", take);
  form.querySelector("[data-drop]").addEventListener("drop", () => setTimeout(take));

  const send = async (card) => {
    const body = new FormData();
    for (const name of ["role", "provenance", "basis", "source"]) body.append(name, form.elements[name].value);
    if (form.elements.sensitive.checked) body.append("sensitive", "yes");
    for (const field of card.node.querySelectorAll("[data-of]")) {
      if (field.value || field.dataset.of === "taken_at") body.set(field.dataset.of, field.value);
    }
    body.append("dates", "typed");
    body.append("photos", card.file);
    const state = card.node.querySelector(".upload-state");
    card.node.classList.remove("failed");
    state.textContent = "Being looked at …";
    try {
      const [told] = await request(`${path}/photos`, { method: "POST", body });
      card.kept = true;
      card.node.classList.add("kept");
      card.node.classList.toggle("poor", told.advice.length > 0);
      const link = document.createElement("a");
      link.href = told.page;
      link.textContent = `Kept: ${told.faces} ${told.faces === 1 ? "face" : "faces"}.`;
      state.replaceChildren(link, told.advice.length ? ` But it is poor to search with. ${told.advice.join(" ")}` : "");
      card.node.querySelector("details").remove();
      card.node.querySelector("[data-drop-file]").remove();
      return told.advice.length === 0;
    } catch (problem) {
      card.node.classList.add("failed");
      const rules = (problem.rules ?? []).map((rule) => `${rule.explain} ${rule.remedy}`).join(" ");
      state.textContent = `Not kept. ${rules || `${problem.message} ${problem.remedy ?? ""}`}`;
      return false;
    }
  };

  form.addEventListener(
    "submit",
    async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      const waiting = cards.filter((card) => !card.kept);
      if (!waiting.length) {
        said.textContent = cards.length ? "All of these are kept already." : "Choose one or more photos first.";
        return;
      }
      button.setAttribute("aria-disabled", "true");
      let good = true;
      for (const [number, card] of waiting.entries()) {
        said.textContent = `${number + 1} of ${waiting.length} …`;
        good = (await send(card)) && good;
      }
      button.removeAttribute("aria-disabled");
      count();
      if (good) {
        location.assign(`${path}/photos?show=${form.elements.role.value}`);
        return;
      }
      const kept = cards.filter((card) => card.kept).length;
      said.textContent = `${kept} of ${cards.length} kept. See what is said of each.`;
    },
    true,
  );
  count();
}

for (const form of document.querySelectorAll("form[data-photos]")) setUp(form);

// --- imports that go on ---

function showImport(card, told) {
  const bar = card.querySelector("progress");
  if (bar) {
    const all = told.total ?? told.done;
    bar.max = all || 1;
    bar.value = told.done;
    card.querySelector(".progress-head span:last-child").textContent = `${told.done} / ${all}`;
  }
  for (const [name, count] of Object.entries(told.counts)) {
    const place = card.querySelector(`[data-count="${name}"]`);
    if (!place) continue;
    place.querySelector("strong").textContent = count;
    place.hidden = !count && name !== "imported";
  }
}

const isGoing = (card) => ["waiting", "running"].includes(card.dataset.state);

for (const box of document.querySelectorAll("[data-imports]")) {
  const cards = box.matches("[data-import]") ? [box] : [...box.querySelectorAll("[data-import]")];
  const look = async () => {
    try {
      const answer = await request(box.dataset.imports);
      for (const told of [answer].flat()) {
        const card = cards.find((one) => one.dataset.import === told.id);
        if (!card) continue;
        showImport(card, told);
        if (told.state !== card.dataset.state && !(isGoing(card) && ["waiting", "running"].includes(told.state))) {
          location.reload();
          return;
        }
      }
    } catch {
      // The next look may do better.
    }
    setTimeout(look, 2000);
  };
  if (cards.some(isGoing)) setTimeout(look, 1500);
}

// --- downloads: the page stays, and its forms can be sent again ---

for (const form of document.querySelectorAll("form[data-again]")) {
  form.addEventListener("submit", () => {
    setTimeout(() => {
      delete form.dataset.sent;
      form.querySelectorAll("[aria-disabled]").forEach((button) => button.removeAttribute("aria-disabled"));
    }, 3000);
  });
}
