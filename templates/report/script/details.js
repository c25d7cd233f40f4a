// What is chosen, and all that is known of it.

const selection = { id: null, listeners: [] };

/** Show the details of a layer or a group, and mark it wherever it is. */
function select(id) {
  selection.id = id;
  showDetails(id);
  markSelected();
  for (const listener of selection.listeners) listener(id);
  say(`Selected ${spoken(id)}`);
}

/** The same from outside of the graph, which then moves there. */
function selectFromElsewhere(id) {
  markCurrent(visible(id));
  reveal(visible(id));
  select(id);
}

function say(text) {
  byId("live").textContent = text;
}

function spoken(id) {
  const item = itemOf(id);
  if (isGroup(id))
    return `${item.name}, ${item.kind}, ${open.has(id) ? "unfolded" : "folded"}, ${plural(layersIn(item).length, "layer")}`;
  return [item.name, item.kind, item.shapes && `output ${shapesText(item.shapes)}`, isWrong(item) && "has a problem"]
    .filter(Boolean)
    .join(", ");
}

function showDetails(id) {
  const item = itemOf(id);
  byId("details-title").textContent = item.name;
  const close = button("Close", closeDetails, { class: "controls close" });
  bodyOf("details").replaceChildren(close, ...(isGroup(id) ? groupDetails(item) : layerDetails(item)));
  byId("details").classList.add("shown");
  byId("details").scrollTop = 0;
}

function closeDetails() {
  byId("details").classList.remove("shown");
  canvas.focus({ preventScroll: true });
}

/** The sum of what is known, or null where nothing is. */
function total(items, key) {
  const known = items.map((item) => item[key]).filter((value) => value != null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

function groupDetails(group) {
  const members = layersIn(group);
  const facts = [
    ["Kind", group.kind],
    ["Layers", whole(members.length)],
    ["Parameters", whole(total(members, "parameters"))],
    ["MACs", amount(total(members, "macs"))],
    ["Time", seconds(total(members, "time"))],
  ];
  const fold = () => {
    toggle(group.id);
    showDetails(group.id);
  };
  return [
    terms(facts, { class: "facts" }),
    button(open.has(group.id) ? "Fold" : "Unfold", fold, { class: "controls" }),
  ];
}

function layerDetails(layer) {
  return [
    layer.problem && element("p", { class: "warning" }, layer.problem),
    layerFacts(layer),
    part("Error against Keras", errorDetails(layer.error)),
    part("In the module", lineLinks(layer.lines)),
    part("Activation", activationView(layer.activation)),
    part("Weights", layer.weights.map(weightView)),
    part("Config", configView(layer.config)),
  ].filter(Boolean);
}

/** A part with its heading, or nothing where there is nothing in it. */
function part(title, content) {
  const children = [content].flat().filter(Boolean);
  return children.length ? element("section", { class: "part" }, element("h3", {}, title), children) : null;
}

function layerFacts(layer) {
  const facts = [
    ["Kind", layer.kind],
    ["Computes", layer.note],
    ["Nested in", layer.group && named(layer.group)],
    ["Output", layer.shapes && shapesText(layer.shapes)],
    ["Parameters", whole(layer.parameters)],
    ["MACs", layer.macs == null ? null : whole(layer.macs)],
    ["Time", layer.time == null ? null : seconds(layer.time)],
    ["Memory at its peak", layer.memory == null ? null : bytes(layer.memory)],
    ["Size of its output", layer.output_bytes == null ? null : bytes(layer.output_bytes)],
  ];
  return terms(facts, { class: "facts" });
}

function errorDetails(error) {
  if (!error) return null;
  const facts = [
    ["Relative", scientific(error.relative)],
    ["Absolute", scientific(error.absolute)],
    ["Tolerance", scientific(error.tolerance)],
    ["Verdict", badge(error.ok ? "good" : "bad", error.ok ? "within the tolerance" : "differs")],
  ];
  return terms(facts, { class: "facts" });
}

const badge = (look, text) => element("span", { class: `badge ${look}` }, text);

/** A link for each run of lines, with the lines. */
function lineLinks(lines) {
  if (!lines.length || report.source === null) return null;
  const items = runs(lines).map(([first, last]) => {
    const link = element("a", { href: `#L${first}` }, first === last ? `Line ${first}` : `Lines ${first} to ${last}`);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      jumpTo(lines, first);
    });
    return element("li", {}, link, element("pre", { class: "name" }, dedented(sourceLines.slice(first - 1, last))));
  });
  return element("ul", { class: "lines" }, items);
}

/** The first and the last of numbers that follow each other. */
function runs(numbers) {
  const found = [];
  for (const number of numbers) {
    const run = found[found.length - 1];
    if (run && number === run[1] + 1) run[1] = number;
    else found.push([number, number]);
  }
  return found;
}

function dedented(lines) {
  const indents = lines.filter((line) => line.trim()).map((line) => line.search(/\S/));
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n");
}

/** A config as pairs; what is nested stands there as JSON. */
function configView(config) {
  const pairs = Object.entries(config).map(([key, value]) => [
    named(key),
    element("code", { class: "name" }, JSON.stringify(value)),
  ]);
  return pairs.length ? terms(pairs, { class: "config" }) : null;
}

function weightView(weight) {
  const numbers = [
    ["min", digits(weight.min)],
    ["max", digits(weight.max)],
    ["mean", digits(weight.mean)],
    ["std", digits(weight.std)],
    ["zeros", weight.zeros ? `${digits(weight.zeros * 100)} %` : null],
    ["NaN or infinite", weight.not_finite ? whole(weight.not_finite) : null],
  ];
  const title = element("figcaption", {}, named(weight.name), ` ${shapeText(weight.shape)} ${weight.dtype}`);
  return element("figure", { class: "weight" }, title, histogram(weight), terms(numbers, { class: "numbers" }));
}

function histogram(weight) {
  const [width, height] = [320, 56];
  const most = Math.max(1, ...weight.counts);
  const each = width / Math.max(1, weight.counts.length);
  const bars = weight.counts.map((number, index) => {
    const tall = number ? Math.max(1, (number / most) * (height - 2)) : 0;
    return shape("rect", { x: index * each, y: height - tall, width: Math.max(1, each - 1), height: tall });
  });
  const label = `Histogram of ${weight.name}: from ${digits(weight.min)} to ${digits(weight.max)}, mean ${digits(weight.mean)}`;
  return shape(
    "svg",
    { class: "histogram", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    bars,
  );
}
