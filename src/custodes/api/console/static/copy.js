// SPDX-License-Identifier: Apache-2.0
// What is shown once can be copied: by its button, or by choosing it.

const told = document.querySelector("[data-copied]");

for (const field of document.querySelectorAll("[data-copy]")) field.addEventListener("focus", () => field.select());

for (const button of document.querySelectorAll("[data-copy-button]")) {
  if (!navigator.clipboard) continue; // only over TLS or on this machine: the field can be chosen by hand
  const field = document.getElementById(button.dataset.copyButton);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
      told.textContent = `Copied: ${field.labels[0].textContent.toLowerCase()}.`;
    } catch {
      field.focus();
      told.textContent = "It is chosen: copy it with the keyboard.";
    }
  });
}
