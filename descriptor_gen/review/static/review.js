// Decisions and keys. The server renders the pages; it says which text gets the focus after a decision.
import { drop, edit, keep, reopen } from "./drafts.js";
import { note } from "./notes.js";
import { chosen, confirmed, current, focus, items, panel, request, sheet, show, visit } from "./page.js";

const refs = (elements) => elements.map((e) => [Number(e.dataset.id), Number(e.dataset.version)]);

const compared = () => panel()?.dataset.compare;

// Send a decision. Returns whether it was made.
async function decide(decision, more) {
  const page = !panel() ? {} : compared() ? { compare: compared() } : { label: Number(panel().dataset.label), query: panel().dataset.query };
  const answer = await request("/decide", { decision, current: Number((current() || chosen())?.dataset.id || 0), ...page, ...more });
  if (!answer) return false;
  const { html, decided, left, message, page: address, focus: text, label } = answer.value;
  document.getElementById("decided").textContent = decided;
  document.getElementById("left").textContent = left;
  document.querySelector(".top progress").value = decided;
  if (address || !panel()) waiting.length = 0; // keys were meant for this page
  if (address || !panel()) await visit(address || location.href);
  if (label !== null && document.body.dataset.page === "overview" && !document.getElementById(`c${label}`)) await visit(pageOf(label));
  else if (html) panel().innerHTML = html;
  reopen(save);
  const first = items().find((item) => item.dataset.status === "pending") || items()[0];
  focus((text && document.getElementById(`d${text}`)) || document.getElementById(`c${label}`) || first);
  show(message);
  return answer.ok;
}

// Save an edit. Its words are kept until the server has them; after a conflict under the id that the text has now.
async function save(item, text) {
  const { id } = item.dataset;
  drop(id); // or the new panel would open its editor again
  if (await decide("edit", { refs: refs([item]), text })) return;
  const conflict = panel().querySelector(".item .conflict")?.closest(".item");
  keep(conflict?.dataset.id || id, text);
  if (!conflict) reopen(save);
}

function move(item, by) {
  const column = item.closest(".column");
  if (!column) return undefined; // texts that are compared stay where they are
  const order = [...column.querySelectorAll(".text")].sort((a, b) => a.dataset.position - b.dataset.position);
  const from = order.indexOf(item), to = from + by;
  if (to < 0 || to >= order.length) return undefined;
  order.splice(to, 0, order.splice(from, 1)[0]);
  return decide("reorder", { refs: refs(order) });
}

