"""Hosts of a database's address: a primary and the standbys that may take over from it. Pure."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def each_host(url: str) -> list[str]:
    """Return one address for each host that an address names, in its order.

    Hosts are separated by commas, before the path or in the parameter `host`, which also names the
    folder of a socket. There are as many ports as hosts, or one for all.

    Source:
        PostgreSQL's documentation, libpq, "Specifying Multiple Hosts".
    """
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    if hosts:
        return [
            urlunsplit(parts._replace(netloc=credentials + at + host)) for host in hosts.split(",")
        ]
    query = dict(parse_qsl(parts.query))
    if "," not in query.get("host", ""):
        return [url]
    names, ports = query["host"].split(","), query.get("port", "").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    return [
        urlunsplit(parts._replace(query=urlencode({**query, **_where(name, port)})))
        for name, port in zip(names, ports, strict=False)
    ]


def name_of(url: str) -> str:
    """Return the name, or the literal address, of an address's only host; empty for a socket."""
    parts = urlsplit(url)
    name = parts.hostname or dict(parse_qsl(parts.query)).get("host", "")
    return "" if name.startswith("/") else name


def _where(host: str, port: str) -> dict[str, str]:
    return {"host": host, "port": port} if port else {"host": host}
