"use strict";
const report = JSON.parse(document.getElementById("report").textContent);
const heading = document.createElement("h1");
heading.textContent = report.model.name;
document.getElementById("main").append(heading);
