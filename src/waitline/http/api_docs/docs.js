// The API's description, /openapi.json, as a page to read and to try.

// This Swagger UI reads OpenAPI 3.0, and says of 3.1 only that it cannot. They differ in how they
// write what may be null, and a constant; nothing else that the description uses.
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

const response = await fetch("/openapi.json");
const description = await response.json();

SwaggerUIBundle({
  dom_id: "#docs",
  spec: { ...asVersion30(description), openapi: "3.0.3" },
  presets: [SwaggerUIBundle.presets.apis],
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
