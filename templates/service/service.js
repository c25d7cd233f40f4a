// The page of `kerasgen serve`: it uploads models and follows their jobs. What comes from a model or from the server
// becomes text (textContent, append), never markup.

const MEANINGS = {
  0: "The module is ready.",
  1: "The module would answer differently from Keras.",
  2: "These options do not go together.",
  3: "The file is damaged, incomplete or contradicts itself.",
  4: "The file is sound, but holds something that cannot be converted.",
  5: "A file could not be read or written, or the job went over its limit of time or memory.",
  70: "This is a bug in kerasgen.",
  130: "The job was stopped.",
};

const TITLE = document.title;
const TOKEN = "kerasgen-token"; // in sessionStorage
const JOBS = "kerasgen-jobs"; // in localStorage
const POLL_SECONDS = 5;
const SILENCE = 45; // seconds until a stream counts as lost: the server says something every 15
const LONGEST_WAIT = 15; // seconds between attempts to reach a lost server

const $ = (id) => document.getElementById(id);

// --- Text ------------------------------------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== ""));
  return node;
}

/** A button that says "Delete" to the eye, and "Delete small.keras" to a screen reader. */
function buttonFor(action, object, onClick) {
  const button = element("button", { type: "button" }, action, element("span", { className: "unseen" }, ` ${object}`));
  button.addEventListener("click", onClick);
  return button;
}

/** Show a text in an element, or hide the element where there is none. */
function say(node, text) {
  node.textContent = text;
  node.hidden = !text;
}

/** Let a screen reader say it. */
function announce(text) {
  $("status").textContent = text;
}

const formatCount = new Intl.NumberFormat("en").format;
const threeDigits = { maximumSignificantDigits: 3, useGrouping: false };
const formatDigits = new Intl.NumberFormat("en", threeDigits).format;
const formatShort = new Intl.NumberFormat("en", { ...threeDigits, notation: "compact", compactDisplay: "long" }).format;
const formatDate = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format;

function formatSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), 3);
  return `${formatDigits(bytes / 1000 ** power)} ${["kB", "MB", "GB"][power - 1]}`;
}

/** A relative error; null is one that is not finite. */
function formatError(error) {
  return error == null ? "not finite" : error.toExponential(1);
}

function timeElement(seconds) {
  const date = new Date(seconds * 1000);
  return element("time", { dateTime: date.toISOString() }, formatDate(date));
}

// --- API -------------------------------------------------------------------------------------------------------------

/** An answer that is no success; `status` is 0 where the server could not be reached. */
class ApiError extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  static from(status, body, retryAfter) {
    return new ApiError(status, detailOf(body) || `The server answered ${status}.`, Number(retryAfter) || 0);
  }
}

/** The words of an error's JSON: FastAPI lists what is wrong with a request. */
function detailOf(body) {
  let detail;
  try {
    detail = JSON.parse(body).detail;
  } catch {
    return "";
  }
  return Array.isArray(detail) ? detail.map((item) => item.msg).join("; ") : String(detail ?? "");
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** A successful answer of the API; asks for the token where one is wanted. Raises ApiError. */
async function request(method, path, { headers = {}, signal } = {}) {
  for (;;) {
    const token = authorization();
    const response = await reach(path, { method, headers: { ...headers, ...token }, signal, cache: "no-store" });
    if (response.ok) return response;
    if (response.status !== 401) {
      throw ApiError.from(response.status, await response.text(), response.headers.get("Retry-After"));
    }
    await askToken(token);
  }
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached.");
  }
}

/** Answers when the dialog closes, with the value of its button, or "" after Escape. */
function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

let asking = null; // one dialog, however many requests wait for it

function askToken(refused) {
  if (authorization().Authorization !== refused.Authorization) return undefined; // another request has asked meanwhile
  asking ??= tokenFromDialog(Boolean(refused.Authorization)).finally(() => (asking = null));
  return asking;
}

async function tokenFromDialog(wrong) {
  sessionStorage.removeItem(TOKEN);
  $("token").value = "";
  $("token-wrong").hidden = !wrong;
  if ((await ask($("token-dialog"))) !== "ok") throw new ApiError(401, "The server wants a token.");
  sessionStorage.setItem(TOKEN, $("token").value.trim());
}

