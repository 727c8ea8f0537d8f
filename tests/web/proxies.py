"""Proxies in front of a site, each with the configuration that we ship, run as it is.

Only addresses, deadlines and names that the operator chooses are replaced. Of the two controllers
of Kubernetes only the proxy runs, with what the controller makes of our file.
"""

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its library has no types
from typing_extensions import override

from tests import nginx
from tests.processes import started
from tests.servers import IN_CI
from waitline.trial.machine import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

# Seconds until a proxy listens, on a machine that runs other tests as well.
LISTENS_S = 30.0

# Deadlines of calls to the gate, after which most proxies let visitors pass. A machine that runs
# other tests may need longer.
DEADLINES = {
    "timeout: 2s": "timeout: 30s",
    "connect_timeout: 1s": "connect_timeout: 30s",
    "proxy_connect_timeout 1s": "proxy_connect_timeout 30s",
    "proxy_read_timeout 2s": "proxy_read_timeout 30s",
    "dial_timeout 1s": "dial_timeout 30s",
    "response_header_timeout 2s": "response_header_timeout 30s",
    "DEADLINE_MS = 2000": "DEADLINE_MS = 30000",
}

GATE = "127.0.0.1:8081"
SITE = "127.0.0.1:3000"
SERVICE = "waitline-queue.waitline.svc.cluster.local:8081"


class Setup(NamedTuple):
    """What a proxy's configuration needs to know.

    Attributes:
        folder: The proxy's own.
        port: Where it listens.
        gate: The gate's port.
        site: The site's port.
        site_key: The key that sites share with the queue.
        cookies: Names of the gate's cookies.
        change: A text of the proxy's file, and what replaces it.
    """

    folder: Path
    port: int
    gate: int
    site: int
    site_key: str
    cookies: Sequence[str]
    change: tuple[str, str]

    def localized(self, text: str) -> str:
        """Return a configuration with these addresses, and deadlines that no load exceeds."""
        for short, long in DEADLINES.items():
            text = text.replace(short, long)
        text = text.replace(*self.change).replace(GATE, f"127.0.0.1:{self.gate}")
        return text.replace(SITE, f"127.0.0.1:{self.site}")

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text, "utf-8")
        return file

    def read(self, name: str) -> str:
        """Return a file that we ship, with these addresses."""
        return self.localized((DEPLOY / name).read_text("utf-8"))


class Proxy(NamedTuple):
    """A kind of proxy.

    Attributes:
        argv: Writes its configuration, and returns the command that runs it.
        redirect: Status of a redirect to the line.
        down: Status of an answer while the gate does not answer.
        closing: A text of its file, and the one with which visitors get 503 then.
        cookies: Whether cookies of the gate pass together with an answer of the site.
        other_names: Whether it removes fields that some sites read as ours.
    """

    argv: Callable[[Setup], list[str | Path]]
    redirect: int = 302
    down: int = 200
    closing: tuple[str, str] | None = None
    cookies: bool = True
    other_names: bool = True


class Shop(BaseHTTPRequestHandler):
    """The protected site: shows what it gets."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        # As sites read fields that get them as variables (CGI, WSGI): all other characters alike.
        ours: dict[str, str] = {}
        for name, value in self.headers.items():
            plain = re.sub("[^a-z0-9]", "-", name.lower())
            if plain.startswith("x-waitline-"):
                ours[plain] = ours.get(plain, "") + value
        body = f"{self.command} {self.path} of {ours.get('x-waitline-user', '')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Seen", json.dumps(ours))
        self.send_header("Set-Cookie", "site=1")
        self.send_header("Waitline-Leave", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_OPTIONS = do_DELETE = _answer  # noqa: N815 - their names

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def shop() -> Iterator[int]:
    """Run the site; return its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def program(name: str, install: str) -> str:
    """Return the path of a program; fail in CI and skip elsewhere if it is missing."""
    ours = Path(sys.executable).parent / name
    found = shutil.which(ours) or shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing(f"{name} is missing: {install}")
    return found


