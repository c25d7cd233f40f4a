"use strict";
// The page of a report. All that it shows is in the JSON of #report; the model's words only ever become text nodes and
// the values of harmless attributes. Each section below is one part of the page; the last one starts them all.

const report = JSON.parse(document.getElementById("report").textContent);
const byId = (id) => document.getElementById(id);
const bodyOf = (id) => byId(id).querySelector(".body");

// ---------------------------------------------------------------------------------------------- elements

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Strings among the children become text; attributes that are null or false are left out. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

function button(text, action, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", action);
  return node;
}

/** Pairs of a term and what it is; a pair without a value is left out. */
function terms(pairs, attributes = {}) {
  const known = pairs.filter(([, value]) => value != null && value !== "");
  const rows = known.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("dl", attributes, rows);
}

/** A plain table; cells are strings or elements. A table may be wider than the page: it scrolls by itself. */
function table(label, titles, rows) {
  const head = element(
    "tr",
    {},
    titles.map((title) => element("th", { scope: "col" }, title)),
  );
  const lines = rows.map((row) =>
    element(
      "tr",
      {},
      row.map((cell) => element("td", {}, cell)),
    ),
  );
  return scroller(label, element("table", {}, element("thead", {}, head), element("tbody", {}, lines)));
}

function scroller(label, ...children) {
  return element("div", { class: "scroller", role: "region", tabindex: 0, "aria-label": label }, ...children);
}

const note = (text) => element("p", { class: "note" }, text);
const named = (text) => element("span", { class: "name" }, text);

// ---------------------------------------------------------------------------------------------- numbers

const NONE = "–";
const WHOLE = new Intl.NumberFormat("en");

const whole = (number) => (number == null ? NONE : WHOLE.format(number));
const scientific = (number) => (number == null ? NONE : number === 0 ? "0" : number.toExponential(1)); // or Infinity
const bytes = (number) => (number == null ? NONE : scaled(number, 1000, ["B", "kB", "MB", "GB", "TB"]));
const amount = (number) => (number == null ? NONE : scaled(number, 1000, ["", "k", "M", "G", "T"]).trim());
const seconds = (number) => (number == null ? NONE : scaled(number * 1e9, 1000, ["ns", "µs", "ms", "s"]));
const shapeText = (sizes) => `(${sizes.map((size) => size ?? "None").join(", ")})`;
const shapesText = (shapes) => (shapes ? shapes.map(shapeText).join(", ") : NONE);
const plural = (number, word) => `${whole(number)} ${word}${number === 1 ? "" : "s"}`;

function scaled(number, base, units) {
  let index = 0;
  while (Math.abs(number) >= base && index < units.length - 1) {
    number /= base;
    index += 1;
  }
  return `${digits(number)} ${units[index]}`;
}

/** Three significant digits, and never an exponent where it can be helped. */
function digits(number) {
  if (number == null) return NONE;
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return number.toExponential(2);
  return String(Number(number.toPrecision(size >= 100 ? Math.ceil(Math.log10(size + 1)) : 3)));
}

// ---------------------------------------------------------------------------------------------- families

// Kinds of layers that look alike in the graph; the first that matches counts.
const FAMILIES = [
  ["input", "Input", /^Input/],
  ["recurrent", "Recurrent", /LSTM|GRU|RNN|Bidirectional|TimeDistributed/],
  ["attention", "Attention", /Attention/],
  ["normalization", "Normalization", /Normalization|Rescaling/],
  ["pooling", "Pooling", /Pool/],
  ["convolution", "Convolution", /Conv/],
  ["embedding", "Embedding and lookup", /Embedding|Lookup|Vectorization|Hashing|Discretization|Encoding/],
  ["dense", "Dense", /Dense/],
  ["activation", "Activation", /Activation|ReLU|ELU|Softmax|Sigmoid/i],
  ["merge", "Merge", /^(Add|Subtract|Multiply|Average|Maximum|Minimum|Concatenate|Dot)$/],
  ["shape", "Shape", /Reshape|Flatten|Permute|Padding|Cropping|UpSampling|RepeatVector|Resizing/],
  ["training", "Only in training", /Dropout|Noise|Regularization|^Random/],
  ["model", "Nested model", /^(Functional|Sequential|Model)$/],
];

const familyOf = (kind) => (FAMILIES.find(([, , kinds]) => kinds.test(kind)) ?? ["other"])[0];

// ---------------------------------------------------------------------------------------------- the model's tree

const layers = report.layers;
const layerById = new Map(layers.map((layer) => [layer.id, layer]));
const groupById = new Map(report.groups.map((group) => [group.id, { ...group, children: [] }]));
const root = { id: "", name: report.model.name, kind: "Model", group: "", children: [] };
const isGroup = (id) => groupById.has(id);
const groupOf = (id) => groupById.get(id) ?? root;
const itemOf = (id) => groupById.get(id) ?? layerById.get(id);
const parentOf = (id) => groupOf(itemOf(id).group).id;

/** The groups around an item, the outermost first, and the item. */
function pathOf(id) {
  const path = [id];
  while (path[0] !== "") path.unshift(parentOf(path[0]));
  return path;
}

/** Put layers into their groups and groups into theirs, in the order in which their first layers come. */
function growTree() {
  const placed = new Set([""]);
  for (const { id } of [...layers, ...groupById.values()]) {
    for (const step of pathOf(id).filter((step) => !placed.has(step))) {
      groupOf(parentOf(step)).children.push(step);
      placed.add(step);
    }
  }
}

/** The layers in a group, those of the groups in it too. */
function layersIn(group) {
  return group.children.flatMap((id) => (isGroup(id) ? layersIn(groupOf(id)) : [layerById.get(id)]));
}

