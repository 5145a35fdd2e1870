// SPDX-License-Identifier: Apache-2.0
// Disclosures and receipts (form custodes/disclosure/v1): one entry with its proof, and what its commitments stand for.

import { Failure, HASH, equal, fromBase64, hex, sha256 } from "./merkle.js";

export const FORM = "custodes/disclosure/v1";

const DOMAIN = new TextEncoder().encode("custodes/commitment/v1\0");
const AT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/u;
const NAME = /^[A-Za-z][A-Za-z0-9_.:-]{0,99}$/u;

// Reads the file that was handed out; nothing is checked yet but its form.
export function parseDisclosure(raw) {
  try {
    const told = JSON.parse(raw);
    if (told.form !== FORM || !Number.isSafeInteger(told.index) || told.index < 0) throw new TypeError();
    if (typeof told.checkpoint !== "string" || typeof told.vkey !== "string" || told.proof.length > 64) throw new TypeError();
    return {
      index: told.index,
      entry: fromBase64(told.entry),
      proof: told.proof.map(fromBase64),
      openings: told.openings.map(({ name, value, salt }) => {
        const opening = { name, value: fromBase64(value), salt: fromBase64(salt) };
        if (!NAME.test(name) || opening.salt.length !== HASH) throw new TypeError();
        return opening;
      }),
      checkpoint: told.checkpoint,
      vkey: told.vkey,
    };
  } catch {
    throw new Failure(`The file is no disclosure and no receipt: it should be a JSON object of the form ${FORM}.`);
  }
}

// Checks that a text is in the one form that JSON has here: no space between tokens, names sorted, each once. The text
// parses already; what is left is that nothing in it can be read in two ways.
function isCanonical(text) {
  const order = (a, b) => {
    const [x, y] = [Array.from(a), Array.from(b)];
    const i = x.findIndex((char, n) => char !== y[n]);
    return i < 0 ? x.length - y.length : i >= y.length ? 1 : x[i].codePointAt(0) - y[i].codePointAt(0);
  };
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/gu) ?? [];
  if (tokens.join("") !== text) return false; // spaces between tokens were left out
  const open = [];
  for (const [i, token] of tokens.entries()) {
    if (token === "{" || token === "[") open.push({ names: token === "{", last: null });
    else if (token === "}" || token === "]") open.pop();
    else if (tokens[i + 1] === ":" && open.at(-1)?.names) {
      const name = JSON.parse(token);
      const { last } = open.at(-1);
      if (last !== null && order(last, name) >= 0) return false;
      open.at(-1).last = name;
    }
  }
  return true;
}

// Reads an entry's bytes.
export function parseEntry(data) {
  let text;
  let entry;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    entry = JSON.parse(text);
  } catch {
    throw new Failure("The entry is no JSON.");
  }
  const is = entry && typeof entry === "object" && !Array.isArray(entry) && entry.v === 1 && typeof entry.kind === "string" && entry.kind;
  if (!is || !AT.test(entry.at ?? "") || !isCanonical(text)) throw new Failure("The entry doesn't have the form that an entry has.");
  return entry;
}

// Checks that an entry commits to what is shown; returns the values by name.
export async function verifyOpenings(entry, openings) {
  const values = new Map();
  for (const { name, value, salt } of openings) {
    const got = hex(await sha256(DOMAIN, salt, value));
    const stated = Object.hasOwn(entry, name) ? entry[name] : "nothing";
    if (stated !== got || values.has(name)) throw new Failure(`The entry doesn't commit to what is shown as ${name}.`, String(stated), got);
    values.set(name, value);
  }
  return values;
}

// Returns a value as text, or in hexadecimal if it is none.
export function readable(value) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(value);
    if (!/[\u0000-\u0008\u000b-\u001f\u007f]/u.test(text) && equal(new TextEncoder().encode(text), value)) return text;
  } catch {
    // No text.
  }
  return hex(value);
}
