// Decisions, keys and dialogs. The server renders the pages; a decision replaces the panel of the class.
"use strict";

const csrf = document.querySelector("meta[name=csrf-token]").content;
const panel = () => document.getElementById("class");
const items = () => [...document.querySelectorAll(".item")];
const message = document.getElementById("message");
let timeout = 0;

function show(text) {
  message.textContent = text;
  clearTimeout(timeout);
  timeout = setTimeout(() => { message.textContent = ""; }, 6000);
}

function current() {
  const found = document.activeElement && document.activeElement.closest(".item");
  return found || items()[Math.min(place, items().length - 1)] || null;
}

let place = 0; // index of the item in focus; an edit changes ids, but not indices

function focus(index) {
  const all = items();
  if (!all.length) return;
  place = Math.max(0, Math.min(index, all.length - 1));
  const item = all[place];
  item.setAttribute("tabindex", "0");
  (item.querySelector("th a") || item).focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

const refs = (elements) => elements.map((e) => [Number(e.dataset.id), Number(e.dataset.version)]);

async function post(path, body) {
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
  } catch {
    show("The server does not answer. Nothing was changed; start descgen review again and repeat the decision.");
    return null;
  }
}

// Send a decision; the answer holds the new panel and a message. Returns whether the decision was made.
async function decide(decision, more, next) {
  const page = panel() ? { label: Number(panel().dataset.label), query: panel().dataset.query } : {};
  const answer = await post("/decide", { decision, ...page, ...more });
  if (!answer) return false;
  const result = await answer.json();
  if (result.html && panel()) panel().innerHTML = result.html;
  if (result.decided !== undefined) document.getElementById("decided").textContent = result.decided;
  const bar = document.querySelector(".top progress");
  if (result.decided !== undefined && bar) bar.value = result.decided;
  show(result.message || "The server refused this; nothing was changed.");
  if (!panel() && answer.ok) { location.reload(); return true; }
  focus(next === undefined || !answer.ok ? place : next);
  return answer.ok;
}

function nextOpen(from) {
  const all = items();
  const after = all.findIndex((item, index) => index > from && item.dataset.status === "pending");
  return after >= 0 ? after : Math.min(from + 1, all.length - 1);
}

