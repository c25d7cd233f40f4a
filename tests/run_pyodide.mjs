// Runs a file of Python code in Pyodide with NumPy: node run_pyodide.mjs PYODIDE FOLDER FILE, where FOLDER is its
// working folder. Environment variables whose names begin with KERASGEN_ or OPENBLAS_ are there, too.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, folder, file] = process.argv.slice(2).map((name) => path.resolve(name));
const { loadPyodide } = await import(pathToFileURL(path.join(pyodide, "pyodide.mjs")));
const env = Object.entries(process.env).filter(([name]) => /^(KERASGEN|OPENBLAS)_/.test(name));
const python = await loadPyodide({ env: { HOME: "/here", ...Object.fromEntries(env) } });
await python.loadPackage("numpy", { messageCallback: () => {} });
python.FS.mkdirTree("/here");
python.mountNodeFS("/here", folder);
python.FS.chdir("/here");
try {
    python.runPython(fs.readFileSync(file, "utf8"));
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
