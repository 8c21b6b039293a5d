"use strict";
// Sorts tables by their headers, filters leaderboards, and follows a search. Without it the page says the same, unsorted.
// Pattern: W3C ARIA Authoring Practices, "Sortable Table Example": a button in the header, aria-sort on it.
const NUMBER = /^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?(-\d+$|%?$| [±(/])/i;
const collator = new Intl.Collator("en", { numeric: true });

function sort(table, header, descending = header.getAttribute("aria-sort") === "ascending") {
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

// A page that is made again after each trial loads itself again, until told not to, and is then as its reader left it.
const follow = document.getElementById("follow");
const TOUCHED = "a, button, input, select, summary, .scroll";
const box = document.createElement("input");

// The same in the page that comes next: counts in texts are left out, because they grow.
function nameOf(element) {
  const around = element.closest("section")?.getAttribute("aria-labelledby");
  const label = element.closest("[aria-label]")?.getAttribute("aria-label");
  return element.id || [around, label, element.tagName, element.textContent.trim().replace(/\d+/g, "#")].join("|");
}

function asLeft() {
  const sorted = [...document.querySelectorAll("th[aria-sort]")];
  return {
    followed: box.checked,
    filters: [...document.querySelectorAll("#filters select")].map((each) => [each.id, each.value]),
    sorted: sorted.map((each) => [nameOf(each.firstElementChild), each.getAttribute("aria-sort") === "descending"]),
    open: [...document.querySelectorAll("details[open] > summary")].map(nameOf),
    focused: document.activeElement.matches(TOUCHED) ? nameOf(document.activeElement) : null,
    place: [scrollX, scrollY],
  };
}

const keep = () => history.replaceState(asLeft(), "");

function leaveAs(left) {
  const named = new Map([...document.querySelectorAll(TOUCHED)].map((each) => [nameOf(each), each]));
  box.checked = left.followed;
  for (const [id, value] of left.filters) {
    const chooser = document.getElementById(id);
    if (chooser && [...chooser.options].some((each) => each.value === value)) chooser.value = value;
  }
  if (filters) filter();
  for (const [name, descending] of left.sorted) {
    const header = named.get(name)?.closest("th");
    if (header) sort(header.closest("table"), header, descending);
  }
  for (const name of left.open) named.get(name)?.closest("details")?.setAttribute("open", "");
  named.get(left.focused)?.focus({ preventScroll: true });
  addEventListener("load", () => scrollTo(...left.place)); // not before pictures have their heights
}

// Not while it is read out of, chosen in, or seen by nobody.
function reload() {
  const busy = document.hidden || getSelection().toString() !== "" || document.activeElement.matches("select");
  if (!box.checked || busy) return;
  keep();
  location.reload();
}

if (follow) {
  const label = document.createElement("label");
  Object.assign(box, { type: "checkbox", checked: true, id: "follow-box" });
  label.append(box, ` Follow the search: load this page again every ${follow.dataset.seconds} seconds`);
  follow.replaceChildren(label);
  history.scrollRestoration = "manual";
  box.addEventListener("change", keep); // for who loads the page again by hand
  setInterval(reload, 1000 * follow.dataset.seconds);
}
if (history.state) leaveAs(history.state);
