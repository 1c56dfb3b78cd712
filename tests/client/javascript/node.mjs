// Plays a scene in node: `node node.mjs SCENE URL`. It must end by itself: no timer may be left.

import { createRequire } from "node:module";

import * as scenes from "./scenes.mjs";

const [scene, url] = process.argv.slice(2);
globalThis.WebSocket ??= createRequire(import.meta.url)("ws"); // Debian's node-ws, for node 18
await scenes[scene](url);
