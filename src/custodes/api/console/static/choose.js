// SPDX-License-Identifier: Apache-2.0
// Lists to choose from: all at once, and how many are chosen.

for (const form of document.querySelectorAll("[data-choose]")) {
  const boxes = [...form.querySelectorAll("input[name=face]")];
  const all = form.querySelector("[data-all]");
  const told = form.querySelector("[data-chosen]");
  const count = () => {
    const chosen = boxes.filter((b) => b.checked).length;
    told.textContent = chosen ? `(${chosen})` : "";
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    count();
  });
  for (const box of boxes) box.addEventListener("change", count);
  count();
}
