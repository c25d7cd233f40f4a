// The keys of the graph: along edges, in and out of groups.

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
