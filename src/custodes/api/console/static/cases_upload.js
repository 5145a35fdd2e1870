// SPDX-License-Identifier: Apache-2.0
// Uploading a ZIP, or many photos, which are packed into one here without being held in memory.

import { Problem } from "./api.js";

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let k = 0; k < 8; k++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

async function crcOf(file) {
  let crc = 0xffffffff;
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ 0xffffffff) >>> 0;
    for (const byte of value) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  }
}

const MOST_FILES = 65_000; // what a ZIP without extensions holds, about
const MOST_BYTES = 4_000_000_000;

function fields(layout) {
  const bytes = new Uint8Array(layout.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of layout) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

// Returns a ZIP of files, stored as they are (APPNOTE 4.3): a blob that refers to them.
async function packed(files, tell) {
  const parts = [];
  const directory = [];
  const taken = new Set();
  let offset = 0;
  for (const [number, file] of files.entries()) {
    tell(`Packing ${number + 1} of ${files.length} …`);
    const called = taken.has(file.name) ? `${number + 1}/${file.name}` : file.name;
    taken.add(file.name);
    const name = new TextEncoder().encode(called);
    const sizes = [[4, await crcOf(file)], [4, file.size], [4, file.size], [2, name.length], [2, 0]];
    const common = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], ...sizes];
    const head = fields([[4, 0x04034b50], ...common]);
    parts.push(head, name, file);
    directory.push(fields([[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), name);
    offset += head.length + name.length + file.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const counts = [[2, files.length], [2, files.length], [4, size], [4, offset]];
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], ...counts, [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

function base64(told) {
  const bytes = new TextEncoder().encode(JSON.stringify(told));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

// XMLHttpRequest, since fetch() doesn't tell how much of a body is sent.
function send(path, body, told, tell, begun) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.responseType = "json";
    sending.setRequestHeader("Accept", "application/json");
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.setRequestHeader("X-CSRF-Token", document.querySelector("meta[name=csrf]").content);
    sending.setRequestHeader("X-Custodes-Import", base64(told));
    sending.upload.addEventListener("progress", (event) => tell(event.loaded, event.total));
    sending.addEventListener("load", () => {
      if (sending.status < 300) resolve(sending.response);
      else reject(new Problem(sending.status, sending.response ?? {}));
    });
    sending.addEventListener("error", () => {
      reject(new Problem(0, { message: "The upload broke off.", remedy: "Try again." }));
    });
    sending.addEventListener("abort", () => reject(new Problem(0, { message: "The upload was cancelled." })));
    begun(sending);
    sending.send(body);
  });
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function setUp(form) {
  const input = form.querySelector("input[type=file]");
  const said = form.querySelector("[data-said]");
  const box = form.querySelector("[data-progress]");
  const bar = box.querySelector("progress");
  const text = box.querySelector(".progress-head span:last-child");
  const cancel = form.querySelector("[data-cancel]");
  const button = form.querySelector("button.primary");
  const help = form.querySelector("#h-file");
  let going = null;
  input.multiple = true;
  if (help) help.textContent = "Choose one ZIP or many photos, or drag them here.";
  cancel.addEventListener("click", () => going?.abort());

  form.addEventListener(
    "submit",
    async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      const files = [...input.files];
      const size = files.reduce((sum, file) => sum + file.size, 0);
      if (!files.length || going) return;
      if (files.length > MOST_FILES || size > Math.min(MOST_BYTES, Number(form.dataset.most))) {
        said.textContent = `That is too much at once (${files.length} files, ${megabytes(size)}). Upload it in parts.`;
        return;
      }
      button.setAttribute("aria-disabled", "true");
      try {
        const one = files.length === 1;
        const body = one ? files[0] : await packed(files, (told) => (said.textContent = told));
        const told = Object.fromEntries(["provenance", "basis", "source"].map((n) => [n, form.elements[n].value]));
        told.name = one ? files[0].name : `${files.length} photos`;
        told.sensitive = form.elements.sensitive.checked ? "yes" : "no";
        box.hidden = cancel.hidden = false;
        said.textContent = "";
        const show = (sent, all) => {
          bar.max = all || 1;
          bar.value = sent;
          text.textContent = `${megabytes(sent)} of ${megabytes(all)}`;
        };
        show(0, body.size);
        const made = await send(form.dataset.upload, body, told, show, (sending) => (going = sending));
        location.assign(made.page);
      } catch (problem) {
        const rules = (problem.rules ?? []).map((rule) => `${rule.explain} ${rule.remedy}`).join(" ");
        said.textContent = rules || `${problem.message} ${problem.remedy ?? ""}`;
        box.hidden = cancel.hidden = true;
      }
      going = null;
      button.removeAttribute("aria-disabled");
    },
    true,
  );
}

for (const form of document.querySelectorAll("form[data-upload]")) setUp(form);
