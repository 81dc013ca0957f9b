// Comments on a text and guidelines, in the sheet. Words that were typed and not saved come back when it is opened again.
import { request, sheet, show } from "./page.js";

const dialog = document.getElementById("sheet");
const home = document.querySelector(".top .home").textContent;
const key = (form) => `note:${home}:${form.dataset.note === "comment" ? form.dataset.id : "guidelines"}`;
const form = () => dialog.querySelector("form.note");
let onDone = () => {};

// Open the sheet of a note; `done` is called after it was saved.
export async function note(address, done) {
  onDone = done;
  await sheet(address);
  if (!form()) return;
  const draft = sessionStorage.getItem(key(form())), box = form().elements.text;
  if (draft === null) return;
  box.value = draft;
  if (box.closest("details")) box.closest("details").open = true;
}

async function save(sent) {
  const { note: kind, id, done } = sent.dataset, text = sent.elements.text.value;
  const answer = await request(`/${kind}`, kind === "comment" ? { descriptor: Number(id), text } : { text, replaces: Number(id) });
  if (!answer?.ok) return refused(sent, answer?.value.message || document.getElementById("message").textContent);
  sessionStorage.removeItem(key(sent));
  dialog.close();
  await onDone();
  show(answer.value.message || done);
}

// The message lies behind the sheet: say it inside.
function refused(sent, reason) {
  const place = sent.querySelector("[role=alert]") || sent.appendChild(Object.assign(document.createElement("p"), { role: "alert", className: "flag error" }));
  place.textContent = reason;
}

dialog.addEventListener("submit", (event) => {
  if (!event.target.matches("form.note")) return;
  event.preventDefault();
  save(event.target);
});
dialog.addEventListener("input", (event) => {
  const typed = event.target.closest("form.note");
  if (typed) sessionStorage.setItem(key(typed), event.target.value);
});
dialog.addEventListener("keydown", (event) => {
  const typed = event.target.closest("form.note");
  if (!typed || event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  typed.requestSubmit();
});
dialog.addEventListener("close", () => {
  const open = form();
  if (open && sessionStorage.getItem(key(open)) !== null) show("Your words are kept, and not saved: open the sheet again to save them.");
});
