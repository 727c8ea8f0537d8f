// A site in Deno itself, in front of a queue's stand-in.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { testsOf } from "../test/behaviour.js";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const [platform] = readdirSync(path("node_modules/@deno"));
const DENO = path(`node_modules/@deno/${platform}/deno`);

// It needs no file and no package: only the network, and its settings.
const ARGUMENTS = ["run", "--no-config", "--no-npm", "--no-remote", "--no-prompt"];
const PERMISSIONS = ["--allow-net=127.0.0.1", "--allow-env=SETTINGS"];

async function open({ log, ...settings }) {
  const origin = "http://shop.example";
  const process = spawn(DENO, [...ARGUMENTS, ...PERMISSIONS, path("site.js")], {
    env: {
      DENO_DIR: path("cache"),
      DENO_NO_UPDATE_CHECK: "1",
      SETTINGS: JSON.stringify({ ...settings, origins: [origin] }),
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await new Promise((resolve, reject) => {
    process.once("exit", (code) => reject(new Error(`Deno ended with ${code}`)));
    createInterface(process.stdout).on("line", (line) => {
      const [, kind, text] = /^(\w+) (.*)$/.exec(line);
      if (kind === "port") resolve(text);
      else log(text);
    });
  });
  const close = async () => {
    process.stdin.end();
    if (process.exitCode === null) await once(process, "exit");
  };
  const send = (target, options) => fetch(`http://127.0.0.1:${port}${target}`, options);
  return { send, close, origin };
}

testsOf("deno", open);
