"use strict";
// The page is complete without this script. It sorts tables, names the cell under the pointer, and unfolds texts for print.
const valueOf = (row, column) => {
  const cell = row.cells[column], value = cell.dataset.value ?? cell.textContent.trim();
  return value !== "" && !isNaN(value) ? Number(value) : value.toLowerCase();
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));

function sortBy(table, header, column) {
  const numeric = header.classList.contains("number");
  const first = numeric ? "descending" : "ascending", second = numeric ? "ascending" : "descending";
  const order = header.getAttribute("aria-sort") === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows].sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
  table.tHead.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", order);
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if (header.classList.contains("bars")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header, column));
    header.append(button);
  });
}

const matrix = document.getElementById("matrix"), here = document.getElementById("here");
const pointed = document.querySelector(".pointed"), data = JSON.parse(document.getElementById("cells").textContent);
const [left, top_, side] = ["left", "top", "side"].map(name => Number(matrix.dataset[name]));

function point(event) {
  const box = matrix.getBoundingClientRect(), scale = matrix.viewBox.baseVal.width / box.width;
  const column = Math.floor(((event.clientX - box.left) * scale - left) / side);
  const row = Math.floor(((event.clientY - box.top) * scale - top_) / side);
  const inside = row >= 0 && column >= 0 && row < data.rows.length && column < data.columns.length;
  here.setAttribute("visibility", inside ? "visible" : "hidden");
  if (!inside) return;
  here.setAttribute("x", column * side);
  here.setAttribute("y", row * side);
  const cell = data.cells[row].find(([place]) => place === column), count = cell ? cell[1] : 0, all = data.videos[row];
  const share = (100 * count / all).toFixed(1);
  pointed.textContent = `${data.names[data.rows[row]]} → ${data.names[data.columns[column]]}: ${count} of ${all} videos (${share} %)`;
}
pointed.textContent = "Point at a cell to read it.";
matrix.addEventListener("pointermove", point);
matrix.addEventListener("click", point);

const folded = [];
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open], .long)")) { part.open = true; folded.push(part); }
});
window.addEventListener("afterprint", () => { while (folded.length) folded.pop().open = false; });
