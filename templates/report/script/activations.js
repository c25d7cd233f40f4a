// What a layer answers, as small pictures.

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
