// SPDX-License-Identifier: Apache-2.0
// Checks of the ledger in the browser, step by step: nothing that the server says is believed, but what is fetched from
// /ledger/ is computed again. What was checked is kept in this browser, so that a later visit sees whether the log goes
// on from it.

import { parseDisclosure, parseEntry, readable, verifyOpenings } from "./disclosure.js";
import { Log } from "./log.js";
import { Failure, Unable, consistencyProof, equal, fromBase64, hex, inclusionProof, leafHash, verifyConsistency, verifyInclusion } from "./merkle.js";
import { parseCheckpoint, parseKey, parseNote, verifySignature } from "./notes.js";

const KEPT = "custodes-ledger";
const VERDICTS = {
  good: "All of it holds.",
  warn: "What could be checked here holds, but not all could be checked.",
  bad: "Something does not hold. Keep what you have (the file, the checkpoint, this page), and show it to oversight or to a court.",
};
const BADGES = { good: "holds", warn: "not checked", bad: "does not hold", busy: "checking" };

// --- what this browser has kept ---

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT));
    return kept && typeof kept.vkey === "string" && typeof kept.checkpoint === "string" ? kept : null;
  } catch {
    return null;
  }
}

function keep(vkey, checkpoint) {
  try {
    localStorage.setItem(KEPT, JSON.stringify({ vkey, checkpoint, at: new Date().toISOString() }));
  } catch {
    // No storage: nothing is kept.
  }
}

// --- what is shown ---

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

class Report {
  constructor(box) {
    this.steps = box.querySelector("[data-steps]");
    this.outcome = box.querySelector("[data-outcome]");
    this.shown = box.querySelector("[data-shown]");
    this.state = "good";
    this.steps.replaceChildren();
    this.shown?.replaceChildren();
    this.outcome.hidden = true;
  }

  // Does a step and shows what came of it; a failure ends the check, what can't be checked doesn't.
  async step(title, work) {
    const item = element("li", "proof-step");
    const badge = element("span", "badge");
    const says = element("p", "proof-says");
    const head = element("p", "proof-head");
    const hashes = [];
    const mark = (tone) => {
      badge.className = `badge ${tone === "busy" ? "" : tone}`;
      badge.textContent = BADGES[tone];
      item.dataset.state = tone;
    };
    head.append(element("strong", "", title), " ", badge);
    item.append(head, says);
    this.steps.append(item);
    mark("busy");
    try {
      const told = await work((name, value) => hashes.push([name, value]));
      says.textContent = told.says;
      mark("good");
      return told.value;
    } catch (error) {
      if (!(error instanceof Failure || error instanceof Unable)) console.error(error);
      says.textContent = error instanceof Failure || error instanceof Unable ? error.message : "The check broke off; what was fetched can't be read.";
      if (error.expected) hashes.push(["Expected", error.expected], ["Found", error.got]);
      const tone = error instanceof Unable ? "warn" : "bad";
      mark(tone);
      this.state = tone === "bad" || this.state === "bad" ? "bad" : "warn";
      if (tone === "bad") throw new Stop();
      return undefined;
    } finally {
      if (hashes.length) item.append(this.folded(hashes));
    }
  }

  folded(hashes) {
    const list = element("dl", "pairs");
    for (const [name, value] of hashes) {
      const pair = element("div");
      pair.append(element("dt", "", name), element("dd", "code", value));
      list.append(pair);
    }
    const box = element("details", "proof-hashes");
    box.append(element("summary", "", "Hashes"), list);
    box.open = this.state === "bad";
    return box;
  }

  show(title, text) {
    const code = element("pre", "code", text);
    code.tabIndex = 0;
    this.shown?.append(element("h3", "", title), code);
  }

  end() {
    this.outcome.textContent = VERDICTS[this.state];
    this.outcome.className = `notice ${{ good: "done", warn: "warning", bad: "error" }[this.state]}`;
    this.outcome.dataset.outcome = this.state;
    this.outcome.hidden = false;
  }
}

class Stop extends Error {}

// --- the steps ---

