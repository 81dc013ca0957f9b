// Words that were typed and not saved. They are kept by text in the session of the tab: neither a decision on another
// text, nor a conflict, nor a reload loses them.
import { focus, panel, show } from "./page.js";

// The place of a draft is the id of the text that is edited, or `add:` and the kind of the text to add.
const home = document.querySelector(".top .home").textContent;
const key = (place) => `draft:${home}:${panel()?.dataset.label}:${place}`;

export const keep = (place, text) => sessionStorage.setItem(key(place), text);
export const drop = (place) => sessionStorage.removeItem(key(place));
export const draft = (place) => sessionStorage.getItem(key(place));

export function edit(item, save, { focused = true } = {}) {
  const words = item.querySelector(".words"), id = item.dataset.id;
  const open = item.querySelector("textarea");
  if (open) return focused ? open.focus() : undefined;
  const box = Object.assign(document.createElement("textarea"), { value: draft(id) ?? words.textContent, maxLength: 2000 });
  box.setAttribute("aria-label", "New text. Ctrl-Enter saves, Escape cancels");
  const button = (text, className) => Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
  const yes = button("Save", "accept"), no = button("Cancel", ""), row = document.createElement("div");
  row.className = "tools";
  row.append(yes, no);
  const close = () => { drop(id); box.remove(); row.remove(); words.hidden = false; focus(item); };
  yes.onclick = () => save(item, box.value);
  no.onclick = close;
  box.oninput = () => keep(id, box.value);
  box.onkeydown = (event) => {
    if (event.key === "Escape") { event.stopPropagation(); close(); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(item, box.value); }
  };
  words.hidden = true;
  words.after(box, row);
  if (focused) { box.focus(); box.select(); }
}

// Open the editors of all drafts again, in a new panel. A text that was replaced meanwhile has none: its draft is shown.
export function reopen(save) {
  if (!panel()) return;
  const start = key("");
  for (const stored of Object.keys(sessionStorage).filter((name) => name.startsWith(start))) {
    const place = stored.slice(start.length), text = sessionStorage.getItem(stored);
    const item = document.getElementById(`d${place}`), field = document.querySelector(`.add[data-kind="${CSS.escape(place.slice(4))}"] input`);
    if (item && !item.querySelector(".conflict")) edit(item, save, { focused: false });
    else if (place.startsWith("add:") && field) field.value = text;
    else if (!item && !place.startsWith("add:")) lost(stored, text);
  }
}

function lost(stored, text) {
  const box = Object.assign(document.createElement("section"), { className: "conflict" });
  const drop = Object.assign(document.createElement("button"), { type: "button", textContent: "Discard it" });
  drop.onclick = () => { sessionStorage.removeItem(stored); box.remove(); };
  const words = document.createElement("p");
  words.textContent = `You were changing a text that is gone or not shown here. Your words: ${text}`;
  box.append(words, drop);
  panel().prepend(box);
}

const unsaved = () => [...document.querySelectorAll(".text textarea, .add input")].some(
  (box) => box.value && box.value !== box.closest(".item")?.querySelector(".words").textContent);

addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
addEventListener("input", (event) => {
  const form = event.target.closest("form.add");
  if (form) event.target.value ? keep(`add:${form.dataset.kind}`, event.target.value) : drop(`add:${form.dataset.kind}`);
});
