// Runs: their names, tags and notes, their deletion, and the confusion matrix.
import { confirmed, request, show, visit } from "/static/descriptor_gen.review/page.js";

const fields = (form) => ({ name: form.elements.name.value, tags: form.elements.tags.value, note: form.elements.note.value });
const original = (form) => ({ name: form.elements.name.defaultValue, tags: form.elements.tags.defaultValue, note: form.elements.note.defaultValue });
const isChanged = (form) => JSON.stringify(fields(form)) !== JSON.stringify(original(form));

// Open the form of a run in a row below its own; the button closes it again, unless something in it was changed.
function edit(button) {
  const row = button.closest("tr"), open = row.nextElementSibling?.querySelector(".labels-form");
  if (open) {
    if (!isChanged(open)) row.nextElementSibling.remove();
    else open.elements.name.focus();
    return;
  }
  const line = document.createElement("tr"), cell = document.createElement("td");
  cell.colSpan = row.cells.length;
  cell.append(document.getElementById("labels-form").content.cloneNode(true));
  line.append(cell);
  const form = cell.querySelector("form");
  form.dataset.run = button.dataset.editRun;
  for (const name of ["name", "tags", "note"]) form.elements[name].value = form.elements[name].defaultValue = button.dataset[name];
  row.after(line);
  form.elements.name.focus();
}

async function save(form) {
  const { run } = form.dataset;
  const answer = await request(`/runs/${run}`, { ...fields(form), read: original(form) });
  if (!answer) return; // the words stay in the form
  await visit(location.href);
  document.querySelector(`#run${run} a`)?.focus();
  show(answer.value.message);
}

async function remove(form) {
  const contents = await request(`/runs/${form.dataset.run}/contents`);
  if (!contents) return;
  const { run, name, dataset, predictions, impacts } = contents.value;
  const called = name ? `${run} (${name})` : run;
  if (!(await confirmed(`Delete run ${called} on ${dataset} with its ${predictions} predictions and ${impacts} impacts of texts? This cannot be undone.`))) return;
  const answer = await request(`/runs/${run}/delete`, contents.value);
  if (!answer) return;
  await visit(location.pathname === "/runs" ? location.href : "/runs");
  document.getElementById("main").focus();
  show(answer.value.message);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.editRun) edit(button);
  if (button && "deleteRun" in button.dataset) remove(button.closest("form"));
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches(".labels-form")) return;
  event.preventDefault();
  save(event.target);
});
// The names of the classes, once one is typed: 600 of them are not part of every page.
document.addEventListener("focusin", async (event) => {
  const list = event.target.matches("input[list]") && event.target.list;
  if (!list || !list.dataset.from) return;
  const address = list.dataset.from;
  delete list.dataset.from;
  const answer = await request(address, undefined, { quiet: true });
  if (!answer) list.dataset.from = address;
  else list.append(...answer.value.map((name) => Object.assign(document.createElement("option"), { value: name })));
});
addEventListener("beforeunload", (event) => {
  if ([...document.querySelectorAll(".labels-form")].some(isChanged)) event.preventDefault();
});

// The matrix is one drawing; a cell is where the pointer is, or where the arrow keys went.
const matrix = document.getElementById("matrix");
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
if (matrix) {
  const data = JSON.parse(matrix.dataset.cells), svg = matrix.querySelector("svg"), here = document.getElementById("here");
  const [left, top_, side] = ["left", "top", "side"].map((name) => Number(matrix.dataset[name]));
  let row = -1, column = -1;
  const address = () => `/runs/${matrix.dataset.run}?${new URLSearchParams({ true: data.rows[row], predicted: data.columns[column] })}#videos`;
  const choose = (y, x) => {
    if (y < 0 || x < 0 || y >= data.rows.length || x >= data.columns.length) return false;
    [row, column] = [y, x];
    here.setAttribute("x", x * side);
    here.setAttribute("y", y * side);
    here.setAttribute("visibility", "visible");
    const videos = data.cells[y].find(([place]) => place === x)?.[1] || 0;
    const link = document.createElement("a");
    link.href = address();
    link.textContent = `${data.rows[y]} predicted as ${data.columns[x]}: ${videos} of ${data.videos[y]} videos`;
    document.getElementById("cell").replaceChildren(link);
    return true;
  };
  const pointed = (event) => {
    const box = svg.getBoundingClientRect();
    return choose(Math.floor((event.clientY - box.top - top_) / side), Math.floor((event.clientX - box.left - left) / side));
  };
  matrix.addEventListener("pointermove", pointed);
  matrix.addEventListener("click", (event) => { if (pointed(event)) location.assign(address()); });
  matrix.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (step) {
      event.preventDefault();
      choose(Math.max(0, Math.min(row + step[0], data.rows.length - 1)), Math.max(0, Math.min(column + step[1], data.columns.length - 1)));
      here.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (event.key === "Enter" && row >= 0) location.assign(address());
  });
}