def _nginx(setup: Setup, config: str) -> list[str | Path]:
    program("nginx", "apt-get install nginx-light")
    return nginx.command(config, setup.folder, setup.port)


def _plain_nginx(setup: Setup) -> list[str | Path]:
    return _nginx(setup, setup.read("nginx/gate.conf"))


def _ingress_nginx(setup: Setup) -> list[str | Path]:
    """As the controller's template has it: rootfs/etc/nginx/template/nginx.tmpl."""
    (ingress,) = yaml.safe_load_all((DEPLOY / "ingress-nginx/waitline.yaml").read_text("utf-8"))
    prefix = "nginx.ingress.kubernetes.io/"
    given = {
        name.removeprefix(prefix): value.replace(SERVICE, GATE)
        for name, value in ingress["metadata"]["annotations"].items()
    }
    names = given.pop("auth-response-headers").split(",")
    headers = "".join(
        f"auth_request_set $authHeader{number} $upstream_http_{name.lower().replace('-', '_')};"
        f"proxy_set_header '{name}' $authHeader{number};\n"
        for number, name in enumerate(names)
    )
    config = f"""
        server {{
            listen 80;
            server_name {ingress["spec"]["rules"][0]["host"]};
            {given.pop("server-snippet")}
            location = /_external-auth {{
                internal;
                proxy_pass_request_body off;
                proxy_set_header Content-Length "";
                proxy_set_header X-Forwarded-Proto "";
                proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
                proxy_set_header X-Original-Method $request_method;
                proxy_set_header X-Sent-From "nginx-ingress-controller";
                proxy_set_header X-Real-IP $remote_addr;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Auth-Request-Redirect $request_uri;
                proxy_http_version 1.1;
                set $target {given.pop("auth-url")};
                proxy_pass $target;
            }}
            location / {{
                auth_request /_external-auth;
                auth_request_set $auth_cookie $upstream_http_set_cookie;
                add_header Set-Cookie $auth_cookie;
                {headers}
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_http_version 1.1;
                {given.pop("configuration-snippet")}
                proxy_pass http://{SITE};
            }}
        }}
    """
    assert not given, "an annotation that is not in this configuration"
    return _nginx(setup, setup.localized(config))


def _caddy(setup: Setup) -> list[str | Path]:
    text = setup.read("caddy/Caddyfile")
    text = text.replace("http://shop.example {", f"http://127.0.0.1:{setup.port} {{")
    config = setup.write("Caddyfile", "{\n\tadmin off\n}\n" + text)
    found = program("caddy", "apt-get install caddy")
    return [found, "run", "--config", config, "--adapter", "caddyfile"]


def _haproxy(setup: Setup) -> list[str | Path]:
    setup.write("gate.lua", setup.read("haproxy/gate.lua"))
    shutil.copy(ROOT / "connectors/lua/waitline.lua", setup.folder)
    text = setup.read("haproxy/haproxy.cfg").replace("/etc/haproxy", str(setup.folder))
    text = text.replace("bind :80", f"bind 127.0.0.1:{setup.port}")
    config = setup.write("haproxy.cfg", text)
    return [program("haproxy", "apt-get install haproxy"), "-db", "-f", config]


def _traefik(setup: Setup) -> list[str | Path]:
    text = setup.read("traefik/waitline.yml").replace("`shop.example`", "`127.0.0.1`")
    document = yaml.safe_load(text)
    forward = document["http"]["middlewares"]["waitline"]["forwardAuth"]
    forward["addAuthCookiesToResponse"] = list(setup.cookies)
    setup.write("waitline.yml", yaml.safe_dump(document))
    fixed = (DEPLOY / "traefik/traefik.yml").read_text("utf-8")
    fixed = fixed.replace('":80"', f'"127.0.0.1:{setup.port}"')
    config = setup.write("traefik.yml", fixed.replace("/etc/traefik", str(setup.folder)))
    return [program("traefik", "make .venv/.proxies"), f"--configFile={config}"]


