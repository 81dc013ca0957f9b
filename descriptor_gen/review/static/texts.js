// Words replaced in many texts.
import { confirmed, focus, items, request, show, visit } from "./page.js";

async function replaceAll(button) {
  const { old, new: words, whole, case: same, filter, stamp, count } = button.dataset;
  if (!(await confirmed(`Replace “${old}” by “${words}” in ${count} texts? Each keeps its status. One undo restores all of them.`))) return;
  const answer = await request("/replace", { old, new: words, whole: Boolean(whole), case: Boolean(same), query: filter, stamp });
  if (!answer || !(await visit(`/?${filter}`))) return;
  focus(items()[0]);
  show(answer.value.message);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.id === "replace") replaceAll(button);
});
