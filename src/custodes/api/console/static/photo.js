// SPDX-License-Identifier: Apache-2.0
// A photo that is on this computer, drawn small, with boxes on it. It goes nowhere by being shown.

const SVG = "http://www.w3.org/2000/svg";

// Returns a figure; `mark(width, height, boxes)` draws boxes: { box, kind, text, onpick }, in pixels of the photo.
export async function figureOf(file, most) {
  const figure = document.createElement("figure");
  figure.className = "marked";
  const overlay = document.createElementNS(SVG, "svg");
  overlay.setAttribute("aria-hidden", "true");
  overlay.setAttribute("preserveAspectRatio", "none");
  try {
    const bitmap = await createImageBitmap(file); // upright, as the server sees it
    const scale = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    figure.append(canvas, overlay);
  } catch {
    // Not a picture that this browser knows: there is nothing to show, and the server says what is wrong.
  }
  figure.mark = (width, height, boxes) => {
    overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    overlay.replaceChildren(
      ...boxes.flatMap(({ box, kind, text, onpick }) => {
        const rect = document.createElementNS(SVG, "rect");
        const places = { x: box.left, y: box.top, width: box.width, height: box.height };
        for (const [name, value] of Object.entries(places)) rect.setAttribute(name, value);
        rect.setAttribute("class", `mark ${kind}`);
        if (onpick) rect.addEventListener("click", onpick);
        if (!text) return [rect];
        const number = document.createElementNS(SVG, "text");
        number.setAttribute("x", box.left + width / 120);
        number.setAttribute("y", box.top - height / 90);
        number.setAttribute("class", "mark-number");
        number.setAttribute("font-size", Math.max(width, height) / 26);
        number.textContent = text;
        return [rect, number];
      }),
    );
  };
  return figure;
}

// Says what is wrong with a file before it is sent, or "".
export function unfit(file, most) {
  if (file.type && !["image/jpeg", "image/png"].includes(file.type)) return "This is neither JPEG nor PNG.";
  if (file.size > most) return `The file has ${megabytes(file.size)}; at most ${megabytes(most)} are taken.`;
  return "";
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

// What a Problem says, as elements: the rules that refuse, or message and remedy.
export function explained(problem) {
  const box = document.createElement("div");
  const line = (text, className = "") => {
    const p = document.createElement("p");
    p.textContent = text;
    p.className = className;
    return p;
  };
  if (!problem.rules?.length) {
    box.className = "notice error";
    box.append(line(problem.message, "notice-title"));
    if (problem.remedy) box.append(line(problem.remedy));
    return box;
  }
  const list = document.createElement("ol");
  list.className = "rules";
  for (const rule of problem.rules) {
    const item = document.createElement("li");
    item.className = "rule";
    item.append(line(rule.explain, "rule-says"), line(`What to do: ${rule.remedy}`), line(`${rule.id} · ${rule.citation}`, "rule-from"));
    list.append(item);
  }
  box.append(line("The rules forbid this; the refusal is in the ledger.", "notice-title"), list);
  return box;
}
