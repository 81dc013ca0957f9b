// Other reviewers: what they changed on the page of a class meanwhile, and settling what they decided blind.
import { confirmed, focus, items, panel, request, show, uncover, visit } from "./page.js";
import { refresh } from "./review.js";

const SECONDS = 15; // between two questions to the server
const mark = () => document.getElementById("event"); // a new one comes with each new state of the texts
const line = Object.assign(document.createElement("div"), { id: "presence" });
line.setAttribute("role", "status");
document.querySelector(".top").append(line);
let about = null; // the mark that the line is about

async function look() {
  const asked = mark();
  if (!asked || document.hidden) return;
  const answer = await request(`/class/${panel().dataset.label}/changes?since=${asked.dataset.event}`, undefined, { quiet: true });
  if (!answer || mark() !== asked || answer.value.message === line.firstChild?.textContent) return;
  about = asked;
  line.replaceChildren();
  if (!answer.value.message) return;
  const words = document.createElement("span"), button = document.createElement("button");
  words.textContent = answer.value.message;
  Object.assign(button, { type: "button", textContent: "Show the changes", onclick: () => refresh() });
  line.append(words, button);
  uncover(document.activeElement);
}
setInterval(look, 1000 * SECONDS);
document.addEventListener("visibilitychange", look);
new MutationObserver(() => { if (line.firstChild && mark() !== about) line.replaceChildren(); })
  .observe(document.body, { childList: true, subtree: true });

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-settle]");
  if (!button) return;
  const { settle: decision, which, stamp, count } = button.dataset;
  if (!await confirmed(`${decision === "accept" ? "Accept" : "Reject"} ${count} text${count === "1" ? "" : "s"}? One undo restores all of them.`)) return;
  const answer = await request("/settle", { decision, which, stamp });
  if (!answer) return;
  await visit(location.href);
  focus(items().find((item) => item.dataset.status === "pending") || items()[0]);
  show(answer.value.message);
});
