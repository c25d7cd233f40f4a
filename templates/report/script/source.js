// The module's source.

const sourceLines = (report.source ?? "").split("\n");
const CHUNK = 100; // lines that the browser lays out together

function showSource() {
  if (report.source === null) {
    bodyOf("source").append(note("There is no module."));
    return;
  }
  const state = element("span", { class: "note", role: "status" });
  const bar = element(
    "div",
    { class: "bar controls" },
    button("Copy", () => copySource(state), { id: "copy" }),
    state,
  );
  const lines = report.source_html ?? sourceLines;
  const read = report.source_html ? highlighted : (text) => [document.createTextNode(text)];
  const code = scroller("Source");
  code.classList.add("code");
  for (let start = 0; start < lines.length; start += CHUNK) {
    const chunk = lines.slice(start, start + CHUNK).map((text, index) => sourceLine(start + index + 1, read(text)));
    code.append(element("div", { class: "chunk" }, chunk));
  }
  bodyOf("source").append(bar, code);
}

function sourceLine(number, content) {
  const anchor = element("a", {
    href: `#L${number}`,
    tabindex: -1,
    "aria-label": `Line ${number}`,
    "data-number": number,
  });
  return element("div", { class: "line", id: `L${number}` }, anchor, element("code", {}, content, "\n"));
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/** The nodes of a line that Pygments has coloured: only spans with a class are taken over, all else is text. */
function highlighted(html) {
  const line = document.createDocumentFragment();
  const stack = [line];
  for (const [token, look, entity] of html.matchAll(
    /<span class="([a-z0-9 ]*)">|<\/span>|&(amp|lt|gt|quot|#39);|[^<&]+|[<&]/g,
  )) {
    if (token === "</span>" && stack.length > 1) stack.pop();
    else if (look !== undefined) stack.push(stack[stack.length - 1].appendChild(element("span", { class: look })));
    else stack[stack.length - 1].append(entity ? ENTITIES[entity] : token);
  }
  return [line];
}

async function copySource(state) {
  try {
    await navigator.clipboard.writeText(report.source);
    state.textContent = "Copied";
  } catch {
    document.getSelection().selectAllChildren(document.querySelector(".code"));
    state.textContent = "The browser refuses: the source is selected, press Ctrl+C";
  }
}

/** Show a line of the source and mark it, and the others that belong to it. */
function jumpTo(lines, line) {
  showNow("source");
  document.querySelectorAll(".line.lit").forEach((node) => node.classList.remove("lit"));
  for (const number of lines) byId(`L${number}`)?.classList.add("lit");
  byId(`L${line}`)?.scrollIntoView({ block: "center" });
  byId(`L${line}`)?.querySelector("a").focus({ preventScroll: true });
  say(`Line ${line} of the source`);
}

/** The line that the address names, as in report.html#L12. */
function jumpToAddress() {
  const match = /^#L(\d+)$/.exec(location.hash);
  if (match) jumpTo([Number(match[1])], Number(match[1]));
}