function theKey(report, log, given, kept) {
  return report.step("The log's key", async (tell) => {
    const published = (await log.text("vkey")).trim();
    const wanted = given || kept?.vkey || published;
    const key = await parseKey(wanted);
    tell("Key", key.text);
    if (published !== wanted) throw new Failure(given ? "The log is published under another key than yours." : "The log is published under another key than this browser has kept.", wanted, published);
    if (given) return { value: key, says: "The log is published under the key that you gave." };
    if (kept) return { value: key, says: `It is the key that this browser has kept since ${kept.at.slice(0, 10)}.` };
    return { value: key, says: "This is the log's own word for it: have the key from somebody else too, and compare." };
  });
}

function theCheckpoint(report, title, fetched, key) {
  return report.step(title, async (tell) => {
    const value = read(await fetched(), key, tell);
    return { value, says: `It states ${value.size} entries, and the root of the tree over them.` };
  });
}

function theSignature(report, checkpoint, key) {
  return report.step("The checkpoint's signature", async () => {
    const others = checkpoint.note.signatures.length - (await verifySignature(checkpoint.note, key));
    const more = others ? ` ${others} more ${others === 1 ? "line is" : "lines are"} by witnesses; their keys aren't known here.` : "";
    return { says: `It is the key's own.${more}` };
  });
}

// Reads a checkpoint; its signature isn't checked yet.
function read(raw, key, tell) {
  const note = parseNote(raw);
  const checkpoint = parseCheckpoint(note.text);
  tell("Log", checkpoint.origin);
  tell("Entries", String(checkpoint.size));
  tell("Root", hex(checkpoint.root));
  if (checkpoint.origin !== key.name) throw new Failure("The checkpoint is of another log.", key.name, checkpoint.origin);
  return { ...checkpoint, note, raw };
}

function continues(report, title, log, key, raw, newest) {
  return report.step(title, async (tell) => {
    const old = read(raw, key, tell);
    if (old.size > newest.size) throw new Failure(`The log has shrunk from ${old.size} entries to ${newest.size}: some were dropped.`);
    const proof = await consistencyProof(log.reader(newest.size), old.size, newest.size);
    proof.forEach((hash, i) => tell(`Proof ${i + 1}`, hex(hash)));
    await verifyConsistency(old.size, newest.size, proof, old.root, newest.root);
    await verifySignature(old.note, key);
    return { says: `It is signed by the same key, and the log begins with the ${old.size} entries that it had then, unchanged; ${newest.size - old.size} came after them.` };
  });
}

function theEntry(report, log, index, newest, shown) {
  return report.step(`Entry ${index}`, async (tell) => {
    if (index >= newest.size) throw new Unable(`The newest checkpoint states ${newest.size} entries, and this one comes after them: try again in ten seconds.`);
    const data = await log.entry(index, newest.size);
    const leaf = await leafHash(data);
    const proof = await inclusionProof(log.reader(newest.size), index, newest.size);
    tell("Entry's hash", hex(leaf));
    proof.forEach((hash, i) => tell(`Proof ${i + 1}`, hex(hash)));
    tell("Root", hex(newest.root));
    await verifyInclusion(leaf, index, newest.size, proof, newest.root);
    parseEntry(data);
    if (shown && !equal(shown, data)) throw new Failure("This page shows another entry than the log holds.");
    return { value: data, says: `Its hash leads, by ${proof.length} other hashes, to the root that was signed${shown ? ", and it is what this page shows" : ""}.` };
  });
}

// The log's newest checkpoint, as it is published.
async function theNewest(report, log, key) {
  const newest = await theCheckpoint(report, "The newest checkpoint", () => log.text("checkpoint"), key);
  await theSignature(report, newest, key);
  return newest;
}

async function checkLog(report, { vkey = "", older = "", index = null, shown = null }) {
  const log = new Log();
  const kept = vkey ? null : recall();
  const key = await theKey(report, log, vkey, kept);
  if (!key) return;
  const newest = await theNewest(report, log, key);
  if (older) await continues(report, "Your older checkpoint", log, key, older, newest);
  if (kept) await continues(report, `The checkpoint that this browser kept on ${kept.at.slice(0, 10)}`, log, key, kept.checkpoint, newest);
  if (index !== null) {
    const data = await theEntry(report, log, index, newest, shown);
    if (data && !shown) report.show(`Entry ${index}`, JSON.stringify(parseEntry(data), null, 2));
  }
  if (report.state === "good") keep(key.text, newest.raw);
}

