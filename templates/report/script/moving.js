// Panning and zooming: only the CSS transform around the drawing changes, once per frame; nothing is laid out again.

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
