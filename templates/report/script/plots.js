// Error, time and memory by layer, as bars.

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
  const viewBox = `0 0 ${width} ${PLOT.height}`;
  const size = { width, height: PLOT.height, viewBox, preserveAspectRatio: "none" }; // on paper, it is as wide as that
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
