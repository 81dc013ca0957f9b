// What an edit does to the accuracy: a line under the editor, asked for when one stops typing. Nothing is stored by it.
import { panel, request } from "/static/descriptor_gen.review/page.js";

const PAUSE = 300; // milliseconds after the last key
const AGAIN = 500; // until the next question, while the answer is being made
const BOXES = ".item > textarea, form.add input";
let timer = 0, busy = false, waiting = null;

const plain = (text) => text.trim().split(/\s+/).join(" ");

// What the words in a box would do; null if there are none, or they are the ones that the text has.
function question(box) {
  const item = box.closest(".item"), text = plain(box.value);
  if (!box.isConnected || !text) return null;
  if (!item) return { decision: "add", label: Number(panel().dataset.label), kind: box.form.dataset.kind, text };
  if (text === plain(item.querySelector(".words").textContent)) return null;
  return { decision: "edit", descriptor: Number(item.dataset.id), version: Number(item.dataset.version), text };
}

// The line of a box. It lies beside the buttons of the editor, and goes with them.
function line(box) {
  const home = box.form || box.nextElementSibling;
  const there = home.querySelector(".what-if");
  if (there) return there;
  const made = document.createElement("div");
  made.className = "what-if";
  const effect = Object.assign(document.createElement("p"), { className: "effect" });
  effect.setAttribute("role", "status");
  effect.setAttribute("aria-live", "polite");
  const more = document.createElement("details");
  more.hidden = true;
  more.append(Object.assign(document.createElement("summary"), { textContent: "How sure, and on which videos" }), document.createElement("ul"));
  made.append(effect, Object.assign(document.createElement("p"), { className: "caution" }), more);
  home.append(made);
  return made;
}

function put(box, { state = "", sentence = "", caution = "", more = [] }) {
  const [effect, warning, details] = line(box).children;
  warning.textContent = caution;
  effect.textContent = sentence;
  effect.dataset.state = state;
  details.hidden = !more.length;
  details.querySelector("ul").replaceChildren(...more.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function later(box, pause) {
  clearTimeout(timer);
  timer = setTimeout(() => ask(box), pause);
}

// Ask for the words as they are now: one question at a time, and only the answer to the newest one is shown.
async function ask(box) {
  if (busy) { waiting = box; return; }
  const asked = question(box);
  if (!asked) return;
  busy = true;
  const answer = await request("/what-if", asked, { quiet: true });
  busy = false;
  if (JSON.stringify(question(box)) === JSON.stringify(asked)) {
    put(box, answer?.value || { state: "refused", sentence: "The server does not say what this edit does." });
    if (answer?.value.state === "loading" && !waiting) later(box, AGAIN);
  }
  const next = waiting;
  waiting = null;
  if (next) ask(next);
}

document.addEventListener("input", ({ target: box }) => {
  if (!box.matches(BOXES)) return;
  line(box); // before its words, so that they are read out
  if (question(box)) later(box, PAUSE);
  else put(box, {});
});
document.addEventListener("focusin", ({ target: box }) => { if (box.matches(BOXES) && question(box)) { line(box); later(box, PAUSE); } });
document.addEventListener("submit", ({ target: form }) => form.querySelector(".what-if")?.remove());
