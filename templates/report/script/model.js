// The model as a tree: layers in groups (nested models), and the edges in each group.

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
