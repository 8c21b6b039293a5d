"use strict";
// Sorts tables by their headers, and filters leaderboards. Without it the page says the same, unsorted.
// Pattern: W3C ARIA Authoring Practices, "Sortable Table Example": a button in the header, aria-sort on it.
const NUMBER = /^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?(-\d+$|%?$| [±(/])/i;
const collator = new Intl.Collator("en", { numeric: true });

function sort(table, header) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  const rows = [...table.tBodies[0].rows].map((row) => [row.cells[header.cellIndex].textContent.trim(), row]);
  const numeric = rows.every(([text]) => text === "" || NUMBER.test(text));
  const value = (text) => parseFloat(text.replaceAll(",", ""));
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // cells without a value come last either way
    return (numeric ? value(a) - value(b) : collator.compare(a, b)) * (descending ? -1 : 1);
  });
  for (const each of header.parentNode.cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header));
    header.append(button);
  }
}

const filters = document.getElementById("filters");

function keepRows(table, architecture) {
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) row.hidden = architecture !== "" && row.dataset.architecture !== architecture;
  const kept = rows.filter((row) => !row.hidden).length;
  table.closest(".scroll").hidden = kept === 0;
  return kept;
}

function filter() {
  const part = filters.elements.part.value, architecture = filters.elements.architecture.value;
  let shown = 0;
  for (const section of document.querySelectorAll("section.part")) {
    const tables = [...section.querySelectorAll("table.sortable")];
    // The last one holds all ranked trials, one before it the best few.
    const kept = tables.map((table) => keepRows(table, architecture)).at(-1) ?? 0;
    section.hidden = (part !== "" && section.dataset.part !== part) || (architecture !== "" && kept === 0);
    if (!section.hidden) shown += kept;
    const all = section.querySelector("details.all");
    if (all && architecture !== "") all.open = true;
  }
  filters.querySelector("output").textContent = `${shown} ranked ${shown === 1 ? "trial" : "trials"}`;
}

if (filters) {
  filters.hidden = false;
  filters.addEventListener("input", filter);
  filters.addEventListener("reset", () => setTimeout(filter)); // after the browser has emptied them
  filter();
}
