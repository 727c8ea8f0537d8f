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

SwaggerUIBundle({
  dom_id: "#docs",
  spec: { servers: [{ url: here }], ...asVersion30(description), openapi: "3.0.3" },
  presets: [SwaggerUIBundle.presets.apis],
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