function edit(item) {
  const words = item.querySelector(".words");
  if (item.querySelector("textarea")) return;
  const index = items().indexOf(item);
  const box = document.createElement("textarea");
  box.value = words.textContent;
  box.setAttribute("aria-label", "New text. Ctrl-Enter saves, Escape cancels");
  const save = Object.assign(document.createElement("button"), { type: "button", textContent: "Save", className: "accept" });
  const cancel = Object.assign(document.createElement("button"), { type: "button", textContent: "Cancel" });
  const row = Object.assign(document.createElement("div"), { className: "tools" });
  row.append(save, cancel);
  const close = () => { box.remove(); row.remove(); words.hidden = false; focus(index); };
  const send = () => decide("edit", { refs: refs([item]), text: box.value }, nextOpen(index));
  save.onclick = send;
  cancel.onclick = close;
  box.onkeydown = (event) => {
    if (event.key === "Escape") { event.stopPropagation(); close(); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
  };
  words.hidden = true;
  words.after(box, row);
  box.focus();
  box.select();
}

function move(item, by) {
  const list = item.parentElement;
  const order = [...list.children];
  const from = order.indexOf(item), to = from + by;
  if (to < 0 || to >= order.length) return undefined;
  order.splice(to, 0, order.splice(from, 1)[0]);
  return decide("reorder", { refs: refs(order) }, items().indexOf(item) + by);
}

async function sheet(path) {
  const answer = await fetch(path);
  document.getElementById("sheet-body").innerHTML = answer.ok ? await answer.text() : "<p>Could not be loaded.</p>";
  document.getElementById("sheet").showModal();
}

function confirmed(question) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function all(button) {
  const { all: decision, filter, stamp, count } = button.dataset;
  if (await confirmed(`${decision === "accept" ? "Accept" : "Reject"} ${count} pending texts of this filter? One undo restores all of them.`))
    decide(decision, { query: filter, stamp });
}

async function regenerate(kind) {
  const index = place;
  const answer = await post("/regenerate", { kind, label: Number(panel().dataset.label) });
  if (!answer) return;
  const job = answer.ok ? await ended(await answer.json()) : await answer.json();
  if (job.done) {
    panel().innerHTML = await (await fetch(`/class/${panel().dataset.label}/panel?${panel().dataset.query}`)).text();
    focus(index);
  }
  show(job.message);
}

// Wait for the end of a job. A server that was stopped knows nothing of it; what it had stored is kept.
async function ended(job) {
  while (!job.done) {
    show(job.message);
    await new Promise((resolve) => setTimeout(resolve, 700));
    const answer = await fetch(`/jobs/${job.id}`).catch(() => null);
    if (!answer || (answer.status >= 400 && answer.status < 500))
      return { message: "The server was stopped while the model wrote. Start descgen review, reload the page, and ask again if the texts are not new." };
    if (answer.ok) job = await answer.json();
  }
  return job;
}

const itemCommands = {
  accept: (item, index) => decide("accept", { refs: refs([item]) }, nextOpen(index)),
  reject: (item, index) => decide("reject", { refs: refs([item]) }, nextOpen(index)),
  restore: (item, index) => decide("restore", { refs: refs([item]) }, index),
  edit: (item) => edit(item),
  up: (item) => move(item, -1),
  down: (item) => move(item, 1),
  history: (item) => sheet(`/history/${item.dataset.id}`),
};

const pageCommands = {
  undo: () => decide("undo", {}, place),
  help: () => document.getElementById("help").showModal(),
  next: () => focus(place + (document.activeElement.closest(".item") ? 1 : 0)),
  previous: () => focus(place - 1),
  "accept-all": () => {
    const open = items().filter((item) => item.dataset.status === "pending");
    return open.length && panel() ? decide("accept", { refs: refs(open) }, 0) : undefined;
  },
  add: () => { const field = (current() && current().closest(".kind") || document).querySelector(".add input"); if (field) field.focus(); },
  open: () => { const item = current(); if (item && item.dataset.open) location.href = item.dataset.open; },
  sheet: () => { const item = current(), column = item && item.closest(".column"); const button = column && column.querySelector("[data-sheet]"); if (button) sheet(button.dataset.sheet); },
};

const keys = {
  a: "accept", r: "reject", e: "edit", p: "restore", h: "history", "<": "up", ">": "down",
  j: "next", ArrowDown: "next", k: "previous", ArrowUp: "previous", u: "undo", A: "accept-all", n: "add", "?": "help", i: "sheet",
};

// Run a command; for a decision, return a promise of whether it was made.
function execute(name, id) {
  if (pageCommands[name]) return pageCommands[name]();
  const item = id ? items().find((each) => each.dataset.id === id) : current();
  if (!item || !item.dataset.id || !itemCommands[name]) return undefined;
  place = items().indexOf(item);
  return itemCommands[name](item, place);
}

// Run commands one after the other: a key pressed while a decision is being sent applies to the page that follows it.
const waiting = [];
let busy = false;
async function run(name, id) {
  waiting.push([name, id]);
  if (busy) return;
  busy = true;
  while (waiting.length) {
    const [next, target] = waiting.shift();
    const refused = (await execute(next, target)) === false;
    if (refused || next === "edit" || next === "add") waiting.length = 0; // the keys were meant for another page, or as text
  }
  busy = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.do) run(button.dataset.do, button.closest(".item")?.dataset.id);
  if (button.dataset.all) all(button);
  if (button.dataset.sheet) sheet(button.dataset.sheet);
  if (button.dataset.regenerate) regenerate(button.dataset.regenerate);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (link && (link.click || link.focus)) { event.preventDefault(); link.matches("input") ? link.focus() : link.click(); return; }
  const name = keys[event.key];
  if (!name || !(pageCommands[name] || current())) return;
  event.preventDefault();
  run(name);
});

document.addEventListener("focusin", (event) => {
  const item = event.target.closest(".item");
  if (item) place = items().indexOf(item);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.add");
  if (!form) return;
  event.preventDefault();
  decide("add", { kind: form.dataset.kind, text: form.elements.text.value }, place);
});

// Start at the first pending text of a class.
if (panel()) focus(Math.max(0, items().findIndex((item) => item.dataset.status === "pending")));