/** Post a form with XMLHttpRequest, the only way to see an upload's progress. The answer is the job's state. */
function upload(form, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "api/jobs");
    for (const [name, value] of Object.entries(authorization())) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    xhr.addEventListener("load", () => {
      if (xhr.status === 202) resolve(JSON.parse(xhr.responseText));
      else reject(ApiError.from(xhr.status, xhr.responseText, xhr.getResponseHeader("Retry-After")));
    });
    const lost = new ApiError(0, "The connection was lost. The file is still chosen: try again.");
    xhr.addEventListener("error", () => reject(lost));
    xhr.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.send(form);
  });
}

/** The events of a text/event-stream, as {id, data}. EventSource has no way to send a token. */
async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let [rest, id, data] = ["", "", []];
  for (;;) {
    const silence = setTimeout(() => reader.cancel(), SILENCE * 1000);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop(); // perhaps half a line
    for (const line of lines) {
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === "id") id = text;
      else if (field === "data") data.push(text);
      else if (line === "" && data.length) {
        yield { id, data: data.join("\n") };
        data = [];
      }
    }
  }
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const ended = (state) => state.state === "done" || state.state === "failed";

async function jobState(id, signal) {
  return (await request("GET", `api/jobs/${id}`, { signal })).json();
}

/** Calls `onState` with each state of a job until it ends, and `onLost` when the connection breaks. */
async function follow(id, { onState, onLost, signal }) {
  let [lastId, wait] = ["", 1];
  for (;;) {
    try {
      const headers = lastId ? { "Last-Event-ID": lastId } : {};
      const response = await request("GET", `api/jobs/${id}/events`, { headers, signal });
      for await (const event of serverEvents(response.body)) {
        [lastId, wait] = [event.id, 1];
        const state = JSON.parse(event.data);
        onState(state);
        if (ended(state)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status && error.status < 500) throw error;
    }
    onLost();
    await sleep(wait);
    if (signal.aborted) return;
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function fetchFile(id, name) {
  return (await request("GET", `api/jobs/${id}/files/${encodeURIComponent(name)}`)).blob();
}

// --- The form --------------------------------------------------------------------------------------------------------

const form = $("form");
let submission = null; // an AbortController while a file is uploaded or waits for the queue

function chosenFile(input) {
  return input.files[0];
}

function onModelChosen() {
  const architecture = /\.json$/i.test(chosenFile($("model"))?.name ?? "");
  if (architecture && $("weights-field").hidden) announce("An architecture: add the file with its weights.");
  $("weights-field").hidden = !architecture;
  say($("form-error"), "");
}

function putFiles(input, ...files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
}

/** Take dropped files: a model, or an architecture with its weights, in either order. */
function onDrop(event) {
  event.preventDefault();
  $("drop").classList.remove("over");
  const files = [...event.dataTransfer.files];
  if (!files.length || submission) return;
  files.sort((a, b) => /\.json$/i.test(b.name) - /\.json$/i.test(a.name));
  const addsWeights = files.length === 1 && !$("weights-field").hidden && !/\.json$/i.test(files[0].name);
  if (addsWeights) {
    putFiles($("weights"), files[0]);
  } else {
    putFiles($("model"), files[0]);
    putFiles($("weights"), ...files.slice(1, 2));
    onModelChosen();
  }
  announce(`Chosen: ${files.map((file) => file.name).join(", ")}`);
  $("submit").focus();
}

function chosenOptions() {
  const fields = new FormData(form);
  const options = {
    store: fields.get("store"),
    optimize: Number(fields.get("optimize")),
    activations: fields.get("functions") === "activations",
    gradients: fields.get("functions") === "gradients",
    streaming: fields.get("functions") === "streaming",
    strict: fields.has("strict"),
  };
  const name = fields.get("name").trim();
  return name ? { ...options, name } : options;
}

function submissionForm() {
  const data = new FormData();
  data.append("options", JSON.stringify(chosenOptions()));
  data.append("model", chosenFile($("model")));
  const weights = $("weights-field").hidden ? undefined : chosenFile($("weights"));
  if (weights) data.append("weights", weights);
  return data;
}

function showUploaded(loaded, total) {
  $("upload").hidden = false;
  $("upload-bar").value = total ? loaded / total : 0;
  $("upload-text").textContent = `Uploading: ${formatSize(loaded)} of ${formatSize(total)}`;
}

function setBusy(busy) {
  $("submit").disabled = busy;
  $("cancel").hidden = !busy;
  $("upload").hidden = true;
  $("waiting").hidden = true;
}

async function onSubmit(event) {
  event.preventDefault();
  submission = new AbortController();
  say($("form-error"), "");
  setBusy(true);
  $("cancel").focus();
  let state = null;
  try {
    state = await submit(submission.signal);
  } catch (error) {
    if (submission.signal.aborted) announce("Cancelled.");
    else say($("form-error"), explain(error));
  }
  submission = null;
  setBusy(false);
  if (state) {
    remember(state.id, state.name);
    location.hash = `job/${state.id}`;
  } else {
    $("submit").focus();
  }
}

/** Upload until the server takes it: again with a token, or when the queue has room. */
async function submit(signal) {
  for (;;) {
    const token = authorization();
    try {
      announce("Uploading.");
      return await upload(submissionForm(), { onProgress: showUploaded, signal });
    } catch (error) {
      if (error.status === 401) await askToken(token);
      else if (error.status === 429) await countDown(error.retryAfter || POLL_SECONDS, signal);
      else throw error;
    }
  }
}

async function countDown(seconds, signal) {
  $("upload").hidden = true;
  $("waiting").hidden = false;
  announce(`The queue is full. Next try in ${seconds} seconds.`);
  for (let left = Math.ceil(seconds); left > 0; left--) {
    $("countdown").textContent = `${left} s`;
    await sleep(1);
    signal.throwIfAborted();
  }
  $("waiting").hidden = true;
}

function explain(error) {
  if (error.status === 413) return `The file is too large: ${error.message}`;
  if (error.status === 422) return `The server does not take this request: ${error.message}`;
  return error.message;
}

// --- The shown job ---------------------------------------------------------------------------------------------------

// What a job may have, or not.
const PARTS = "job-delete job-running job-lost verdict problems-part results file-error report".split(" ");

let shown = { id: "", stop: new AbortController(), files: "" };

/** Show the job that the address names, if it names one. */
function onAddress() {
  const id = /^#job\/([\w-]+)$/.exec(location.hash)?.[1] ?? "";
  if (id !== shown.id) show(id);
}

async function show(id) {
  shown.stop.abort();
  shown = { id, stop: new AbortController(), files: "" };
  clearJob();
  $("job").hidden = !id;
  if (!id) return;
  $("job-title").textContent = jobs.get(id)?.name ?? "Job";
  $("job-title").focus();
  const { signal } = shown.stop;
  try {
    await follow(id, { onState, onLost: () => ($("job-lost").hidden = false), signal });
  } catch (error) {
    if (!signal.aborted) showMissing(id, error);
  }
}

function clearJob() {
  for (const id of PARTS) $(id).hidden = true;
  for (const id of ["job-step", "job-expires", "facts", "report-frame"]) $(id).replaceChildren();
  showBadge($("job-state"), "");
  document.title = TITLE;
  $("report-open").removeAttribute("href");
}

function showMissing(id, error) {
  clearJob();
  const gone = error.status === 404;
  showVerdict("bad", gone ? "This job is gone: it was deleted, or its time was over." : explain(error));
  if (gone) forget(id);
}

function showBadge(node, state) {
  say(node, state);
  node.className = `badge ${state}`;
}

function onState(state) {
  $("job-lost").hidden = true;
  $("job-delete").hidden = false;
  $("job-title").textContent = state.name;
  document.title = `${state.name}: ${state.state} – kerasgen`;
  showBadge($("job-state"), state.state);
  if (state.expires) $("job-expires").replaceChildren("Kept on this server until ", timeElement(state.expires), ".");
  showProgress(state);
  showFacts(state.details);
  showProblems(state.details.problems ?? []);
  showFiles(state);
  updateRow(state.id, state);
  if (ended(state)) showEnd(state);
}

function showProgress(state) {
  $("job-running").hidden = ended(state);
  const text = state.state === "queued" ? "waiting for its turn" : state.text || state.step || "starting";
  if (!ended(state) && text !== $("job-step").textContent) {
    $("job-step").textContent = text;
    announce(text);
  }
  $("job-bar").value = state.fraction || 0;
}

function showEnd(state) {
  const meaning = MEANINGS[state.exit_code] ?? "";
  const problems = state.details.problems ?? [];
  const message = problems.length ? "" : state.message; // it lists the problems, too
  const { unverified, warning } = state.details;
  const comparison = state.exit_code === 0 && unverified ? `Not compared with Keras: ${unverified}.` : "";
  showVerdict(state.exit_code === 0 ? "good" : "bad", meaning, message, state.advice, comparison, warning);
  announce(`${state.name}: ${state.state}. ${meaning}`);
  if (state.files.some((file) => file.name === "report.html")) showReport(state.id);
}

function showVerdict(kind, ...lines) {
  const texts = lines.filter(Boolean).map((line, index) => element("p", {}, index ? line : element("b", {}, line)));
  $("verdict").className = `message ${kind}`;
  $("verdict").replaceChildren(...texts);
  $("verdict").hidden = !texts.length;
}

function showFacts(details) {
  const facts = [];
  if (details.parameters != null) facts.push(["Parameters", formatCount(details.parameters)]);
  if (details.macs != null) facts.push(["Multiply-adds of a sample", formatShort(details.macs)]);
  for (const output of details.errors ?? []) {
    const remark = output.ok ? "" : ", too large";
    facts.push([`Difference from Keras: ${output.name}`, formatError(output.relative) + remark]);
  }
  if (details.dangerous != null) facts.push(["Scan of the file", details.dangerous ? "dangerous" : "no known dangers"]);
  const nodes = facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  $("facts").replaceChildren(...nodes);
}

function showProblems(problems) {
  const items = problems.map((problem) => element("li", {}, problem));
  $("problems").replaceChildren(...items);
  $("problems-part").hidden = !items.length;
}

// --- Its files -------------------------------------------------------------------------------------------------------

function purpose(name) {
  if (name === "report.html") return "the report, a page of its own";
  if (name === "summary.json") return "the summary, for programs";
  if (name === "reproduction.zip") return "what reproduces the error, for a bug report";
  if (name.endsWith(".py")) return "the module";
  if (name.endsWith(".npz")) return "its weights: keep them beside the module";
  return "";
}

function showFiles(state) {
  const key = JSON.stringify(state.files);
  if (key === shown.files) return; // keeps the focus where it is
  shown.files = key;
  $("results").hidden = !state.files.length;
  $("files").replaceChildren(...state.files.map((file) => fileRow(state.id, file)));
}

function fileRow(id, { name, size }) {
  const about = element("span", {}, element("code", {}, name), purpose(name) ? ` – ${purpose(name)}` : "");
  const button = buttonFor("Download", name, () => download(id, name, button));
  return element("li", {}, about, element("span", { className: "note" }, formatSize(size)), button);
}

async function download(id, name, button) {
  button.disabled = true;
  say($("file-error"), "");
  try {
    const url = URL.createObjectURL(await fetchFile(id, name));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it after the click
    announce(`${name} is downloaded.`);
  } catch (error) {
    say($("file-error"), `${name}: ${explain(error)}`);
  }
  button.disabled = false;
  button.focus();
}

/** The report comes with a policy that gives it no origin: its script sees nothing of this page. */
async function showReport(id) {
  const path = `api/jobs/${id}/files/report.html`;
  if ($("report-open").getAttribute("href") === path) return;
  $("report-open").href = path;
  await openFiles(id);
  if (id !== shown.id) return;
  const frame = { src: path, sandbox: "allow-scripts", title: `Report of ${$("job-title").textContent}` };
  $("report-frame").replaceChildren(element("iframe", frame)); // a new one adds nothing to the history
  $("report").hidden = false;
}

/** Frames and tabs send no token: the answer's cookie opens the files of this job to them for some minutes. */
async function openFiles(id) {
  await jobState(id);
}

async function onOpenReport(event) {
  event.preventDefault();
  await openFiles(shown.id);
  window.open($("report-open").href, "_blank", "noopener");
}

async function askDelete(id) {
  $("delete-name").textContent = jobs.get(id)?.name ?? $("job-title").textContent;
  if ((await ask($("delete-dialog"))) !== "ok") return;
  try {
    await request("DELETE", `api/jobs/${id}`);
  } catch (error) {
    if (error.status !== 404) return void say($("form-error"), `Not deleted: ${explain(error)}`);
  }
  forget(id);
  if (id === shown.id) location.hash = "";
  announce("Deleted.");
  ($("list").hidden ? $("model") : $("list-title")).focus();
}

// --- The list of this browser's jobs ---------------------------------------------------------------------------------

const jobs = new Map(); // the newest first
const rows = new Map();

function loadJobs() {
  const known = new Map(jobs);
  jobs.clear();
  for (const job of JSON.parse(localStorage.getItem(JOBS) ?? "[]")) jobs.set(job.id, known.get(job.id) ?? job);
}

function saveJobs() {
  localStorage.setItem(JOBS, JSON.stringify([...jobs.values()].map(({ id, name }) => ({ id, name }))));
}

function remember(id, name) {
  const others = [...jobs];
  jobs.clear();
  for (const [key, job] of [[id, { id, name }], ...others]) jobs.set(key, job);
  saveJobs();
  showList();
  pollLater();
}

function forget(id) {
  jobs.delete(id);
  rows.delete(id);
  saveJobs();
  showList();
}

function showList() {
  $("list").hidden = !jobs.size;
  $("jobs").replaceChildren(...[...jobs.values()].map((job) => rows.get(job.id) ?? addRow(job)));
}

function addRow({ id, name }) {
  const open = element("button", { type: "button", className: "link name" }, name);
  const state = element("span", { className: "badge" }, "queued");
  const expires = element("span", { className: "note" });
  const remove = buttonFor("Delete", name, () => askDelete(id));
  open.addEventListener("click", () => {
    if (id === shown.id) $("job-title").focus();
    else location.hash = `job/${id}`;
  });
  const row = element("li", {}, element("span", {}, open), state, expires, remove);
  rows.set(id, row);
  return row;
}

function updateRow(id, state) {
  if (!jobs.has(id)) return;
  jobs.get(id).ended = ended(state);
  const [, badge, expires] = rows.get(id).children;
  showBadge(badge, state.state);
  if (state.expires) expires.replaceChildren("until ", timeElement(state.expires));
}

let poll = 0;

function pollLater() {
  clearTimeout(poll);
  poll = setTimeout(refresh, POLL_SECONDS * 1000);
}

/** Ask for the states of the jobs that have not ended; the shown one is followed anyway. */
async function refresh() {
  const open = [...jobs.values()].filter((job) => !job.ended && job.id !== shown.id);
  for (const { id } of open) {
    try {
      updateRow(id, await jobState(id));
    } catch (error) {
      if (error.status === 404) forget(id);
      else if (error.status === 401) return;
    }
  }
  if (open.length) pollLater();
}

// --- Start -----------------------------------------------------------------------------------------------------------

form.addEventListener("submit", onSubmit);
form.addEventListener("invalid", (event) => ($("options").open ||= $("options").contains(event.target)), true);
$("cancel").addEventListener("click", () => submission?.abort());
$("model").addEventListener("change", onModelChosen);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || $("drop").classList.remove("over"));
document.addEventListener("drop", onDrop);
$("job-delete").addEventListener("click", () => askDelete(shown.id));
$("report-open").addEventListener("click", onOpenReport);
window.addEventListener("hashchange", onAddress);

window.addEventListener("storage", (event) => {
  if (event.key !== JOBS) return; // another tab has changed it
  loadJobs();
  showList();
  refresh();
});

onModelChosen(); // a browser that goes back keeps the chosen file
loadJobs();
showList();
onAddress();
refresh();
