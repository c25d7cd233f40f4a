// Starts it all.

// Sections are filled when they come near the window, when the browser has nothing to do, or when the page is printed.
const waiting = new Map([
  ["overview", showModel],
  ["plots", showPlots],
  ["layers", showTable],
  ["scan", showScan],
  ["source", showSource],
]);

function showNow(id) {
  const show = waiting.get(id);
  if (!waiting.delete(id)) return;
  show();
  byId(id).dataset.shown = "";
  if (selection.id !== null) for (const listener of selection.listeners) listener(selection.id);
}

function showLazily() {
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => showNow(entry.target.id)),
    { rootMargin: "400px" },
  );
  for (const id of waiting.keys()) near.observe(byId(id));
  whenIdle(showNext);
}

const whenIdle = (action) => (window.requestIdleCallback ? requestIdleCallback(action) : setTimeout(action, 50));

function showNext() {
  const [id] = waiting.keys();
  if (id === undefined) return;
  showNow(id);
  whenIdle(showNext);
}

/** On paper everything is there. */
function showAll() {
  for (const id of [...waiting.keys()]) showNow(id);
}

/** After the first frame with the graph in it. */
function markReady() {
  requestAnimationFrame(() =>
    setTimeout(() => {
      performance.mark("ready");
      document.documentElement.dataset.ready = "";
      showLazily();
    }),
  );
}

showProblems();
showHeader();
startGraph();
window.addEventListener("beforeprint", showAll);
document.addEventListener(
  "keydown",
  (event) => event.key === "Escape" && byId("details").classList.contains("shown") && closeDetails(),
);
window.addEventListener("hashchange", jumpToAddress);
markReady();
jumpToAddress();