function step(by) {
  const all = items(), item = current();
  const place = all.indexOf(item);
  if (place >= 0 && all[place + by]) return focus(all[place + by]);
  const further = document.querySelector(`main a[rel=${by > 0 ? "next" : "prev"}][data-page]`);
  if (place >= 0) return further ? turn(further.href, by) : undefined;
  // From a folded text: to the next one that matches.
  const after = all.findIndex((other) => item && item.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
  return focus(by > 0 ? all[after] || all.at(-1) : all[(after < 0 ? all.length : after) - 1] || all[0]);
}

// The address of the page of the overview that has a class.
function pageOf(label) {
  const address = new URL(location);
  address.searchParams.delete("page");
  address.searchParams.set("at", label);
  return address.pathname + address.search;
}

// Go on in the next page of a long table.
async function turn(address, by) {
  if (await visit(address)) focus(items().at(by > 0 ? 0 : -1));
}

async function all(button) {
  const { all: decision, filter, stamp, count } = button.dataset;
  if (await confirmed(`${decision === "accept" ? "Accept" : "Reject"} ${count} pending texts of this filter? One undo restores all of them.`))
    decide(decision, { query: filter, stamp });
}

async function regenerate(kind) {
  const id = (current() || chosen())?.dataset.id, label = panel().dataset.label;
  const answer = await request("/regenerate", { kind, label: Number(label) });
  if (!answer) return;
  const job = await ended(answer.value);
  if (job.done && panel()?.dataset.label === label) await refresh(id);
  show(job.message);
}

// Show the page as it is now; the focus stays at its text.
export async function refresh(id = (current() || chosen())?.dataset.id) {
  if (!panel() || compared()) return (await visit(location.href)) && focus(document.getElementById(`d${id}`) || items()[0]);
  const html = await request(`/class/${panel().dataset.label}/panel?${panel().dataset.query}`);
  if (!html) return undefined;
  panel().innerHTML = html.value;
  reopen(save);
  return focus(document.getElementById(`d${id}`) || items().find((item) => item.dataset.status === "pending"));
}

// Wait for the end of a job. A server that was stopped knows nothing of it; what it had stored is kept.
async function ended(job) {
  while (!job.done) {
    show(job.message);
    await new Promise((resolve) => setTimeout(resolve, 700));
    const answer = await request(`/jobs/${job.id}`, undefined, { quiet: true });
    if (!answer)
      return { message: "The server was stopped while the model wrote. Start it again, reload the page, and ask again if the texts are not new." };
    job = answer.value;
  }
  return job;
}

const itemCommands = {
  accept: (item) => decide("accept", { refs: refs([item]) }),
  reject: (item) => decide("reject", { refs: refs([item]) }),
  restore: (item) => decide("restore", { refs: refs([item]) }),
  edit: (item) => edit(item, save),
  up: (item) => move(item, -1),
  down: (item) => move(item, 1),
  comment: (item) => note(`/comments/${item.dataset.id}`, () => refresh(item.dataset.id)),
  history: (item) => sheet(`/history/${item.dataset.id}`),
  "use-mine": (item) => {
    const { decision, text } = item.querySelector("[data-do=use-mine]").dataset;
    drop(item.dataset.id);
    return decide(decision, { refs: refs([item]), text });
  },
  "keep-theirs": (item) => { drop(item.dataset.id); item.querySelector(".conflict").remove(); focus(item); },
};

const pageCommands = {
  undo: () => decide("undo", {}),
  help: () => document.getElementById("help").showModal(),
  guidelines: () => note("/guidelines", () => refresh((current() || chosen())?.dataset.id)),
  next: () => step(1),
  previous: () => step(-1),
  "accept-all": () => {
    const open = items().filter((item) => item.dataset.status === "pending");
    return open.length && panel() && !compared() ? decide("accept", { refs: refs(open) }) : undefined;
  },
  add: () => { const field = ((current() || chosen())?.closest(".kind") || document).querySelector(".add input"); if (field) field.focus(); },
  sheet: () => { const button = current()?.closest(".column")?.querySelector("[data-sheet]"); if (button) sheet(button.dataset.sheet); },
};

const keys = {
  a: "accept", r: "reject", e: "edit", p: "restore", c: "comment", h: "history", "<": "up", ">": "down",
  j: "next", ArrowDown: "next", k: "previous", ArrowUp: "previous", u: "undo", A: "accept-all", n: "add", "?": "help", i: "sheet", g: "guidelines",
};

// Run a command; for a decision, return a promise of whether it was made.
function execute(name, id) {
  const { blind } = document.body.dataset;
  if (blind && ["edit", "add", "up", "down"].includes(name)) return void show(blind);
  if (pageCommands[name]) return pageCommands[name]();
  const item = id ? document.getElementById(`d${id}`) : current() || chosen();
  if (!item || !item.dataset.id || !itemCommands[name]) return undefined;
  return itemCommands[name](item);
}

// Run commands one after the other: a key pressed while a decision is being sent applies to the page that follows it.
const waiting = [];
let busy = false;
async function run(name, id) {
  waiting.push([name, id]);
  if (busy) return;
  busy = true;
  try {
    while (waiting.length) {
      const [next, target] = waiting.shift();
      const refused = (await execute(next, target)) === false;
      if (refused || next === "edit" || next === "add") waiting.length = 0; // the keys were meant for another page, or as text
    }
  } finally {
    busy = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.do) run(button.dataset.do, button.closest(".item")?.dataset.id);
  if (button.dataset.all) all(button);
  if (button.dataset.sheet) sheet(button.dataset.sheet);
  if (button.dataset.regenerate) regenerate(button.dataset.regenerate);
});

// Single keys act only while a text or a class has the focus, and can be turned off (WCAG 2.1.4). Arrows are no characters.
const single = document.getElementById("single-keys");
single.checked = localStorage.getItem("single-keys") !== "off";
single.onchange = () => localStorage.setItem("single-keys", single.checked ? "on" : "off");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  if (!current() || (event.key.length === 1 && !single.checked)) return;
  const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (link) { event.preventDefault(); link.matches("input") ? link.focus() : link.click(); return; }
  const name = keys[event.key];
  if (!name) return;
  event.preventDefault();
  run(name);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.add");
  if (!form) return;
  event.preventDefault();
  const { kind } = form.dataset, text = form.elements.text.value;
  drop(`add:${kind}`);
  form.elements.text.value = "";
  decide("add", { kind, text }).then((made) => { if (!made) { keep(`add:${kind}`, text); reopen(save); } });
});

// Start at the first pending text of a class, or at the class of a table that the address names, or at its first.
reopen(save);
focus(document.getElementById(`c${new URL(location).searchParams.get("at")}`) || items().find((item) => item.dataset.status === "pending") || items()[0]);