/** For each group, the edges between what is directly in it: an edge belongs to the smallest group around both ends. */
function edgesByGroup() {
  const edges = new Map([root, ...groupById.values()].map(({ id }) => [id, new Map()]));
  for (const [from, to] of report.edges) {
    if (!itemOf(from) || !itemOf(to)) continue;
    const [source, target] = [pathOf(from), pathOf(to)];
    const fork = source.findIndex((id, index) => id !== target[index]);
    if (fork < 1 || target[fork] === undefined) continue;
    const pair = [source[fork], target[fork]];
    edges.get(source[fork - 1]).set(JSON.stringify(pair), pair);
  }
  return new Map([...edges].map(([id, pairs]) => [id, [...pairs.values()]]));
}

growTree();
const edgesIn = edgesByGroup();
const open = new Set([...groupById.values()].filter((group) => layersIn(group).length <= 40).map(({ id }) => id));

// ---------------------------------------------------------------------------------------------- layout

const NODE = { height: 44, least: 112, letters: 28 };
const BOX = { pad: 14, head: 30 };
const SEGMENT = 24; // nodes from which a layout is cut in two: many small ones are much faster than a large one

/** Where everything in a group goes: sizes, nodes with the layouts of open groups inside them, and lines of points. */
function layout(id) {
  const nodes = groupOf(id).children.map((child) => (open.has(child) ? boxed(child) : leaf(child)));
  const placed = placeSegments(nodes, edgesIn.get(id));
  return { ...placed, width: placed.width || NODE.least, height: placed.height || NODE.height };
}

function boxed(id) {
  const inner = layout(id);
  const width = Math.max(inner.width + 2 * BOX.pad, textWidth(groupOf(id).name) + 60);
  return { id, inner, width, height: inner.height + BOX.head + BOX.pad };
}

function leaf(id) {
  const [name, about] = labelsOf(id);
  return { id, width: Math.max(NODE.least, textWidth(name) + 28, textWidth(about) * 0.88 + 28), height: NODE.height };
}

/** The two lines on a node. */
function labelsOf(id) {
  const item = itemOf(id);
  if (isGroup(id))
    return [clipped(`▸ ${item.name}`), clipped(`${item.kind} · ${plural(layersIn(item).length, "layer")}`)];
  const about = item.shapes ? `${item.kind} · ${shapesText(item.shapes)}` : item.kind;
  return [clipped(item.name), clipped(about, 44)];
}

function clipped(text, most = NODE.letters) {
  const letters = Array.from(text);
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

/** About as wide as text is in the font of the page, 13 px; letters of the far East are twice as wide. */
function textWidth(text) {
  return Array.from(text).reduce((width, letter) => width + (letter > "\u2e80" ? 13 : 7.3), 0);
}

/** Lay out what lies between the nodes that every path goes through, and put the parts below each other. */
function placeSegments(nodes, edges) {
  const nodesById = new Map(nodes.map((node) => [node.id, node]));
  const placed = { nodes: [], edges: [] };
  let joint = null;
  for (const ids of segments(
    nodes.map((node) => node.id),
    edges,
  )) {
    const members = joint === null ? ids : [joint.id, ...ids];
    const part = dagreLayout(
      members.map((id) => nodesById.get(id)),
      edges,
    );
    const start = joint && part.nodes[0];
    const shift = start ? { x: joint.x - start.x, y: joint.y - start.y } : { x: 0, y: 0 };
    const moved = part.nodes.map((node) => ({ ...node, x: node.x + shift.x, y: node.y + shift.y }));
    placed.nodes.push(...(joint === null ? moved : moved.slice(1)));
    placed.edges.push(...part.edges.map((points) => points.map(({ x, y }) => ({ x: x + shift.x, y: y + shift.y }))));
    joint = moved[moved.length - 1];
  }
  return atOrigin(placed);
}

/** Nodes in topological order, cut after nodes that every path goes through, and that no end lies beside. */
function segments(ids, edges) {
  const order = topological(ids, edges);
  const position = new Map(order.map((id, index) => [id, index]));
  const furthest = order.map((_, index) => index);
  const ends = new Set(ids);
  for (const [from, to] of edges) {
    ends.delete(from);
    furthest[position.get(from)] = Math.max(furthest[position.get(from)], position.get(to));
  }
  const parts = [[]];
  let reach = 0;
  let loose = false;
  order.forEach((id, index) => {
    const part = parts[parts.length - 1];
    part.push(id);
    loose ||= ends.has(id);
    if (part.length >= SEGMENT && reach <= index && !loose) parts.push([]);
    reach = Math.max(reach, furthest[index]);
  });
  return parts.filter((part) => part.length > 0);
}

function topological(ids, edges) {
  const waits = new Map(ids.map((id) => [id, 0]));
  const readers = new Map(ids.map((id) => [id, []]));
  for (const [from, to] of edges) {
    readers.get(from).push(to);
    waits.set(to, waits.get(to) + 1);
  }
  const order = ids.filter((id) => waits.get(id) === 0);
  for (let index = 0; index < order.length; index += 1) {
    for (const reader of readers.get(order[index])) {
      waits.set(reader, waits.get(reader) - 1);
      if (waits.get(reader) === 0) order.push(reader);
    }
  }
  return order.length === ids.length ? order : ids; // a circle: no such order
}

/** One run of dagre; nodes keep their order. Positions are of the middle. */
function dagreLayout(nodes, edges) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ ranksep: 30, nodesep: 22, edgesep: 12 });
  // dagre keeps nodes in objects: a name such as __proto__ must not be a key there.
  const keys = new Map(nodes.map((node, index) => [node.id, `n${index}`]));
  for (const node of nodes) graph.setNode(keys.get(node.id), { width: node.width, height: node.height });
  for (const [from, to] of edges) if (keys.has(from) && keys.has(to)) graph.setEdge(keys.get(from), keys.get(to), {});
  dagre.layout(graph);
  const positions = nodes.map((node) => ({ ...node, ...pick(graph.node(keys.get(node.id))) }));
  return { nodes: positions, edges: graph.edges().map((edge) => graph.edge(edge).points) };
}

