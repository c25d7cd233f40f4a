// The table of layers.

const COLUMNS = [
  {
    title: "#",
    value: (layer) => layers.indexOf(layer),
    text: (layer) => String(layers.indexOf(layer) + 1),
    number: true,
  },
  { title: "Layer", value: (layer) => layer.id, text: (layer) => layer.id },
  { title: "Kind", value: (layer) => layer.kind, text: (layer) => layer.kind },
  {
    title: "Output",
    value: ({ shapes }) => (shapes ? shapesText(shapes) : null),
    text: ({ shapes }) => shapesText(shapes),
  },
  { title: "Parameters", value: (layer) => layer.parameters, text: (layer) => whole(layer.parameters), number: true },
  { title: "MACs", value: (layer) => layer.macs, text: (layer) => amount(layer.macs), number: true },
  { title: "Time", value: (layer) => layer.time, text: (layer) => seconds(layer.time), number: true },
  { title: "Memory", value: (layer) => layer.memory, text: (layer) => bytes(layer.memory), number: true },
  {
    title: "Error",
    value: ({ error }) => error?.relative,
    text: ({ error }) => scientific(error?.relative),
    number: true,
  },
];

function showTable() {
  const rows = layers.map((layer) => ({
    layer,
    line: tableRow(layer),
    words: COLUMNS.slice(1, 4)
      .map(({ text }) => text(layer))
      .join(" ")
      .toLowerCase(),
  }));
  const head = element(
    "tr",
    {},
    COLUMNS.map((column) => headCell(column, rows)),
  );
  const body = element(
    "tbody",
    {},
    rows.map(({ line }) => line),
  );
  const count = element("span", { class: "note", role: "status" }, plural(rows.length, "layer"));
  const filter = element("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false" });
  filter.addEventListener("input", () => filterRows(rows, filter.value, count));
  const bar = element("div", { class: "bar controls" }, element("label", { for: "filter" }, "Filter"), filter, count);
  const grid = element(
    "table",
    { class: "layers" },
    element("caption", { class: "unseen" }, "Layers"),
    element("thead", {}, head),
    body,
  );
  bodyOf("layers").append(bar, scroller("Layers", grid));
  selection.listeners.push((id) =>
    rows.forEach(({ layer, line }) => line.classList.toggle("selected", layer.id === id)),
  );
}

function tableRow(layer) {
  const cells = COLUMNS.map(({ title, text, number }) => {
    if (title === "Layer")
      return element("th", { scope: "row" }, layerButton(layer.id), isWrong(layer) ? badge("bad", "!") : null);
    return element("td", { class: number ? "number" : "name" }, text(layer));
  });
  return element("tr", {}, cells);
}

function headCell(column, rows) {
  const cell = element("th", { scope: "col", "aria-sort": "none", class: column.number ? "number" : null });
  cell.append(button(column.title, () => sortRows(column, cell, rows)));
  return cell;
}

/** Sort by a column: numbers from the largest, a second time the other way; what is unknown comes last. */
function sortRows(column, cell, rows) {
  const first = column.number && column.title !== "#" ? "descending" : "ascending";
  const other = { ascending: "descending", descending: "ascending" };
  const order = cell.getAttribute("aria-sort") === "none" ? first : other[cell.getAttribute("aria-sort")];
  for (const sibling of cell.parentNode.children) sibling.setAttribute("aria-sort", "none");
  cell.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const sorted = [...rows].sort((a, b) => compared(column.value(a.layer), column.value(b.layer), sign));
  cell.closest("table").tBodies[0].append(...sorted.map(({ line }) => line));
  say(`Sorted by ${column.title}, ${order}`);
}

function compared(a, b, sign) {
  if (a == null || b == null) return (a == null) - (b == null);
  return sign * (typeof a === "number" ? a - b : NATURAL.compare(a, b));
}

const NATURAL = new Intl.Collator("en", { numeric: true });

function filterRows(rows, text, count) {
  const wanted = text.trim().toLowerCase().split(/\s+/);
  const hits = rows.filter((row) => {
    row.line.hidden = !wanted.every((word) => row.words.includes(word));
    return !row.line.hidden;
  });
  count.textContent = `${whole(hits.length)} of ${plural(rows.length, "layer")}`;
}
