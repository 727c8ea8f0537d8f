// Swagger UI for /openapi.json.

// The bundled Swagger UI supports OpenAPI 3.0 only. Of what the description uses, 3.1 writes nullable
// values and constants differently.
function asVersion30(node) {
  if (Array.isArray(node)) return node.map(asVersion30);
  if (node === null || typeof node !== "object") return node;
  const { anyOf, const: constant, ...rest } = node;
  const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, asVersion30(value)]));
  if (Array.isArray(copy.type)) {
    copy.nullable = copy.type.includes("null");
    copy.type = copy.type.find((type) => type !== "null");
  }
  if (constant !== undefined) copy.enum = [constant];
  if (!Array.isArray(anyOf)) return anyOf === undefined ? copy : { ...copy, anyOf: asVersion30(anyOf) };
  const kinds = anyOf.filter((kind) => kind.type !== "null").map(asVersion30);
  if (kinds.length < anyOf.length) copy.nullable = true;
  if (kinds.length > 1) return { ...copy, anyOf: kinds };
  return kinds[0].$ref ? { ...copy, allOf: kinds } : { ...kinds[0], ...copy };
}

const response = await fetch("openapi.json");
const description = await response.json();
// Not the root of the host, if a proxy puts the service below a path.
const here = new URL(".", location).href.replace(/\/$/, "");

// Where Swagger UI leaves a control without a name, by its surroundings, the closest first.
const NAMES = [
  [".copy-to-clipboard", () => "Copy"],
  [".close-modal", () => "Close"],
  [".auth-container, .modal-ux", () => "Key"],
  ["tr[data-param-name]", (row) => row.dataset.paramName],
  [".body-param", () => "Request body"],
  [".servers", () => "Server"],
];

function nameControls() {
  for (const control of document.querySelectorAll("#docs select, #docs textarea, #docs input, #docs button")) {
    if (control.getAttribute("aria-label") || control.textContent.trim() && control.tagName === "BUTTON") continue;
    const known = NAMES.find(([around]) => control.closest(around));
    if (known) control.setAttribute("aria-label", known[1](control.closest(known[0])));
  }
  for (const table of document.querySelectorAll("#docs table[role=region]:not([aria-label])")) {
    table.setAttribute("aria-label", `Responses of ${table.id.replace(/_responses$/, "")}`);
  }
  // The keyboard scrolls what has the focus.
  for (const block of document.querySelectorAll("#docs pre:not([tabindex]), #docs .table-container:not([tabindex])")) {
    block.tabIndex = 0;
  }
}

new MutationObserver(nameControls).observe(document.getElementById("docs"), { childList: true, subtree: true });

SwaggerUIBundle({
  dom_id: "#docs",
  spec: { servers: [{ url: here }], ...asVersion30(description), openapi: "3.0.3" },
  presets: [SwaggerUIBundle.presets.apis],
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