const pick = ({ x, y }) => ({ x, y });

/** The same, moved so that it begins at 0, 0, and how large it is. */
function atOrigin({ nodes, edges }) {
  const corners = nodes.flatMap(({ x, y, width, height }) => [
    { x: x - width / 2, y: y - height / 2 },
    { x: x + width / 2, y: y + height / 2 },
  ]);
  const points = corners.concat(...edges);
  const [left, right] = range(points.map(({ x }) => x));
  const [upper, lower] = range(points.map(({ y }) => y));
  const move = (point) => ({ ...point, x: point.x - left, y: point.y - upper });
  return {
    nodes: nodes.map(move),
    edges: edges.map((line) => line.map(move)),
    width: right - left,
    height: lower - upper,
  };
}

/** The least and the greatest number; 0 and 0 of none. */
function range(numbers) {
  if (!numbers.length) return [0, 0];
  return numbers.reduce(
    ([least, most], number) => [Math.min(least, number), Math.max(most, number)],
    [Infinity, -Infinity],
  );
}

// ---------------------------------------------------------------------------------------------- the graph

const canvas = byId("canvas");
const graph = { current: "", spots: new Map(), marks: new Map(), size: { width: 1, height: 1 } };
const view = { x: 0, y: 0, scale: 1, waiting: false };
const scene = shape("svg", { "aria-hidden": "true", focusable: "false" });
const slide = element("div", { class: "slide" }, scene); // to transform SVG itself would lay out its text again

function startGraph() {
  canvas.append(slide);
  const bar = [
    button("+", () => zoom(1.3), { "aria-label": "Zoom in", id: "zoom-in" }),
    button("−", () => zoom(1 / 1.3), { "aria-label": "Zoom out", id: "zoom-out" }),
    button("Show all", fit, { id: "fit" }),
  ];
  if (groupById.size) {
    bar.push(button("Unfold all", () => foldAll(false), { id: "unfold-all" }));
    bar.push(button("Fold all", () => foldAll(true), { id: "fold-all" }));
  }
  byId("graph-controls").append(...bar);
  canvas.setAttribute("aria-label", `Graph of ${plural(layers.length, "layer")}`);
  showLegend();
  drawGraph();
  graph.current = root.children[0] ?? "";
  home();
  listenToPointers();
  canvas.addEventListener("keydown", onGraphKey);
  canvas.addEventListener("focus", () => markCurrent(graph.current));
}

function showLegend() {
  const used = new Set(layers.map((layer) => familyOf(layer.kind)));
  const families = [...FAMILIES, ["other", "Other"]].filter(([family]) => used.has(family));
  byId("legend").append(...families.map(([family, label]) => element("li", { class: `family-${family}` }, label)));
}

/** Lay out and draw everything: at the start, and when a group is folded or unfolded. */
function drawGraph() {
  const drawing = layout("");
  graph.spots.clear();
  graph.marks.clear();
  graph.size = drawing;
  scene.setAttribute("width", drawing.width);
  scene.setAttribute("height", drawing.height);
  scene.setAttribute("viewBox", `0 0 ${drawing.width} ${drawing.height}`);
  scene.replaceChildren(arrowHead(), ...drawLayout(drawing, 0, 0));
  markSelected();
}

function arrowHead() {
  const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7 };
  const head = shape("path", { d: "M0,0 L8,4 L0,8 z" });
  return shape("defs", {}, shape("marker", { id: "arrow", orient: "auto", ...size }, head));
}

function drawLayout(drawing, x, y) {
  const lines = drawing.edges.map((points) =>
    shape("path", { class: "edge", d: curve(points, x, y), "marker-end": "url(#arrow)" }),
  );
  return [
    ...lines,
    ...drawing.nodes.map((node) => drawNode(node, x + node.x - node.width / 2, y + node.y - node.height / 2)),
  ];
}

/** A smooth line: curves whose handles are the points, from the middle between two points to the next. */
function curve(points, x, y) {
  const at = (point) => `${(point.x + x).toFixed(1)},${(point.y + y).toFixed(1)}`;
  const middle = (index) => ({
    x: (points[index].x + points[index + 1].x) / 2,
    y: (points[index].y + points[index + 1].y) / 2,
  });
  let path = `M${at(points[0])}`;
  for (let index = 1; index < points.length - 1; index += 1) {
    const end = index === points.length - 2 ? points[index + 1] : middle(index);
    path += ` Q${at(points[index])} ${at(end)}`;
  }
  return points.length > 2 ? path : `${path} L${at(points[1])}`;
}

