/* Runs the model in Pyodide, away from the thread of the page.
 *
 * The first message is {page, pyodide, files}: where the page and Pyodide are, and the files that Python needs. Then
 * each {call, values} asks for a function of bridge.py. Each message is answered by {result} or {error}. */

let python, bridge;

async function start({ page, pyodide, files }) {
  importScripts(`${pyodide}pyodide.js`);
  const [loaded, ...contents] = await Promise.all([
    loadPyodide({ indexURL: pyodide, packages: ["numpy"] }),
    ...files.map((name) => content(new URL(name, page))),
  ]);
  python = loaded;
  files.forEach((name, index) => python.FS.writeFile(name, contents[index]));
  python.runPython("import sys; sys.path.insert(0, '.')");
  bridge = python.pyimport("bridge");
}

async function content(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/* The last line of a Python traceback says what is wrong. */
function reason(error) {
  return String(error?.message ?? error).trim().split("\n").pop().replace(/^\w*Error: /, "");
}

/* A text as it is, bytes as an array of their own. */
function plain(result) {
  return result instanceof python.ffi.PyProxy ? result.toJs() : result;
}

onmessage = async ({ data }) => {
  try {
    postMessage({ result: bridge ? plain(bridge[data.call](...data.values)) : await start(data) });
  } catch (error) {
    postMessage({ error: reason(error) });
  }
};
