// SPDX-License-Identifier: Apache-2.0
// Search by a photo: its faces are found and drawn on it, one is chosen, and candidates are shown beside it.

import { request } from "./api.js";
import { explained, figureOf, unfit } from "./photo.js";

const form = document.querySelector("[data-search]");
const root = form.dataset.root;
const input = form.querySelector("input[type=file]");
const picture = form.querySelector("[data-picture]");
const choice = form.querySelector("[data-faces]");
const slider = form.querySelector("[data-slider]");
const number = form.querySelector("input[name=threshold]");
const result = document.querySelector("[data-result]");
const said = result.querySelector("[data-said]");
const table = result.querySelector("[data-table]");
const rows = result.querySelector("[data-rows]");
const entry = result.querySelector("[data-entry]");
const refused = result.querySelector("[data-refused]");

slider.hidden = false;
slider.value = number.value;
slider.addEventListener("input", () => (number.value = slider.value));
number.addEventListener("input", () => (slider.value = number.value));

let looked = 0;
let busy = false;
let faces = [];
let figure;
let size = [0, 0];

const chosen = () => Number(choice.querySelector("input:checked")?.value ?? 1);

function fields() {
  const body = new FormData(form);
  body.set("face", chosen());
  return body;
}

function draw() {
  const picked = chosen();
  const boxes = faces.map((box, at) => ({
    box,
    text: faces.length > 1 ? at + 1 : "",
    kind: at + 1 === picked ? "pick chosen" : "pick",
    onpick: () => {
      choice.querySelectorAll("input")[at].checked = true;
      draw();
    },
  }));
  figure.mark(...size, boxes);
}

function offer() {
  const legend = choice.querySelector("legend");
  const options = faces.map((_, at) => {
    const label = document.createElement("label");
    label.className = "choice";
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "face";
    radio.value = at + 1;
    radio.checked = at === 0;
    radio.addEventListener("change", draw);
    const text = document.createElement("span");
    text.textContent = at === 0 ? "Face 1, the largest" : `Face ${at + 1}`;
    label.append(radio, text);
    return label;
  });
  choice.replaceChildren(legend, ...options);
  choice.hidden = faces.length < 2;
}

function message(text) {
  const p = document.createElement("p");
  p.className = "help";
  p.setAttribute("role", "status");
  p.textContent = text;
  picture.querySelector(".help")?.remove();
  picture.append(p);
}

async function look() {
  const [file] = input.files;
  const turn = (looked += 1);
  faces = [];
  choice.hidden = true;
  picture.replaceChildren();
  picture.hidden = !file;
  form.querySelector("[data-previews]").hidden = true; // the picture below is larger
  if (!file) return;
  const wrong = unfit(file, Number(form.dataset.most));
  if (wrong) {
    message(wrong);
    return;
  }
  const made = await figureOf(file, 900);
  if (turn !== looked) return;
  figure = made;
  picture.append(figure);
  message("Faces are looked for …");
  try {
    const body = new FormData(form);
    const found = await request(`${root}/search/faces`, { method: "POST", body });
    if (turn !== looked) return;
    faces = found.faces;
    size = [found.width, found.height];
    offer();
    draw();
    message(faces.length ? (faces.length === 1 ? "One face was found." : `${faces.length} faces were found. Choose one, here or on the picture.`) : "No face was found in this photo.");
  } catch (problem) {
    if (turn !== looked) return;
    picture.querySelector(".help")?.remove();
    picture.append(explained(problem));
  }
}

function cell(row, label, content, className = "") {
  const td = document.createElement("td");
  td.dataset.label = label;
  td.className = className;
  td.append(content);
  row.append(td);
}

function show(found) {
  const count = found.candidates.length;
  said.textContent = `${count === 1 ? "1 candidate" : `${count} candidates`} of a similarity of ${found.threshold} or more.`;
  rows.replaceChildren(
    ...found.candidates.map((c) => {
      const row = document.createElement("tr");
      cell(row, "Similarity", `${c.similarity.toFixed(2)} %`, "numeric");
      cell(row, "Label", c.label || "–", "breaks");
      cell(row, "User", c.user || "–", "breaks");
      const link = document.createElement("a");
      link.href = `${root}?face=${encodeURIComponent(c.id)}`;
      const code = document.createElement("code");
      code.className = "id";
      code.textContent = c.id;
      link.append(code);
      cell(row, "Face", link);
      return row;
    }),
  );
  table.hidden = !count;
  entry.hidden = false;
  entry.querySelector("a").href = `/console/ledger/${found.entry}`;
  entry.querySelector("a span").textContent = found.entry;
  result.querySelector(".outline")?.remove();
}

async function search() {
  busy = true;
  result.hidden = false;
  refused.replaceChildren();
  rows.replaceChildren();
  table.hidden = true;
  entry.hidden = true;
  said.textContent = "The collection is searched …";
  try {
    show(await request(`${root}/search`, { method: "POST", body: fields() }));
  } catch (problem) {
    said.textContent = "";
    refused.append(explained(problem));
  }
  busy = false;
  result.querySelector("h2").focus({ preventScroll: true });
  result.scrollIntoView({ block: "nearest" });
}

input.addEventListener("change", look);
form.querySelector("[data-drop]").addEventListener("drop", () => setTimeout(look, 0)); // which sets the files itself
form.addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation(); // the page stays: the form may be sent again
  if (!busy) search();
});