function drawNode(node, x, y) {
  const item = itemOf(node.id);
  const wrong = !isGroup(node.id) && isWrong(item);
  const look = [
    "node",
    `family-${familyOf(item.kind)}`,
    node.inner && "box",
    isGroup(node.id) && "group",
    wrong && "wrong",
  ];
  const mark = shape("g", { class: look.filter(Boolean).join(" ") });
  mark.append(shape("rect", { class: "back", x, y, width: node.width, height: node.height, rx: 7 }));
  if (node.inner) {
    mark.append(words(`▾ ${item.name} · ${item.kind}`, x + BOX.pad, y + 20, "title"));
    mark.append(...drawLayout(node.inner, x + (node.width - node.inner.width) / 2, y + BOX.head));
  } else {
    const [name, about] = labelsOf(node.id);
    mark.append(shape("rect", { class: "strip", x: x + 5, y: y + 8, width: 4, height: node.height - 16, rx: 2 }));
    mark.append(words(wrong ? `! ${name}` : name, x + 16, y + 18, "title"), words(about, x + 16, y + 34, "about"));
  }
  graph.spots.set(node.id, {
    x: x + node.width / 2,
    y: node.inner ? y + BOX.head / 2 : y + node.height / 2,
    width: node.width,
  });
  graph.marks.set(node.id, mark);
  idOfMark.set(mark, node.id);
  return mark;
}

const idOfMark = new WeakMap();
const words = (text, x, y, look) => shape("text", { x, y, class: look }, text);
const isWrong = (layer) => Boolean(layer.problem) || layer.error?.ok === false;

/** Fold or unfold a group; what is under the reader's eyes stays there. */
function toggle(id) {
  const before = graph.spots.get(id);
  if (!open.delete(id)) open.add(id);
  drawGraph();
  const after = graph.spots.get(id);
  view.x += (before.x - after.x) * view.scale;
  view.y += (before.y - after.y) * view.scale;
  applyView();
  markCurrent(id);
  say(`${groupOf(id).name} is ${open.has(id) ? "unfolded" : "folded"}`);
}

function foldAll(folded) {
  open.clear();
  if (!folded) for (const id of groupById.keys()) open.add(id);
  drawGraph();
  graph.current = visible(graph.current);
  home();
  say(folded ? "All nested models are folded" : "All nested models are unfolded");
}

/** The item itself, or the folded group that hides it. */
function visible(id) {
  return (
    pathOf(id)
      .slice(1)
      .find((step) => isGroup(step) && !open.has(step)) ?? id
  );
}

function markCurrent(id) {
  graph.marks.get(graph.current)?.classList.remove("current");
  graph.current = id;
  graph.marks.get(id)?.classList.add("current");
}

function markSelected() {
  scene.querySelectorAll(".selected").forEach((mark) => mark.classList.remove("selected"));
  if (itemOf(selection.id)) graph.marks.get(visible(selection.id))?.classList.add("selected");
}

/** A click or Enter: a group is folded or unfolded, and a layer or a group shows its details. */
function activate(id) {
  if (isGroup(id)) toggle(id);
  else markCurrent(id);
  select(id);
}

// ---- moving: only the CSS transform around the drawing changes, once per frame; nothing is laid out again

function applyView() {
  if (view.waiting) return;
  view.waiting = true;
  requestAnimationFrame(() => {
    view.waiting = false;
    slide.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  });
}

/** Zoom around a point of the canvas, by default its middle. */
function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(4, Math.max(0.01, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  applyView();
}

/** Show the whole graph in the middle. */
function fit() {
  fitInto(canvas.clientWidth, canvas.clientHeight);
}

function fitInto(width, height) {
  view.scale = Math.min((width - 24) / graph.size.width, (height - 24) / graph.size.height, 1.2);
  view.x = (width - graph.size.width * view.scale) / 2;
  view.y = (height - graph.size.height * view.scale) / 2;
  applyView();
}

/** The whole graph if its words can be read then, else its beginning. */
function home() {
  fit();
  if (view.scale >= 0.8) return;
  view.scale = Math.min(1, Math.max(0.8, (canvas.clientWidth - 24) / graph.size.width));
  const start = graph.spots.get(root.children[0]);
  const narrow = graph.size.width * view.scale <= canvas.clientWidth;
  view.x = canvas.clientWidth / 2 - (narrow ? graph.size.width / 2 : start.x) * view.scale;
  view.y = 16;
  applyView();
}

/** Bring a node into view if it is outside. */
function reveal(id) {
  const spot = graph.spots.get(id);
  if (!spot) return;
  const [x, y] = [spot.x * view.scale + view.x, spot.y * view.scale + view.y];
  const margin = 40;
  if (x < margin || x > canvas.clientWidth - margin) view.x += canvas.clientWidth / 2 - x;
  if (y < margin || y > canvas.clientHeight - margin) view.y += canvas.clientHeight / 2 - y;
  applyView();
}

/** One pointer drags, two zoom; a press without a move is a click. */
function listenToPointers() {
  const pointers = new Map();
  let travelled = 0;
  const place = (event) => ({ x: event.clientX, y: event.clientY });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const others = [...pointers].filter(([pointer]) => pointer !== event.pointerId).map(([, point]) => point);
    const after = place(event);
    pointers.set(event.pointerId, after);
    travelled += Math.hypot(after.x - before.x, after.y - before.y);
    if (travelled < 4) return;
    canvas.setPointerCapture(event.pointerId);
    if (others.length) pinch(others[0], before, after);
    else drag(before, after);
  });
  const release = (event) => pointers.delete(event.pointerId);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("click", (event) => {
    const mark = event.target.closest(".node");
    if (mark && travelled < 4) activate(idOfMark.get(mark));
  });
  canvas.addEventListener("wheel", onWheel, { passive: false });
}

function drag(before, after) {
  view.x += after.x - before.x;
  view.y += after.y - before.y;
  applyView();
}

function pinch(still, before, after) {
  const corner = canvas.getBoundingClientRect();
  const distance = (point) => Math.max(1, Math.hypot(point.x - still.x, point.y - still.y));
  zoom(distance(after) / distance(before), (still.x + after.x) / 2 - corner.x, (still.y + after.y) / 2 - corner.y);
}

