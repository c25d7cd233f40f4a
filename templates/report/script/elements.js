"use strict";
// The page's script consists of these files, one after the other in the order of kerasgen/reporting/render.py. All that
// the page shows is in the JSON of #report; the model's words only ever become text nodes and the values of harmless
// attributes. This file: the data, and how elements are made.

const report = JSON.parse(document.getElementById("report").textContent);
const byId = (id) => document.getElementById(id);
const bodyOf = (id) => byId(id).querySelector(".body");

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Strings among the children become text; attributes that are null or false are left out. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

function button(text, action, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", action);
  return node;
}

/** Pairs of a term and what it is; a pair without a value is left out. */
function terms(pairs, attributes = {}) {
  const known = pairs.filter(([, value]) => value != null && value !== "");
  const rows = known.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("dl", attributes, rows);
}

/** A plain table; cells are strings or elements. A table may be wider than the page: it scrolls by itself. */
function table(label, titles, rows) {
  const head = element(
    "tr",
    {},
    titles.map((title) => element("th", { scope: "col" }, title)),
  );
  const lines = rows.map((row) =>
    element(
      "tr",
      {},
      row.map((cell) => element("td", {}, cell)),
    ),
  );
  return scroller(label, element("table", {}, element("thead", {}, head), element("tbody", {}, lines)));
}

function scroller(label, ...children) {
  return element("div", { class: "scroller", role: "region", tabindex: 0, "aria-label": label }, ...children);
}

const note = (text) => element("p", { class: "note" }, text);
const named = (text) => element("span", { class: "name" }, text);
