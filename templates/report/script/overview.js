// The header, the model as a whole, what is unsupported, and what the scan found.

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