/** The wheel scrolls the page until the graph has the focus: nobody shall get stuck in it. */
function onWheel(event) {
  if (!event.ctrlKey && document.activeElement !== canvas) return;
  event.preventDefault();
  const corner = canvas.getBoundingClientRect();
  const lines = event.deltaMode === 1 ? 16 : 1;
  zoom(
    Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)),
    event.clientX - corner.x,
    event.clientY - corner.y,
  );
}

// ---- keys

const GRAPH_KEYS = {
  ArrowDown: () => step(after(graph.current)),
  ArrowUp: () => step(before(graph.current)),
  ArrowRight: () => step(beside(graph.current, 1)),
  ArrowLeft: () => step(beside(graph.current, -1)),
  Home: () => step(root.children[0]),
  End: () => step(root.children[root.children.length - 1]),
  Enter: () => activate(graph.current),
  " ": () => activate(graph.current),
  "+": () => zoom(1.3),
  "=": () => zoom(1.3),
  "-": () => zoom(1 / 1.3),
  0: fit,
};

function onGraphKey(event) {
  const action = GRAPH_KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || !graph.current) return;
  event.preventDefault();
  action();
}

function step(id) {
  if (id === undefined) return;
  markCurrent(id);
  reveal(id);
  say(spoken(id));
}

/** Along an edge: into an open group, to what reads the item, or out of the group and on. */
function after(id) {
  if (open.has(id) && groupOf(id).children.length) return groupOf(id).children[0];
  for (const inner of pathOf(id).slice(1).reverse()) {
    const next = nearest(
      inner,
      edgesIn
        .get(parentOf(inner))
        .filter(([from]) => from === inner)
        .map(([, to]) => to),
    );
    if (next !== undefined) return next;
  }
  return undefined;
}

/** Against an edge: to what the item reads, or to the head of the group around it. */
function before(id) {
  const parent = parentOf(id);
  const previous = nearest(
    id,
    edgesIn
      .get(parent)
      .filter(([, to]) => to === id)
      .map(([from]) => from),
  );
  return previous ?? (parent === "" ? undefined : parent);
}

/** The next to the left (-1) or right (1) in the same group that overlaps in height, or shares a neighbour. */
function beside(id, direction) {
  const spot = graph.spots.get(id);
  const [previous, next] = [before(id), after(id)];
  const shares = (other) => before(other) === previous || after(other) === next;
  const candidates = groupOf(parentOf(id)).children.filter((other) => {
    const there = graph.spots.get(other);
    const level = Math.abs(there.y - spot.y) < NODE.height;
    return (
      other !== id &&
      (there.x - spot.x) * direction > 1 &&
      (level || (Math.abs(there.y - spot.y) < 200 && shares(other)))
    );
  });
  return nearest(id, candidates);
}

function nearest(id, candidates) {
  const spot = graph.spots.get(id);
  const distance = (other) => Math.hypot(graph.spots.get(other).x - spot.x, graph.spots.get(other).y - spot.y);
  return candidates.reduce(
    (best, other) => (best === undefined || distance(other) < distance(best) ? other : best),
    undefined,
  );
}

// ---------------------------------------------------------------------------------------------- selection

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

// ---------------------------------------------------------------------------------------------- details

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

// ---------------------------------------------------------------------------------------------- activations

const ACTIVATIONS = { maps: mapsView, lines: linesView, values: valuesView };

function activationView(activation) {
  const draw = activation && ACTIVATIONS[activation.kind];
  if (!draw) return null;
  const given = report.given === "random" ? "random inputs" : "the given inputs";
  return [draw(activation), note(`${digits(activation.min)} to ${digits(activation.max)}, for ${given}`)];
}

const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** One small canvas for each feature map; dark is the least, light the most. */
function mapsView({ width, height, channels, shown, pixels }) {
  const values = decoded(pixels);
  const tiles = shown.map((channel, index) => {
    const tile = element("canvas", { width, height, role: "img", "aria-label": `Channel ${channel}` });
    const context = tile.getContext("2d");
    const image = context.createImageData(width, height);
    values.subarray(index * width * height, (index + 1) * width * height).forEach((value, cell) => {
      image.data.set([value, value, value, 255], cell * 4);
    });
    context.putImageData(image, 0, 0);
    return element("figure", {}, tile, element("figcaption", {}, String(channel)));
  });
  return element(
    "div",
    {},
    note(`${shown.length} of ${plural(channels, "channel")}`),
    element("div", { class: "tiles" }, tiles),
  );
}

/** One line over the steps for each channel, below each other. */
function linesView({ channels, shown, pixels, steps }) {
  const values = decoded(pixels);
  const length = Math.round(values.length / Math.max(1, shown.length));
  const [width, height] = [320, 36];
  const lines = shown.map((channel, index) => {
    const points = [...values.subarray(index * length, (index + 1) * length)];
    const at = (value, step) =>
      `${((step * width) / Math.max(1, length - 1)).toFixed(1)},${(height - 2 - (value / 255) * (height - 4)).toFixed(1)}`;
    const line = shape("polyline", { points: points.map(at).join(" ") });
    const label = `Channel ${channel} over ${plural(steps, "step")}`;
    const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, line);
    return element("figure", {}, drawing, element("figcaption", {}, String(channel)));
  });
  const about = note(`${shown.length} of ${plural(channels, "channel")}, ${plural(steps, "step")}`);
  return element("div", {}, about, element("div", { class: "signals" }, lines));
}

