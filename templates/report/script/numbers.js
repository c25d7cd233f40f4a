// Numbers, sizes and shapes as text.

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