def _envoy(setup: Setup) -> list[str | Path]:
    return _envoy_with(setup, _envoy_document(setup))


def _envoy_gateway(setup: Setup) -> list[str | Path]:
    """As the translator of Envoy Gateway has it: internal/xds/translator/extauth.go."""
    policy, traffic = yaml.safe_load_all((DEPLOY / "envoy/envoy-gateway.yaml").read_text("utf-8"))
    external = policy["spec"]["extAuth"]
    service = external["http"]
    document = _envoy_document(setup)
    manager = _manager(document)
    manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"] = [
        {"remove": name} for name in traffic["spec"]["headers"]["earlyRequestHeaders"]["remove"]
    ]
    del manager["route_config"]["response_headers_to_remove"]
    manager["common_http_protocol_options"] = {"headers_with_underscores_action": "REJECT_REQUEST"}
    manager["http_filters"][0]["typed_config"] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "failure_mode_allow": external["failOpen"],
        "allowed_headers": _exactly(external["headersToExtAuth"]),
        "http_service": {
            "server_uri": {"uri": f"http://{GATE}", "cluster": "waitline_gate", "timeout": "10s"},
            "path_prefix": service["path"],
            "authorization_response": {
                "allowed_upstream_headers": _exactly(service["headersToBackend"])
            },
        },
    }
    return _envoy_with(setup, document)


def _exactly(names: Sequence[str]) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


def _envoy_document(setup: Setup) -> dict[str, Any]:
    text = setup.read("envoy/envoy.yaml")
    text = text.replace("0.0.0.0, port_value: 80 ", f"127.0.0.1, port_value: {setup.port} ")
    text = text.replace("port_value: 8081 ", f"port_value: {setup.gate} ")
    text = text.replace("port_value: 3000 ", f"port_value: {setup.site} ")
    text = text.replace('"shop.example", "shop.example:*"', '"127.0.0.1", "127.0.0.1:*"')
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def _manager(document: dict[str, Any]) -> dict[str, Any]:
    listener = document["static_resources"]["listeners"][0]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def _envoy_with(setup: Setup, document: dict[str, Any]) -> list[str | Path]:
    config = setup.write("envoy.yaml", yaml.safe_dump(document))
    found = program("envoy", "make .venv/.proxies")
    # No restart in place: several of them run beside each other.
    rest = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    return [found, "-c", config, *rest]


PROXIES = {
    "nginx": Proxy(_plain_nginx, redirect=303),
    "envoy": Proxy(_envoy, closing=("failure_mode_allow: true", "failure_mode_allow: false")),
    "traefik": Proxy(_traefik, down=500),
    "caddy": Proxy(_caddy),
    "haproxy": Proxy(_haproxy, closing=("OPEN = true", "OPEN = false")),
    "ingress-nginx": Proxy(_ingress_nginx, redirect=303, down=500),
    "envoy-gateway": Proxy(_envoy_gateway, down=403, cookies=False, other_names=False),
}


@contextmanager
def proxied(
    kind: str,
    folder: Path,
    gate: int,
    *,
    site_key: str = "none",
    cookies: Sequence[str] = (),
    change: tuple[str, str] = (GATE, GATE),
) -> Iterator[str]:
    """Run a site behind a proxy; return the proxy's address."""
    with ExitStack() as running:
        site = running.enter_context(shop())
        setup = Setup(folder, free_port(), gate, site, site_key, cookies, change)
        argv = PROXIES[kind].argv(setup)
        env = {"WAITLINE_SITE_KEY": site_key, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}

        url = f"http://127.0.0.1:{setup.port}"

        def serves() -> bool:
            try:
                # Traefik listens before it knows the site.
                return httpx.get(url, timeout=LISTENS_S).status_code != HTTPStatus.NOT_FOUND
            except httpx.TransportError:
                return False

        running.enter_context(started(argv, env, serves, LISTENS_S))
        yield url