/** Bars from zero up and down. */
function valuesView({ values, size }) {
  const [width, height] = [320, 80];
  const [least, most] = range([0, ...values]);
  const y = (value) => height - ((value - least) / (most - least || 1)) * height;
  const each = width / Math.max(1, values.length);
  const bars = values.map((value, index) => {
    const [upper, lower] = [y(Math.max(0, value)), y(Math.min(0, value))];
    const bar = shape("rect", {
      x: index * each,
      y: upper,
      width: Math.max(1, each - 1),
      height: Math.max(1, lower - upper),
    });
    bar.append(shape("title", {}, `${index}: ${digits(value)}`));
    return bar;
  });
  const label = `${values.length} of ${plural(size, "value")}`;
  const svg = shape(
    "svg",
    { class: "histogram", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    bars,
  );
  return element("div", {}, note(label), svg);
}

// ---------------------------------------------------------------------------------------------- header and model

/** How the module compares with Keras, in one word and a sentence. */
function verdict() {
  const { compared, ok, reason, outputs } = report.verification;
  if (!report.supported)
    return ["bad", "unsupported", "kerasgen cannot take all of this model over; see what to do below"];
  if (!compared) return ["odd", "unverified", reason || "nothing was compared with Keras"];
  const worst = Math.max(...outputs.map(({ relative }) => relative ?? Infinity));
  const text = `against Keras, the error is ${scientific(worst)} of the largest output`;
  return ok ? ["good", "verified", text] : ["bad", "differs", text];
}

function showHeader() {
  const { model } = report;
  const [look, word, text] = verdict();
  byId("name").textContent = model.name || "model";
  byId("verdict").append(badge(look, word), " ", element("span", { class: "name" }, text));
  const figures = [
    ["Parameters", whole(model.parameters)],
    ["MACs", amount(model.macs)],
    ["Layers", whole(layers.length)],
    ["Keras", model.keras_version || "unknown"],
    ["Weights", bytes(model.weight_bytes)],
    ["Time", report.profile && seconds(report.profile.seconds)],
  ];
  byId("figures").append(...terms(figures).children);
  if (report.warning) {
    byId("warning").textContent = report.warning;
    byId("warning").hidden = false;
  }
  byId("made").textContent = `Made by kerasgen ${report.kerasgen} from ${model.source}`;
  const sections = [...document.querySelectorAll("main > section")].filter((section) => !section.hidden);
  const links = sections.map((section) =>
    element("a", { href: `#${section.id}` }, section.querySelector("h2").textContent),
  );
  byId("contents").append(...links);
}

function showModel() {
  const { model, verification, profile } = report;
  const facts = [
    ["File", named(model.source)],
    ["SHA-256", model.sha256 && element("code", {}, model.sha256)],
    ["Inputs", tensors(model.inputs)],
    ["Outputs", tensors(model.outputs)],
    [
      "Measured",
      profile &&
        `a call on ${plural(profile.samples, "sample")} takes ${seconds(profile.seconds)}, of ${plural(profile.runs, "run")}`,
    ],
    ["Compared with Keras", named(verification.compared ? verification.summary : `no: ${verification.reason}`)],
  ];
  const rows = (verification.outputs ?? []).map((output) => [
    named(output.name),
    scientific(output.relative),
    scientific(output.absolute),
    scientific(output.tolerance),
    badge(output.ok ? "good" : "bad", output.ok ? "ok" : "differs"),
  ]);
  bodyOf("overview").append(terms(facts, { class: "facts wide" }));
  if (rows.length)
    bodyOf("overview").append(
      table(
        "Outputs compared with Keras",
        ["Output", "Relative error", "Absolute error", "Tolerance", "Verdict"],
        rows,
      ),
    );
}

const tensors = (list) =>
  element(
    "ul",
    { class: "plain" },
    list.map(({ name, shape: sizes, dtype }) => element("li", {}, named(name), ` ${shapeText(sizes)} ${dtype}`)),
  );

function showProblems() {
  if (!report.problems.length) return;
  byId("problems").hidden = false;
  const items = report.problems.map(({ layer, kind, problem, advice }) =>
    entry(
      [layerButton(layer), named(kind)],
      [
        ["Problem", named(problem)],
        ["What to do", named(advice)],
      ],
    ),
  );
  bodyOf("problems").append(element("ul", { class: "entries" }, items));
}

/** Something found in the model: a title, and pairs of a term and what it is. */
function entry(title, pairs) {
  return element("li", {}, element("p", { class: "bar" }, title), terms(pairs, { class: "facts" }));
}

/** A button that selects a layer; what is no layer is just a name. */
function layerButton(id, text = id) {
  if (!itemOf(id)) return named(text || "the model");
  return button(text, () => selectFromElsewhere(id), { class: "link name" });
}

function showScan() {
  const { dangerous, findings } = report.scan;
  const items = findings.map(({ danger, where, what, effect, advice }) =>
    entry(
      [badge(danger ? "bad" : "odd", danger ? "danger" : "odd"), named(where)],
      [
        ["What it is", named(what)],
        ["What happens", effect],
        ["What to do", advice],
      ],
    ),
  );
  bodyOf("scan").append(scanVerdict(dangerous, findings.length));
  if (items.length) bodyOf("scan").append(element("ul", { class: "entries" }, items));
}

function scanVerdict(dangerous, findings) {
  if (dangerous)
    return element("p", { class: "warning" }, "Do not load this file with Keras before you have read this.");
  return note(
    findings ? "No known dangers found in the file, but something odd." : "No known dangers found in the file.",
  );
}

// ---------------------------------------------------------------------------------------------- plots

const PLOT = { height: 180, top: 10, bottom: 10, least: 6, most: 64 };

const PLOTS = [
  {
    title: "Error by layer",
    about: "relative to the largest number that Keras answers, on a log scale",
    value: ({ error }) => error?.relative,
    tolerance: ({ error }) => error?.tolerance,
    text: scientific,
    log: true,
    missing: "The layers were not compared with Keras.",
  },
  {
    title: "Time by layer",
    about: "a call on one sample",
    value: ({ time }) => time,
    text: seconds,
    missing: "Nothing was timed.",
  },
  {
    title: "Memory by layer",
    about: "arrays at the peak while the layer runs",
    value: ({ memory }) => memory,
    text: bytes,
    missing: "No memory was measured.",
  },
];

function showPlots() {
  bodyOf("plots").append(...PLOTS.map(plotView));
}

function plotView(plot) {
  const shown = layers.filter((layer) => plot.value(layer) != null);
  const heading = element("h3", {}, plot.title);
  if (!shown.length) return element("div", { class: "plot" }, heading, note(plot.missing));
  const axis = plot.log ? logAxis(plot, shown) : linearAxis(plot, shown);
  const room = bodyOf("plots").clientWidth - 80;
  const pitch = Math.min(PLOT.most, Math.max(PLOT.least, room / shown.length));
  const bars = barsView(plot, shown, axis, pitch);
  const caption = element("p", { class: "note" }, plot.about + (plot.tolerance ? "; the line is the tolerance" : ""));
  return element(
    "div",
    { class: "plot" },
    heading,
    caption,
    element("div", { class: "axes" }, axisView(plot, axis), element("div", { class: "strip" }, bars)),
  );
}

/** How high a value is, from 0 to 1, and the values to write at the axis. */
function linearAxis(plot, shown) {
  const most = Math.max(...shown.map(plot.value)) || 1;
  return { height: (value) => value / most, ticks: [0, most / 2, most] };
}

/** Powers of ten; zero, and what is not finite, is at an end. */
function logAxis(plot, shown) {
  const all = shown
    .flatMap((layer) => [plot.value(layer), plot.tolerance?.(layer)])
    .filter((value) => value > 0 && Number.isFinite(value));
  const [least, most] = range(all.map(Math.log10));
  const [lower, upper] = [Math.floor(least - 0.3), Math.max(Math.ceil(most + 0.1), Math.floor(least) + 1)];
  const every = Math.ceil((upper - lower) / 6);
  const ticks = [];
  for (let power = lower; power <= upper; power += every) ticks.push(10 ** power);
  const height = (value) => (value > 0 ? Math.min(1, Math.max(0, (Math.log10(value) - lower) / (upper - lower))) : 0);
  return { height, ticks };
}

const level = (axis, value) => PLOT.height - PLOT.bottom - axis.height(value) * (PLOT.height - PLOT.top - PLOT.bottom);

function axisView(plot, axis) {
  const label = (value) => (plot.log ? `1e${Math.round(Math.log10(value))}` : plot.text(value));
  const ticks = axis.ticks.map((value) =>
    shape("text", { x: 66, y: level(axis, value) + 4, "text-anchor": "end" }, label(value)),
  );
  return shape("svg", { class: "axis", width: 72, height: PLOT.height, "aria-hidden": "true" }, ticks);
}

/** The bars: one stop of the tab key, arrows move, Enter selects. */
function barsView(plot, shown, axis, pitch) {
  const width = Math.ceil(pitch * shown.length);
  const grid = axis.ticks.map((value) =>
    shape("line", { class: "grid", x1: 0, x2: width, y1: level(axis, value), y2: level(axis, value) }),
  );
  const options = shown.map((layer, index) => barView(plot, layer, axis, index * pitch, pitch));
  const size = { width, height: PLOT.height, viewBox: `0 0 ${width} ${PLOT.height}` };
  const label = `${plot.title}, ${plural(shown.length, "bar")}`;
  const svg = shape("svg", {
    class: "bars",
    role: "listbox",
    "aria-orientation": "horizontal",
    "aria-label": label,
    ...size,
  });
  svg.append(shape("g", { "aria-hidden": "true" }, grid, toleranceLine(plot, shown, axis, pitch)), ...options);
  options[0].setAttribute("tabindex", "0");
  listenToBars(svg, options, shown);
  selection.listeners.push((id) =>
    options.forEach((option, index) => option.setAttribute("aria-selected", String(shown[index].id === id))),
  );
  return svg;
}

function barView(plot, layer, axis, x, pitch) {
  const value = plot.value(layer);
  const y = Math.min(level(axis, value), PLOT.height - PLOT.bottom - 1);
  const label = `${layer.name}: ${plot.text(value)}`;
  const wrong = plot.tolerance && layer.error.ok === false;
  const bar = shape("rect", {
    class: "value",
    x: x + 0.5,
    y,
    width: Math.max(1, pitch - 1.5),
    height: PLOT.height - PLOT.bottom - y,
  });
  const target = shape("rect", { class: "target", x, y: 0, width: pitch, height: PLOT.height });
  const attributes = {
    role: "option",
    tabindex: -1,
    "aria-label": label,
    "aria-selected": "false",
    class: wrong ? "wrong" : null,
  };
  return shape("g", attributes, shape("title", {}, label), target, bar);
}

function toleranceLine(plot, shown, axis, pitch) {
  if (!plot.tolerance) return null;
  const points = shown.flatMap((layer, index) => {
    const y = level(axis, plot.tolerance(layer)).toFixed(1);
    return [`${index * pitch},${y}`, `${(index + 1) * pitch},${y}`];
  });
  return shape("polyline", { class: "tolerance", points: points.join(" ") });
}

function listenToBars(svg, options, shown) {
  const moves = {
    ArrowRight: (index) => index + 1,
    ArrowLeft: (index) => index - 1,
    Home: () => 0,
    End: () => options.length - 1,
  };
  const indexOf = (event) => options.indexOf(event.target.closest("[role=option]"));
  const focus = (index) => {
    options.forEach((option) => option.setAttribute("tabindex", "-1"));
    options[index].setAttribute("tabindex", "0");
    options[index].focus();
  };
  svg.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    focus(index);
    selectFromElsewhere(shown[index].id);
  });
  svg.addEventListener("keydown", (event) => {
    const index = indexOf(event);
    const isChoice = event.key === "Enter" || event.key === " ";
    if (index < 0 || (!isChoice && !moves[event.key])) return;
    event.preventDefault();
    if (isChoice) selectFromElsewhere(shown[index].id);
    else focus(Math.min(options.length - 1, Math.max(0, moves[event.key](index))));
  });
}

