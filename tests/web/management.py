"""What the management address alone answers in production mode."""

MANAGEMENT = [
    "/actuator/prometheus",
    "/actuator/info",
    "/openapi.json",
    "/docs",
    "/docs/docs.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
]
