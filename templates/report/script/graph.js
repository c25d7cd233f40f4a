// The graph as SVG: drawing, folding, marks.

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
    mark.append(words(boxTitle(node.id), x + BOX.pad, y + 20, "title"));
    mark.append(...drawLayout(node.inner, x + (node.width - node.inner.width) / 2, y + BOX.head));
  } else {
    const [name, about] = labelsOf(node.id);
    mark.append(shape("rect", { class: "strip", x: x + 5, y: y + 8, width: 4, height: node.height - 16, rx: 2 }));
    mark.append(words(name, x + 16, y + 18, "title"), words(about, x + 16, y + 34, "about"));
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