// ---------------------------------------------------------------------------------------------- the table

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

// ---------------------------------------------------------------------------------------------- the source

const sourceLines = (report.source ?? "").split("\n");
const CHUNK = 100; // lines that the browser lays out together

function showSource() {
  if (report.source === null) {
    bodyOf("source").append(note("There is no module."));
    return;
  }
  const state = element("span", { class: "note", role: "status" });
  const bar = element(
    "div",
    { class: "bar controls" },
    button("Copy", () => copySource(state), { id: "copy" }),
    state,
  );
  const lines = report.source_html ?? sourceLines;
  const read = report.source_html ? highlighted : (text) => [document.createTextNode(text)];
  const code = scroller("Source");
  code.classList.add("code");
  for (let start = 0; start < lines.length; start += CHUNK) {
    const chunk = lines.slice(start, start + CHUNK).map((text, index) => sourceLine(start + index + 1, read(text)));
    code.append(element("div", { class: "chunk" }, chunk));
  }
  bodyOf("source").append(bar, code);
}

function sourceLine(number, content) {
  const anchor = element("a", {
    href: `#L${number}`,
    tabindex: -1,
    "aria-label": `Line ${number}`,
    "data-number": number,
  });
  return element("div", { class: "line", id: `L${number}` }, anchor, element("code", {}, content, "\n"));
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/** The nodes of a line that Pygments has coloured: only spans with a class are taken over, all else is text. */
function highlighted(html) {
  const line = document.createDocumentFragment();
  const stack = [line];
  for (const [token, look, entity] of html.matchAll(
    /<span class="([a-z0-9 ]*)">|<\/span>|&(amp|lt|gt|quot|#39);|[^<&]+|[<&]/g,
  )) {
    if (token === "</span>" && stack.length > 1) stack.pop();
    else if (look !== undefined) stack.push(stack[stack.length - 1].appendChild(element("span", { class: look })));
    else stack[stack.length - 1].append(entity ? ENTITIES[entity] : token);
  }
  return [line];
}

async function copySource(state) {
  try {
    await navigator.clipboard.writeText(report.source);
    state.textContent = "Copied";
  } catch {
    document.getSelection().selectAllChildren(document.querySelector(".code"));
    state.textContent = "The browser refuses: the source is selected, press Ctrl+C";
  }
}

/** Show a line of the source and mark it, and the others that belong to it. */
function jumpTo(lines, line) {
  showNow("source");
  document.querySelectorAll(".line.lit").forEach((node) => node.classList.remove("lit"));
  for (const number of lines) byId(`L${number}`)?.classList.add("lit");
  byId(`L${line}`)?.scrollIntoView({ block: "center" });
  byId(`L${line}`)?.querySelector("a").focus({ preventScroll: true });
  say(`Line ${line} of the source`);
}

/** The line that the address names, as in report.html#L12. */
function jumpToAddress() {
  const match = /^#L(\d+)$/.exec(location.hash);
  if (match) jumpTo([Number(match[1])], Number(match[1]));
}

// ---------------------------------------------------------------------------------------------- start

// Sections are filled when they come near the window, when the browser has nothing to do, or when the page is printed.
const waiting = new Map([
  ["overview", showModel],
  ["plots", showPlots],
  ["layers", showTable],
  ["scan", showScan],
  ["source", showSource],
]);

function showNow(id) {
  const show = waiting.get(id);
  if (!waiting.delete(id)) return;
  show();
  byId(id).dataset.shown = "";
  if (selection.id !== null) for (const listener of selection.listeners) listener(selection.id);
}

function showLazily() {
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => showNow(entry.target.id)),
    { rootMargin: "400px" },
  );
  for (const id of waiting.keys()) near.observe(byId(id));
  whenIdle(showNext);
}

const whenIdle = (action) => (window.requestIdleCallback ? requestIdleCallback(action) : setTimeout(action, 50));

function showNext() {
  const [id] = waiting.keys();
  if (id === undefined) return;
  showNow(id);
  whenIdle(showNext);
}

/** On paper everything is there. */
function showAll() {
  for (const id of [...waiting.keys()]) showNow(id);
}

/** After the first frame with the graph in it. */
function markReady() {
  requestAnimationFrame(() =>
    setTimeout(() => {
      performance.mark("ready");
      document.documentElement.dataset.ready = "";
      showLazily();
    }),
  );
}

showProblems();
showHeader();
startGraph();
window.addEventListener("beforeprint", showAll);
document.addEventListener(
  "keydown",
  (event) => event.key === "Escape" && byId("details").classList.contains("shown") && closeDetails(),
);
window.addEventListener("hashchange", jumpToAddress);
markReady();
jumpToAddress();
