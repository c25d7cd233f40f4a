// Where nodes and edges go. dagre does the work; this cuts large graphs into parts for it, and nests groups.

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
  const width = Math.max(inner.width + 2 * BOX.pad, textWidth(boxTitle(id)) + 2 * BOX.pad);
  return { id, inner, width, height: inner.height + BOX.head + BOX.pad };
}

function leaf(id) {
  const [name, about] = labelsOf(id);
  const width = Math.max(textWidth(name), textWidth(about, 11.5, 400));
  return { id, width: Math.max(NODE.least, width + 28), height: NODE.height };
}

const boxTitle = (id) => `▾ ${clipped(itemOf(id).name)} · ${clipped(itemOf(id).kind)}`;

/** The two lines on a node. */
function labelsOf(id) {
  const item = itemOf(id);
  if (isGroup(id))
    return [clipped(`▸ ${item.name}`), clipped(`${item.kind} · ${plural(layersIn(item).length, "layer")}`)];
  const about = item.shapes ? `${item.kind} · ${shapesText(item.shapes)}` : item.kind;
  return [isWrong(item) ? `! ${clipped(item.name)}` : clipped(item.name), clipped(about, 44)];
}

function clipped(text, most = NODE.letters) {
  const letters = Array.from(text);
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

const pen = document.createElement("canvas").getContext("2d");
const FACE = getComputedStyle(document.body).fontFamily;

/** As wide as text is; sizes and weights as in report.css. */
function textWidth(text, size = 13, weight = 560) {
  pen.font = `${weight} ${size}px ${FACE}`;
  return pen.measureText(text).width;
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
