/* The page: what people draw, choose or type goes to the worker, what the model answers is shown. */

const model = JSON.parse(byId("model").textContent);
const board = byId("board");
const STEP = 0.04; // how far an arrow key moves the pen, as a part of the board

function byId(id) {
  return document.getElementById(id);
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/* ---- the worker */

let worker;
const waiting = [];

/* The worker's answer to a message; it answers in order. */
function ask(message, transfer = []) {
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    worker.postMessage(message, transfer);
  });
}

/* Where Pyodide is: beside this page, or at the address that this page's policy allows. */
async function pyodide() {
  const beside = new URL("pyodide/", location.href).href;
  const found = await fetch(`${beside}pyodide.js`, { method: "HEAD" }).catch(() => ({ ok: false }));
  const policy = document.querySelector("meta[http-equiv=Content-Security-Policy]").content;
  return found.ok ? beside : policy.match(/'wasm-unsafe-eval' ([^ ;]+)/)[1];
}

async function start() {
  if (location.protocol === "file:") {
    throw new Error("open this page from a web server: run “python -m http.server” in its folder");
  }
  say("Loading Python and the model…");
  const code = await (await fetch("worker.js")).blob();
  worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.shift();
    if ("error" in data) reject(new Error(data.error));
    else resolve(data.result);
  };
  await ask({ page: location.href, pyodide: await pyodide(), files: model.files });
}

function say(text, bad = false) {
  byId("state").textContent = text;
  byId("state").classList.toggle("bad", bad);
}

/* ---- drawing */

const pen = { x: 0.5, y: 0.5, down: false };

function blank() {
  return byId("inverted").checked ? "#fff" : "#000";
}

function clear() {
  const context = board.getContext("2d");
  context.fillStyle = blank();
  context.fillRect(0, 0, board.width, board.height);
  show(board);
}

/* A line from where the pen is to a point, both parts of the board. */
function draw(x, y) {
  const context = board.getContext("2d");
  context.strokeStyle = byId("inverted").checked ? "#000" : "#fff";
  context.lineCap = "round";
  context.lineWidth = (Number(byId("thickness").value) / 100) * Math.max(board.width, board.height);
  context.beginPath();
  context.moveTo(pen.x * board.width, pen.y * board.height);
  context.lineTo(x * board.width, y * board.height);
  context.stroke();
  Object.assign(pen, { x, y });
  show(board);
}

function placePen() {
  byId("pen").hidden = false;
  byId("pen").classList.toggle("down", pen.down);
  byId("pen").style.left = `${100 * pen.x}%`;
  byId("pen").style.top = `${100 * pen.y}%`;
}

function readyBoard() {
  const { width, height } = model.image;
  const scale = 448 / Math.max(width, height);
  Object.assign(board, { width: Math.round(scale * width), height: Math.round(scale * height) });
  let pointer = null;
  const place = (event) => {
    const box = board.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  board.addEventListener("pointerdown", (event) => {
    pointer = event.pointerId;
    board.setPointerCapture(pointer);
    byId("pen").hidden = true;
    [pen.x, pen.y] = place(event);
    draw(pen.x, pen.y);
  });
  board.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) draw(...place(each));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    board.addEventListener(kind, () => {
      if (pointer !== null) run();
      pointer = null;
    });
  }
  board.addEventListener("keydown", (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === " ") {
      pen.down = !pen.down;
      byId("said").textContent = pen.down ? "The pen is down." : "The pen is up.";
      if (pen.down) draw(pen.x, pen.y);
      else run();
    } else if (x || y) {
      const to = [pen.x + STEP * x, pen.y + STEP * y].map((part) => Math.min(1, Math.max(0, part)));
      if (pen.down) draw(...to);
      else [pen.x, pen.y] = to;
    } else return;
    event.preventDefault();
    placePen();
  });
  board.addEventListener("blur", () => (byId("pen").hidden = true));
  byId("clear").addEventListener("click", clear);
  byId("inverted").addEventListener("change", clear);
  clear();
}

/* ---- images */

/* Scale a picture, whole and in the middle, to what the model sees. */
function show(picture) {
  const view = byId("view");
  const context = view.getContext("2d", { willReadFrequently: true });
  const [width, height] = [picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height];
  const scale = Math.min(view.width / width, view.height / height);
  context.fillStyle = picture === board ? blank() : "#fff";
  context.fillRect(0, 0, view.width, view.height);
  context.imageSmoothingQuality = "high";
  const [w, h] = [scale * width, scale * height];
  context.drawImage(picture, (view.width - w) / 2, (view.height - h) / 2, w, h);
}