async function checkFile(report, { raw, vkey = "" }) {
  const log = new Log();
  const kept = vkey ? null : recall();
  const told = await report.step("The file", async () => {
    const value = parseDisclosure(raw);
    return { value, says: `It discloses entry ${value.index}, and opens ${value.openings.length} of its commitments.` };
  });
  const key = await report.step("The log's key", async (tell) => {
    const wanted = vkey || kept?.vkey || (await log.text("vkey")).trim();
    const value = await parseKey(wanted);
    tell("Key", value.text);
    const whose = vkey ? "the key that you gave" : kept ? "the key that this browser has kept" : "the key that this server publishes";
    if (told.vkey.trim() !== wanted) throw new Failure(`The file names another key than ${whose}.`, wanted, told.vkey.trim());
    return { value, says: `The file names ${whose}.` };
  });
  if (!key) return;
  const checkpoint = await theCheckpoint(report, "The file's checkpoint", () => told.checkpoint, key);
  await theSignature(report, checkpoint, key);
  const entry = await report.step(`Entry ${told.index}`, async (tell) => {
    const leaf = await leafHash(told.entry);
    tell("Entry's hash", hex(leaf));
    told.proof.forEach((hash, i) => tell(`Proof ${i + 1}`, hex(hash)));
    await verifyInclusion(leaf, told.index, checkpoint.size, told.proof, checkpoint.root);
    return { value: parseEntry(told.entry), says: `Its hash leads, by ${told.proof.length} other hashes, to the root of the checkpoint.` };
  });
  const values = await report.step("What it opens", async () => {
    const value = await verifyOpenings(entry, told.openings);
    return { value, says: value.size ? "The entry commits to each value that the file shows." : "Nothing: the entry says it all." };
  });
  await stillThere(report, log, key, told.checkpoint);
  report.show(`Entry ${told.index}`, JSON.stringify(entry, null, 2));
  for (const [name, value] of values) report.show(name, readable(value));
}

// Says whether the log that this server publishes, if it is the same, goes on from the file's checkpoint.
async function stillThere(report, log, key, raw) {
  const same = await report.step("The log of this server", async () => {
    const value = (await log.text("vkey")).trim() === key.text;
    return { value, says: value ? "It is the one that the file is from." : "It is another one, so that it says nothing of this file." };
  });
  if (same) await continues(report, "The log of this server goes on from it", log, key, raw, await theNewest(report, log, key));
}

// --- the forms ---

async function run(box, form, work) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  const report = new Report(box);
  try {
    await work(report);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
  } finally {
    report.end();
    button.removeAttribute("aria-disabled");
    tellKept();
  }
}

function tellKept() {
  const kept = recall();
  for (const place of document.querySelectorAll("[data-kept]")) {
    place.hidden = !kept;
    if (kept) place.querySelector("[data-kept-says]").textContent = `This browser has kept a key and a checkpoint, checked on ${kept.at.slice(0, 10)}.`;
  }
}

for (const box of document.querySelectorAll("[data-check]")) {
  const form = box.querySelector("form");
  const value = (name) => form.elements[name]?.value.trim() ?? "";
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    run(box, form, async (report) => {
      if (box.dataset.check === "file") {
        const [file] = form.elements.file.files;
        await checkFile(report, { raw: await file.text(), vkey: value("file_vkey") });
        return;
      }
      const index = box.dataset.index ?? value("index");
      const older = value("older");
      await checkLog(report, {
        vkey: value("vkey"),
        older: older ? `${older}\n` : "",
        index: index === "" ? null : Number(index),
        shown: box.dataset.entry ? fromBase64(box.dataset.entry) : null,
      });
    });
  });
}

for (const button of document.querySelectorAll("[data-forget]")) {
  button.addEventListener("click", () => {
    localStorage.removeItem(KEPT);
    tellKept();
    document.getElementById("main").focus();
  });
}
tellKept();
