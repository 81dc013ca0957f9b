// The page: requests, messages, and the focus. Every request goes through `request`, which reports what goes wrong.

const csrf = document.querySelector("meta[name=csrf-token]").content;
const SECONDS = 60; // after which a request counts as lost
const SLOW = 2; // seconds after which the reviewer is told that it takes long
const messages = document.getElementById("message");
let ends = 0;

export const panel = () => document.getElementById("class");
// The texts (or classes) that keys go through: those that the filter folds are left out.
export const items = () => [...document.querySelectorAll(".item")].filter((item) => !item.closest(".folded"));
export const current = () => document.activeElement?.closest(".item") || null;
// The text that the bar of actions is about: the last one that had the focus.
export const chosen = () => document.querySelector(".item.chosen");

export function show(text) {
  messages.textContent = text;
  clearTimeout(ends);
  ends = setTimeout(() => { messages.textContent = ""; }, Math.max(6000, 60 * text.length));
  uncover(document.activeElement);
}

// Return { ok, status, value }: JSON, or text. Null if there is no answer that a page can use; the reviewer was told why.
export async function request(path, body, { quiet = false } = {}) {
  const slow = quiet ? 0 : setTimeout(() => show("Waiting for the server ..."), 1000 * SLOW);
  try {
    const answer = await fetch(path, { ...(body === undefined ? {} : posted(body)), signal: AbortSignal.timeout(1000 * SECONDS) });
    const json = (answer.headers.get("content-type") || "").includes("json");
    const value = json ? await answer.json() : await answer.text();
    if (answer.ok || answer.status === 409) return { ok: answer.ok, value };
    if (!quiet) show((json && value.message) || `The server failed (${answer.status}): reload the page, it shows what was decided.`);
  } catch {
    if (!quiet) show("The server does not answer. Start it again and reload the page: it shows what was decided.");
  } finally {
    clearTimeout(slow);
    if (messages.textContent.startsWith("Waiting")) messages.textContent = "";
  }
  return null;
}

const posted = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
  body: JSON.stringify(body),
});

// Give the focus to a text or a class: to its link, if it has one, since Enter opens it.
export function focus(item) {
  if (!item) return;
  for (let fold = item.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const target = item.querySelector("th a") || item;
  target.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
  uncover(item);
}

// Scroll such that neither the header nor the message covers an element.
export function uncover(element) {
  if (!element || element === document.body || element.closest("dialog, header, .actions")) return;
  const place = element.getBoundingClientRect();
  const top = document.querySelector(".top").getBoundingClientRect();
  const header = getComputedStyle(document.querySelector(".top")).position === "sticky" ? top.bottom : 0;
  const bar = document.querySelector(".actions");
  const covers = [...(bar ? [bar] : []), ...(messages.textContent ? [messages] : [])];
  const bottom = Math.min(innerHeight, ...covers.map((cover) => cover.getBoundingClientRect().top));
  if (place.top < header) scrollBy(0, place.top - header - 4);
  else if (place.bottom > bottom) scrollBy(0, Math.min(place.bottom - bottom + 4, place.top - header - 4));
}
document.addEventListener("focusin", (event) => {
  const item = event.target.closest(".item");
  if (item && item !== chosen()) {
    chosen()?.classList.remove("chosen");
    item.classList.add("chosen");
  }
  uncover(event.target);
});
new ResizeObserver(([entry]) => {
  document.documentElement.style.scrollPaddingTop = `${entry.target.offsetHeight + 4}px`;
}).observe(document.querySelector(".top"));

// Show another page of the application without a new document, so that no message is lost.
export async function visit(address) {
  const answer = await request(address);
  if (!answer) return false;
  const next = new DOMParser().parseFromString(answer.value, "text/html");
  for (const part of ["main", ".top nav", ".top .progress"])
    document.querySelector(part).replaceWith(next.querySelector(part));
  document.title = next.title;
  document.body.dataset.page = next.body.dataset.page;
  if (new URL(address, location).href !== location.href) history.pushState(null, "", address);
  return true;
}
addEventListener("popstate", () => location.reload());

export async function sheet(path) {
  const answer = await request(path);
  if (!answer) return;
  const dialog = document.getElementById("sheet"), body = document.getElementById("sheet-body");
  body.innerHTML = answer.value;
  dialog.showModal();
  dialog.scrollTop = 0;
  body.querySelector("[autofocus]")?.focus({ preventScroll: true });
}

export function confirmed(question) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
