// SPDX-License-Identifier: Apache-2.0
// What every page has; each part only adds to what works without it.

const root = document.documentElement;

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  const tell = () => button.setAttribute("aria-label", isDark() ? "Change to light" : "Change to dark");
  tell();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("custodes-theme", root.dataset.theme);
    } catch {
      // No storage: it holds for this page.
    }
    tell();
  });
}

// The purpose changes with the choice; the button is for those without scripts, and for those with a keyboard, whom a
// change of page under their hands would confuse, so that it stays.

// Menus close with Escape and by a click elsewhere.
for (const menu of document.querySelectorAll("details[data-menu], details.confirm")) {
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

// What went wrong with a form is where a reader begins.
document.querySelector("[data-focus]")?.focus();

// A form is sent once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.querySelectorAll("button.button").forEach((button) => button.setAttribute("aria-disabled", "true"));
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-disabled]").forEach((button) => button.removeAttribute("aria-disabled"));
  }
});

// Files: dragged onto a field, and shown before they are sent.
for (const box of document.querySelectorAll("[data-drop]")) {
  const input = box.querySelector("input[type=file]");
  const previews = box.querySelector("[data-previews]");
  const show = () => {
    for (const old of previews.querySelectorAll("img")) URL.revokeObjectURL(old.src);
    previews.replaceChildren();
    for (const file of [...input.files].slice(0, 12)) {
      const figure = document.createElement("figure");
      if (file.type.startsWith("image/")) {
        const picture = document.createElement("img");
        picture.src = URL.createObjectURL(file);
        picture.alt = "";
        figure.append(picture);
      }
      const caption = document.createElement("figcaption");
      caption.textContent = file.name;
      figure.append(caption);
      previews.append(figure);
    }
    previews.hidden = !input.files.length;
  };
  input.addEventListener("change", show);
  box.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("over");
  });
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      show();
    }
  });
}

// Times in the reader's own zone, as a hint.
for (const time of document.querySelectorAll("time[datetime]")) {
  if (time.dateTime.includes("T")) time.title = new Date(time.dateTime).toLocaleString();
}
