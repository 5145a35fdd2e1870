// SPDX-License-Identifier: Apache-2.0
// "This is ...": a picture is learned of people alone who have agreed to it.

for (const form of document.querySelectorAll("[data-say]")) {
  const person = form.querySelector("[name=person]");
  const learn = form.querySelector("[data-learn]");
  if (!learn) continue;
  const tell = () => {
    learn.hidden = person.selectedOptions[0]?.dataset.agreed === undefined;
    if (learn.hidden) learn.querySelector("input").checked = false;
  };
  person.addEventListener("change", tell);
  tell();
}
