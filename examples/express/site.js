// An Express site behind a waiting room: npm install && npm start.

import { readFileSync } from "node:fs";

import express from "express";

import { waitline } from "../../connectors/js/src/node.js";

const port = Number(process.env.PORT ?? 8000);

const file = (name) => readFileSync(new URL(`../pages/${name}`, import.meta.url), "utf-8");
const page = (name, visit) => file(`${name}.html`).replace("{{place}}", visit?.place ?? "-");

const app = express();

app.use(
  waitline({
    queueUrl: process.env.WAITLINE_QUEUE_URL ?? "http://127.0.0.1:8081",
    siteKey: process.env.WAITLINE_SITE_KEY ?? "a key for the example only",
    origins: [`http://127.0.0.1:${port}`],
  }),
);

app.get("/", (request, response) => response.send(page("home")));
app.get("/tickets", (request, response) => response.send(page("tickets", request.waitline)));

// An order ends the visit.
app.post("/tickets/order", (request, response) => {
  response.set("Waitline-Leave", "1").send(page("ordered", request.waitline));
});

app.get("/static/style.css", (request, response) => response.type("css").send(file("style.css")));

app.listen(port, "127.0.0.1");