let chosen = null;

function choose(file) {
  if (!file) return;
  const picture = new Image();
  picture.onload = () => {
    chosen = picture;
    show(picture);
    run();
  };
  picture.onerror = () => fail(new Error(`${file.name} is no image that this browser knows`));
  picture.src = URL.createObjectURL(file);
}

function readyPicture() {
  byId("file").addEventListener("change", (event) => choose(event.target.files[0]));
  const drop = byId("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") choose(event.dataTransfer.files[0]);
    });
  }
}

/* ---- asking */

function way() {
  return document.querySelector("input[name=way]:checked")?.value ?? "numbers";
}

async function question() {
  if (way() === "numbers") {
    const values = model.inputs.map(async (_, index) => {
      const file = byId(`file-${index}`).files[0];
      if (!file) return byId(`text-${index}`).value;
      return file.name.endsWith(".npy") ? new Uint8Array(await file.arrayBuffer()) : file.text();
    });
    return { call: "of_numbers", values: await Promise.all(values) };
  }
  if (way() === "picture" && !chosen) throw new Error("choose an image first");
  const { width, height } = byId("view");
  const pixels = byId("view").getContext("2d").getImageData(0, 0, width, height).data;
  const range = model.preprocess ? [0, 255] : [Number(byId("black").value), Number(byId("white").value)];
  return { call: "of_pixels", values: [new Uint8Array(pixels.buffer), height, width, ...range] };
}

let ready;
let running = false;
let again = false;

/* Ask the model; while it answers, only the latest question waits. */
async function run() {
  again = running;
  if (running) return;
  running = true;
  try {
    await ready;
    byId("said").textContent = "Thinking…";
    answer(JSON.parse(await ask(await question())));
  } catch (error) {
    fail(error);
  }
  running = false;
  if (again) run();
}

function fail(error) {
  byId("said").textContent = "";
  byId("outputs").replaceChildren();
  byId("wrong").textContent = error.message;
  byId("wrong").hidden = false;
}

/* ---- the answer */

function answer({ milliseconds, outputs }) {
  byId("wrong").hidden = true;
  byId("outputs").replaceChildren(...outputs.map(output));
  const [label, number] = outputs[0]?.samples[0]?.[0] ?? ["nothing", ""];
  const time = milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  byId("said").replaceChildren(element("b", "name", label), ` ${number} `, element("span", "note", `in ${time}`));
}

function output({ name, shape, samples, left_out }, number) {
  const made = element("div", "output");
  const head = element("div", "bar");
  const title = element("h3", "name", name);
  const save = element("button", "", "Save as .npy");
  save.type = "button";
  save.setAttribute("aria-label", `Save as .npy: ${name}`);
  save.addEventListener("click", () => download(name, number));
  head.append(title, element("span", "note", shape.join(" × ")), save);
  made.append(head, ...samples.map((rows, index) => table(rows, samples.length > 1 ? `Sample ${index + 1}` : "")));
  if (left_out) made.append(element("p", "note", `${left_out} more samples are in the file.`));
  return made;
}

function table(rows, caption) {
  const made = element("table");
  if (caption) made.append(element("caption", "", caption));
  const body = element("tbody");
  for (const [label, number, share] of rows) {
    const row = element("tr");
    const head = element("th", "name", label);
    head.scope = "row";
    const bar = element("td", "share");
    if (share !== null) {
      const filled = element("span");
      filled.style.width = `${100 * share}%`;
      bar.append(filled);
    }
    row.append(head, bar, element("td", "number", number));
    body.append(row);
  }
  made.append(body);
  return made;
}

async function download(name, number) {
  const bytes = await ask({ call: "saved", values: [number] });
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = `${name}.npy`;
  link.click();
}

/* ---- start */

if (model.image) {
  readyBoard();
  readyPicture();
  for (const radio of document.querySelectorAll("input[name=way]")) {
    radio.addEventListener("change", () => {
      for (const each of document.querySelectorAll(".way")) each.hidden = each.id !== way();
      byId("seen").hidden = way() === "numbers";
      if (way() === "drawing") show(board);
      else if (chosen) show(chosen);
    });
  }
}
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
ready = start();
ready.then(
  () => say("Ready."),
  (error) => say(`The model cannot start: ${error.message}`, true),
);
