"""Write vectors.json, on which every connector and the queue agree.

Run `python connectors/generate_vectors.py`.

What is signed is put together here a second time, on purpose, and what is expected is written by
hand: were it taken from a connector, a change of the form would change the vectors silently.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PATH = Path(__file__).with_name("vectors.json")

ABOUT = (
    "Vectors for the connectors of Waitline and for its gate. The keys are for tests only. "
    "`passes`: tokens, and what verifying them for the room `summer` at `now` says. "
    "`returns`: signed ways back; HMAC-SHA256 with the UTF-8 of siteKey over the text before the "
    "dot. `marks`: what binds a pass to a browser's secret. `paths`, `hosts`: as sent, and as "
    "rules see them. `patterns`: texts that match and texts that do not; fold: case does not "
    "matter. `matches`: requests and the first rule of `document` that matches. "
    "`documentsRefused`: documents that cannot be used. `decisions`: requests and what becomes of "
    "them by the rules of `protection`: `answers` are results of calls to the queue, `newSecret` "
    "is the secret that a browser without one gets, `link` the address in the page."
)

NOW = 1_764_000_000
SITE_KEY = "site-key-of-the-vectors"
QUEUE = "https://queue.example"
ORIGIN = "https://shop.example"
SECRET = "kept-secret-of-22-char"
NEW_SECRET = "new-secret-of-22-chars"
HTML = {"accept": "text/html,application/xhtml+xml"}

KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    for name in ("key-1", "key-2", "unpublished")
}
HEADER: dict[str, Any] = {"alg": "EdDSA", "kid": "key-1", "typ": "waitline-pass+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "waitline",
    "aud": "summer",
    "sub": "visitor-1",
    "place": 12,
    "joined": (NOW - 60) * 1_000,
    "iat": NOW - 30,
    "exp": NOW + 570,
}
"""A good pass, from which the others differ in one thing."""


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64_json(value: object) -> str:
    return b64(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def token(signer: str = "key-1", *, head: dict[str, Any] | None = None, **claims: object) -> str:
    header = {**HEADER, "kid": signer, **(head or {})}
    body = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    signed = f"{b64_json(header)}.{b64_json(body)}"
    return f"{signed}.{b64(KEYS[signer].sign(signed.encode()))}"


def hmac_key_confusion() -> str:
    public = KEYS["key-1"].public_key().public_bytes_raw()
    signed = f"{b64_json({**HEADER, 'alg': 'HS256'})}.{b64_json(CLAIMS)}"
    mac = hmac.digest(public, signed.encode(), "sha512")
    return f"{signed}.{b64(mac)}"


GOOD = token()
AUTUMN = token(aud="autumn", sub="visitor-2", place=7)
EXPIRED = token(exp=NOW - 60, iat=NOW - 660)
LEFT = token(place=99)
FORGED = GOOD[:-4] + ("AAAA" if not GOOD.endswith("AAAA") else "BBBB")


def passes() -> list[dict[str, Any]]:
    header, claims, signature = GOOD.split(".")
    other = b64_json({**CLAIMS, "place": 1})
    rows = [
        ("good", GOOD, "good"),
        ("another published key", token("key-2"), "good"),
        ("vouched for by the shop", token(account=True), "good"),
        ("members that are not known yet", token(more="x"), "good"),
        ("a visitor whose id is not ASCII", token(sub="방문자"), "good"),
        ("expired within the clock skew", token(exp=NOW - 4), "good"),
        ("expired beyond it", token(exp=NOW - 5), "expired"),
        ("expired long ago", EXPIRED, "expired"),
        ("of another room", AUTUMN, "room"),
        ("left early", LEFT, "revoked"),
        ("altered claims", f"{header}.{other}.{signature}", "forged"),
        ("altered signature", FORGED, "forged"),
        ("signed by a key that is not published", token("unpublished"), "key-unknown"),
        ("names a published key, signed by another", renamed(), "forged"),
        ("no algorithm", token(head={"alg": "none"}), "malformed"),
        ("MAC keyed with the public key", hmac_key_confusion(), "malformed"),
        ("another type of token", token(head={"typ": "JWT"}), "malformed"),
        ("critical extension", token(head={"crit": ["exp"]}), "malformed"),
        ("another issuer", token(iss="someone"), "malformed"),
        ("several rooms", token(aud=["summer"]), "malformed"),
        ("no expiry", token(exp=None), "malformed"),
        ("an expiry that is text", token(exp="1764000570"), "malformed"),
        ("a place that is no number", token(place="12"), "malformed"),
        ("place 0", token(place=0), "malformed"),
        ("no visitor", token(sub=None), "malformed"),
        ("padding", GOOD + "=", "malformed"),
        ("white space", GOOD + " ", "malformed"),
        ("a signature too short", f"{header}.{claims}.{signature[:-2]}", "malformed"),
        ("two parts", f"{header}.{claims}", "malformed"),
        ("not JSON", f"{b64(b'x')}.{claims}.{signature}", "malformed"),
        ("nested deeply", f"{b64(b'[' * 1_500)}.{claims}.{signature}", "malformed"),
        ("a ticket", "t1.key-1.12.1764000000000.AAAAAAAAAAAAAAAAAAAAAA", "malformed"),
        ("too long", token(sub="x" * 2_000), "malformed"),
        ("empty", "", "malformed"),
    ]
    return [{"name": name, "token": text, "expect": expect} for name, text, expect in rows]


def renamed() -> str:
    signed = f"{b64_json(HEADER)}.{b64_json(CLAIMS)}"
    return f"{signed}.{b64(KEYS['key-2'].sign(signed.encode()))}"


def signed_return(address: str, room: str = "summer", expires_s: int = NOW + 86_400) -> str:
    text = b64_json({"u": address, "r": room, "e": expires_s})
    return f"{text}.{b64(hmac.digest(SITE_KEY.encode(), text.encode(), 'sha256'))}"


def returns() -> dict[str, Any]:
    long = ORIGIN + "/" + "a" * 1_990
    good = [
        (f"{ORIGIN}/buy/1?lang=en&seat=a%20b", "summer", ""),
        (f"{ORIGIN}/", "여름", ""),
        (f"{ORIGIN}/buy/1?note=" + "x" * 2_000, "summer", f"{ORIGIN}/buy/1"),
    ]
    made = signed_return(f"{ORIGIN}/buy/1")
    text, _, mac = made.partition(".")
    foreign = b64_json({"u": "https://evil.example/", "r": "summer", "e": NOW + 60})
    other_key = b64(hmac.digest(b"another key of a site", text.encode(), "sha256"))
    return {
        "good": [
            {"address": a, "room": room, "signed": signed_return(cut or a, room), "kept": cut or a}
            for a, room, cut in good
        ],
        "tooLong": [{"address": long, "room": "summer"}],
        "refused": [
            {"name": "another address", "room": "summer", "signed": f"{foreign}.{mac}"},
            {"name": "another key", "room": "summer", "signed": f"{text}.{other_key}"},
            {"name": "another room", "room": "autumn", "signed": made},
            {
                "name": "expired",
                "room": "summer",
                "signed": signed_return(f"{ORIGIN}/", expires_s=NOW - 1),
            },
            {"name": "a script", "room": "summer", "signed": signed_return("javascript:alert(1)")},
            {"name": "a relative address", "room": "summer", "signed": signed_return("/buy/1")},
            {"name": "no MAC", "room": "summer", "signed": text},
            {"name": "an empty MAC", "room": "summer", "signed": text + "."},
            {"name": "an address", "room": "summer", "signed": "https://evil.example/"},
            {"name": "empty", "room": "summer", "signed": ""},
        ],
    }


PATHS = [
    ("/", "/"),
    ("/buy/1", "/buy/1"),
    ("/buy/1/", "/buy/1/"),
    ("/x/../buy/1", "/buy/1"),
    ("/x/./../buy/./1", "/buy/1"),
    ("//buy//1", "/buy/1"),
    ("/%62uy/1", "/buy/1"),
    ("/buy%2F1", "/buy/1"),
    ("/buy%2f1", "/buy/1"),
    ("/x/%2e%2e/buy/1", "/buy/1"),
    ("/x/%2E./buy/1", "/buy/1"),
    ("/buy%252F1", "/buy%2F1"),
    ("/../../buy/1", "/buy/1"),
    ("/..", "/"),
    ("/buy/..", "/"),
    ("/buy/1/.", "/buy/1/"),
    ("/buy/1/..", "/buy/"),
    ("/static/\\..\\..\\buy/1", "/buy/1"),
    ("/static%5C..%5Cbuy/1", "/buy/1"),
    ("\\buy\\1", "/buy/1"),
    ("/a%zz/100%", "/a%zz/100%"),
    ("/%EC%97%AC%EB%A6%84/1", "/여름/1"),
    ("/buy/1;v=2", "/buy/1;v=2"),
    ("/...", "/..."),
    ("/a+b", "/a+b"),
    ("", "/"),
]
HOSTS = [
    ("shop.example", "shop.example"),
    ("SHOP.Example:8443", "shop.example"),
    ("shop.example.", "shop.example"),
    ("shop.example.:443", "shop.example"),
    ("[2001:DB8::1]:80", "[2001:db8::1]"),
    ("[2001:db8::1]", "[2001:db8::1]"),
    ("", ""),
]
PATTERNS: list[dict[str, Any]] = [
    {
        "pattern": "/buy/*",
        "yes": ["/buy/", "/buy/1", "/buy/1/2"],
        "no": ["/buy", "/Buy/1", "x/buy/"],
    },
    {"pattern": "*.css", "yes": ["/a.css", ".css", "/a/b.css"], "no": ["/a.css.map", "/a.CSS"]},
    {"pattern": "*", "yes": ["", "/", "여름"], "no": []},
    {"pattern": "/a*b*c", "yes": ["/abc", "/aXbYc", "/abbcc"], "no": ["/ac", "/acb", "/ab"]},
    {"pattern": "a*a", "yes": ["aa", "aba"], "no": ["a"]},
    {"pattern": "**", "yes": ["", "x"], "no": []},
    {"pattern": "/a.b?[c]", "yes": ["/a.b?[c]"], "no": ["/aXb?[c]", "/a.b"]},
    {
        "pattern": "*.Shop.Example",
        "fold": True,
        "yes": ["www.shop.example"],
        "no": ["shop.example"],
    },
    {"pattern": "*a*a*a*a*a*a*a*a*a*b", "yes": ["a" * 9 + "b"], "no": ["a" * 2_000]},
    {"pattern": "/여름/*", "yes": ["/여름/1"], "no": ["/겨울/1"]},
]

DOCUMENT = {
    "version": 3,
    "rules": [
        {"name": "static", "action": "bypass", "when": {"path": ["/static/*", "*.css"]}},
        {
            "name": "webhooks",
            "action": "bypass",
            "when": {"path": ["/hooks/*"], "method": ["post"], "header": {"X-Hook": ["v1,*"]}},
        },
        {"name": "staff", "action": "bypass", "when": {"cookie": {"staff": ["1", "yes-*"]}}},
        {
            "name": "phones",
            "action": "queue",
            "room": "phones",
            "when": {"userAgent": ["*mobile*"], "path": ["/buy/*"]},
        },
        {
            "name": "tickets",
            "action": "queue",
            "room": "summer",
            # As the queue serves it: empty where there is no condition.
            "when": {
                "host": ["shop.example", "*.shop.example"],
                "path": ["/buy/*"],
                "method": [],
                "header": {},
                "cookie": {},
                "userAgent": [],
            },
        },
    ],
}


def asked(target: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """Return a request; headers that are named with `_` have `-` on the wire."""
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "method": method,
        "host": named.pop("host", "shop.example"),
        "target": path,
        "query": query,
        "headers": named,
    }


def matches() -> list[dict[str, Any]]:
    rows: list[tuple[dict[str, Any], str | None]] = [
        (asked("/buy/1"), "tickets"),
        (asked("/buy/1", host="WWW.SHOP.EXAMPLE:8443"), "tickets"),
        (asked("/buy/1", host="shop.example.evil.example"), None),
        (asked("/x/../buy/1"), "tickets"),
        (asked("/%62uy/1"), "tickets"),
        (asked("/static/../buy/1"), "tickets"),
        (asked("/static/%2e%2e/buy/1"), "tickets"),
        (asked("/static/a.js"), "static"),
        (asked("/buy/a.css"), "static"),
        (asked("/buy/1?x=/a.css"), "tickets"),
        (asked("/hooks/pay", "POST", x_hook="v1,abc"), "webhooks"),
        (asked("/hooks/pay", "POST", x_hook="V1,abc"), None),
        (asked("/hooks/pay", "POST"), None),
        (asked("/hooks/pay", "GET", x_hook="v1,abc"), None),
        (asked("/buy/1", cookie="a=b; staff=1"), "staff"),
        (asked("/buy/1", cookie="staff=2; staff=yes-sir"), "staff"),
        (asked("/buy/1", cookie="Staff=1"), "tickets"),
        (asked("/buy/1", cookie="a=b ;  staff= 1 "), "staff"),
        # A space before the equals sign is part of the name.
        (asked("/buy/1", cookie="staff =1"), "tickets"),
        (asked("/buy/1", cookie="a=b; staff\t=1"), "tickets"),
        (asked("/buy/1", user_agent="Mozilla/5.0 (Android) Mobile Safari"), "phones"),
        (asked("/", user_agent="Mobile"), None),
        (asked("/"), None),
    ]
    return [{"request": request, "rule": rule} for request, rule in rows]


def refused_documents() -> list[dict[str, Any]]:
    def of(**rule: object) -> dict[str, Any]:
        return {"version": 1, "rules": [{"name": "x", "action": "bypass", **rule}]}

    rows: list[tuple[str, object]] = [
        ("no object", []),
        ("a rule that is no object", {"rules": ["x"]}),
        ("an unknown action", of(action="drop")),
        ("no room", of(action="queue")),
        ("a room of a bypass", of(room="summer")),
        ("an unknown mode", of(action="queue", room="r", mode="maybe")),
        ("an unknown way to fail", of(action="queue", room="r", whenUnreachable="half")),
        ("bind that is no boolean", of(action="queue", room="r", bind="yes")),
        ("an unknown condition", of(when={"country": ["KR"]})),
        ("patterns that are no list", of(when={"path": "/buy/*"})),
        ("no patterns of a header", of(when={"header": {"x": []}})),
        ("too many patterns", of(when={"path": ["/x"] * 21})),
        ("a pattern that is too long", of(when={"path": ["x" * 257]})),
        ("a pattern that is no text", of(when={"path": [1]})),
        ("headers that are no object", of(when={"header": ["x"]})),
        ("too many rules", {"rules": [of()["rules"][0]] * 101}),
    ]
    return [{"name": name, "document": document} for name, document in rows]


PROTECTION = {
    "version": 1,
    "rules": [
        {"name": "static", "action": "bypass", "when": {"path": ["/static/*"]}},
        {"name": "tickets", "action": "queue", "room": "summer", "when": {"path": ["/buy/*"]}},
        {
            "name": "closed",
            "action": "queue",
            "room": "summer",
            "whenUnreachable": "closed",
            "when": {"path": ["/closed/*"]},
        },
        {
            "name": "observed",
            "action": "queue",
            "room": "summer",
            "mode": "observe",
            "when": {"path": ["/observed/*"]},
        },
        {
            "name": "bound",
            "action": "queue",
            "room": "autumn",
            "bind": True,
            "when": {"path": ["/bound/*"]},
        },
    ],
}


def cookie_name(room: str) -> str:
    return "__Host-waitline-pass-" + hashlib.sha256(room.encode()).hexdigest()[:16]


def mark(text: str, secret: str) -> str:
    return b64(hmac.digest(SITE_KEY.encode(), f"bound\n{text}\n{secret}".encode(), "sha256"))


def line(address: str, room: str = "summer") -> str:
    return f"{QUEUE}/rooms/{quote(room, safe='')}?return={signed_return(address, room)}"


BROWSER = f"__Host-waitline-browser={SECRET}"
SUMMER_COOKIE = f"{cookie_name('summer')}={GOOD}"
KEEP = "Path=/; Max-Age={}; HttpOnly; SameSite=Lax; Secure"
NO_STORE = ["Cache-Control", "no-store"]
NEW_BROWSER = ["Set-Cookie", f"__Host-waitline-browser={NEW_SECRET}; " + KEEP.format(34_560_000)]
KEEP_SUMMER = ["Set-Cookie", f"{SUMMER_COOKIE}; " + KEEP.format(570)]
NO_REFERRER = ["Referrer-Policy", "no-referrer"]


def kept_autumn(secret: str, text: str = "") -> list[str]:
    text = text or AUTUMN
    value = f"{cookie_name('autumn')}={text}~{mark(text, secret)}"
    return ["Set-Cookie", f"{value}; " + KEEP.format(570)]


def html(*, retry: bool) -> list[list[str]]:
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
    found = [
        ["Content-Type", "text/html; charset=utf-8"],
        ["Content-Security-Policy", policy],
        NO_REFERRER,
        NO_STORE,
    ]
    return found + ([["Retry-After", "10"]] if retry else [])


JSON = [["Content-Type", "application/json"], NO_STORE, ["Retry-After", "10"]]


def case(
    name: str,
    request: dict[str, Any],
    outcome: str,
    status: int = 0,
    **more: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    expect = {"outcome": outcome, "status": status, "headers": []}
    beside = {}
    for key, value in more.items():
        if key in {"headers", "observed", "call", "body", "title", "link", "visitor"}:
            expect[key] = value
        else:
            beside[key] = value
    return {"name": name, "request": request, **beside, "expect": expect}


def see_other(address: str, *cookies: list[str]) -> list[list[str]]:
    return [["Location", address], NO_STORE, *cookies, NO_REFERRER]


def wait(address: str, room: str = "summer", *cookies: list[str]) -> list[list[str]]:
    return [["Location", line(address, room)], NO_STORE, *cookies]


def json_body(message: str, address: str = "", code: str = "Q006") -> str:
    body = {"status": "error", "code": code, "message": message}
    return json.dumps(
        body | ({"waitingPage": address} if address else {}),
        separators=(",", ":"),
        ensure_ascii=False,
    )


NEEDED = "A pass of the waiting room is needed."
NEEDED_KO = "대기실 입장권이 필요합니다."
FORMED = {"walkedIn": False}


def page(target: str, **headers: str) -> dict[str, Any]:
    return asked(target, **HTML, **{"accept_language": "en", **headers})


def decisions() -> list[dict[str, Any]]:
    return [*unguarded(), *with_a_pass(), *without_a_pass(), *handed_over(), *bound(), *failing()]


def unguarded() -> list[dict[str, Any]]:
    preflight: dict[str, Any] = {
        "access_control_request_method": "PUT",
        "origin": "https://app.example",
    }
    return [
        case("no rule", page("/"), "bypass"),
        case("a bypass", page("/static/a.js"), "bypass"),
        case("a preflight", asked("/buy/1", "OPTIONS", **preflight), "bypass"),
        case("no preflight", asked("/buy/1", "OPTIONS"), "refuse", 429, headers=JSON,
             body=json_body(NEEDED_KO, line(f"{ORIGIN}/buy/1"))),
        case("a parameter of that name that is not ours", page("/?waitline=1"), "bypass"),
    ]  # fmt: skip


def with_a_pass() -> list[dict[str, Any]]:
    good: dict[str, Any] = {"visitor": "visitor-1"}
    return [
        case("a good pass", page("/buy/1", cookie=SUMMER_COOKIE), "pass", **good),
        case("a good pass, of a script", asked("/buy/1", "PUT", cookie=SUMMER_COOKIE), "pass",
             **good),
        case("a good pass, HEAD", asked("/buy/1", "HEAD", cookie=SUMMER_COOKIE), "pass", **good),
        case("a good pass while the queue is away", page("/closed/1", cookie=SUMMER_COOKIE),
             "pass", reachable=False, **good),
        case("a pass that left",
             page("/buy/1", cookie=f"{cookie_name('summer')}={LEFT}; {BROWSER}"),
             "wait", 302, answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
        case("the pass of another room",
             page("/buy/1", cookie=f"{cookie_name('summer')}={AUTUMN}; {BROWSER}"),
             "wait", 302, answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
        case("an expired pass", asked("/buy/1", cookie=f"{cookie_name('summer')}={EXPIRED}"),
             "refuse", 429, headers=JSON, body=json_body(NEEDED_KO, line(f"{ORIGIN}/buy/1"))),
        case("the cookie without its prefix",
             page("/buy/1", cookie=SUMMER_COOKIE.removeprefix("__Host-") + "; " + BROWSER),
             "wait", 302, answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
        case("a space behind the cookie's name",
             page("/buy/1", cookie=f"{cookie_name('summer')} ={GOOD}; {BROWSER}"),
             "wait", 302, answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
    ]  # fmt: skip


def without_a_pass() -> list[dict[str, Any]]:
    address = f"{ORIGIN}/buy/1?lang=en&x=%20"
    prefetch = page("/buy/1", sec_purpose="prefetch;prerender", cookie=BROWSER)
    form: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        **HTML,
        "accept_language": "en",
    }
    walked = token(sub="walked-in", place=13)
    idle: dict[str, Any] = {"headers": JSON, "body": json_body(NEEDED)}
    return [
        case("a page asks whether a line has formed", page("/buy/1"), "call", call="walk-in"),
        case("a page, and there is no line", page("/buy/1"), "pass", visitor="walked-in",
             answers={"walkedIn": walked},
             headers=[["Set-Cookie", f"{cookie_name('summer')}={walked}; " + KEEP.format(570)],
                      NEW_BROWSER]),
        case("a page, and there is a line", page("/buy/1?lang=en&x=%20"), "wait", 302,
             answers=FORMED, headers=wait(address, "summer", NEW_BROWSER)),
        case("a browser that is known", page("/buy/1", cookie=BROWSER), "wait", 302,
             answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
        case("another host in the header is not signed",
             page("/buy/1", host="evil.example", cookie=BROWSER), "wait", 302,
             answers=FORMED, headers=wait(f"{ORIGIN}/buy/1")),
        case("the second of our own hosts", page("/buy/1", host="www.shop.example", cookie=BROWSER),
             "wait", 302, answers=FORMED, headers=wait("https://www.shop.example/buy/1")),
        case("two slashes", page("//buy/1", cookie=BROWSER), "wait", 302,
             answers=FORMED, headers=wait(f"{ORIGIN}//buy/1")),
        case("a frame asks, too, if its cookies reach us", framed("same-site"), "call",
             call="walk-in"),
        case("a frame, and there is a line", framed("same-origin"), "frame", 429, answers=FORMED,
             headers=html(retry=True), title="Please open this page by itself",
             link=line(f"{ORIGIN}/buy/1")),
        case("a frame of another site takes no place", framed("cross-site"), "frame", 429,
             headers=html(retry=True), title="Please open this page by itself",
             link=line(f"{ORIGIN}/buy/1")),
        case("a document of another site, in an old way",
             asked("/buy/1", sec_fetch_dest="object", sec_fetch_site="cross-site"), "frame", 429,
             headers=html(retry=True), title="페이지를 따로 열어 주세요",
             link=line(f"{ORIGIN}/buy/1")),
        case("a frame with a good pass",
             page("/buy/1", sec_fetch_dest="iframe", cookie=SUMMER_COOKIE), "pass",
             visitor="visitor-1"),
        case("a script", asked("/buy/1", accept="application/json", accept_language="en"),
             "refuse", 429, headers=JSON, body=json_body(NEEDED, line(f"{ORIGIN}/buy/1"))),
        case("a script that writes", asked("/buy/1", "POST", accept="*/*"), "refuse", 429,
             headers=JSON, body=json_body(NEEDED_KO, line(f"{ORIGIN}/buy/1"))),
        case("HEAD takes no place", asked("/buy/1", "HEAD", **HTML, accept_language="en"),
             "refuse", 429, **idle),
        case("a range takes no place", page("/buy/1", range="bytes=0-9"), "refuse", 429, **idle),
        case("a prefetch takes no place", prefetch, "refuse", 429, **idle),
        case("an old prefetch takes no place", page("/buy/1", purpose="prefetch"), "refuse", 429,
             **idle),
        case("a form", asked("/buy/1", "POST", **form, referer=f"{ORIGIN}/buy/form?x=1"), "form",
             429, headers=html(retry=True), title="Your form was not sent",
             link=line(f"{ORIGIN}/buy/form?x=1")),
        case("a form of another site",
             asked("/buy/1", "POST", **form, referer="https://shop.example.evil.example/"), "form",
             429, headers=html(retry=True), title="Your form was not sent",
             link=line(f"{ORIGIN}/buy/1")),
        case("a form, in Korean", asked("/buy/1", "POST", sec_fetch_mode="navigate"), "form", 429,
             headers=html(retry=True), title="양식이 전송되지 않았습니다",
             link=line(f"{ORIGIN}/buy/1")),
        case("observed", page("/observed/1"), "pass", observed="wait"),
        case("observed, a script", asked("/observed/1"), "pass", observed="refuse"),
        case("observed, with a pass", page("/observed/1", cookie=SUMMER_COOKIE), "pass",
             visitor="visitor-1"),
    ]  # fmt: skip


def framed(site: str) -> dict[str, Any]:
    return page("/buy/1", sec_fetch_dest="iframe", sec_fetch_site=site, cookie=BROWSER)


def handed_over() -> list[dict[str, Any]]:
    clean, refused = f"{ORIGIN}/buy/1?lang=en", "This link is no longer valid"
    good, bad = f"/buy/1?lang=en&waitline={GOOD}", f"/buy/1?lang=en&waitline={FORGED}"
    old: dict[str, Any] = {
        "title": refused,
        "headers": html(retry=False),
        "link": line(clean) + "#renew",
    }
    return [
        case("a pass in the address", page(good, cookie=BROWSER), "exchange", 303,
             headers=see_other(clean, KEEP_SUMMER), visitor="visitor-1"),
        case("a pass in the address, in a browser that has not been here", page(good), "exchange",
             303, headers=see_other(clean + "&waitline=kept", KEEP_SUMMER, NEW_BROWSER),
             visitor="visitor-1"),
        case("at a page that is not guarded", page(f"/?waitline={GOOD}", cookie=BROWSER),
             "exchange", 303, headers=see_other(f"{ORIGIN}/", KEEP_SUMMER), visitor="visitor-1"),
        case("sent by POST", asked(good, "POST", cookie=BROWSER), "pass", headers=[KEEP_SUMMER],
             visitor="visitor-1"),
        case("a pass that is forged", page(bad), "refused", 403, **old),
        case("a pass that is expired", page(f"/buy/1?lang=en&waitline={EXPIRED}"), "refused", 403,
             **old),
        case("a pass that left", page(f"/buy/1?lang=en&waitline={LEFT}"), "refused", 403, **old),
        case("a forged one beside a good cookie", page(bad, cookie=SUMMER_COOKIE), "exchange", 303,
             headers=[["Location", clean], NO_STORE]),
        case("an expired one at a page that is not guarded", page(f"/?waitline={EXPIRED}&a=1"),
             "exchange", 303, headers=[["Location", f"{ORIGIN}/?a=1"], NO_STORE]),
        case("a forged one where rules are observed", page(f"/observed/1?waitline={FORGED}"),
             "pass", observed="refused"),
        case("the cookie was kept", page("/buy/1?waitline=kept&lang=en", cookie=SUMMER_COOKIE),
             "exchange", 303, headers=[["Location", clean], NO_STORE]),
        case("the cookie was not kept", page("/buy/1?lang=en&waitline=kept"), "cookies", 403,
             title="Please allow cookies", headers=html(retry=False), link=clean),
        case("the cookie was not kept, in a frame",
             page("/buy/1?lang=en&waitline=kept", sec_fetch_dest="iframe"), "cookies", 403,
             title="Please allow cookies", headers=html(retry=False), link=clean),
        case("a pass that is expired, in a frame",
             page(f"/buy/1?lang=en&waitline={EXPIRED}", sec_fetch_dest="iframe"), "refused", 403,
             **old),
        case("a name that only ends alike", page("/?notwaitline=x"), "bypass"),
    ]  # fmt: skip


def bound() -> list[dict[str, Any]]:
    target, clean = f"/bound/1?waitline={AUTUMN}", f"{ORIGIN}/bound/1"
    own = f"{cookie_name('autumn')}={AUTUMN}~{mark(AUTUMN, SECRET)}"
    waits = wait(clean, "autumn")
    walked = token(aud="autumn", sub="walked-in", place=13)
    return [
        case("a walked-in pass is claimed as well", page("/bound/1", cookie=BROWSER), "call",
             call="claim", visitor="walked-in", answers={"walkedIn": walked}),
        case("a walked-in pass of this browser", page("/bound/1", cookie=BROWSER), "pass",
             visitor="walked-in", answers={"walkedIn": walked, "claimed": True},
             headers=[kept_autumn(SECRET, walked)]),
        case("a walked-in pass that is not this browser's", page("/bound/1", cookie=BROWSER),
             "wait", 302, answers={"walkedIn": walked, "claimed": False}, headers=waits),
        case("a pass asks whose it is", page(target, cookie=BROWSER), "call", call="claim",
             visitor="visitor-2"),
        case("a pass of this browser", page(target, cookie=BROWSER), "exchange", 303,
             answers={"claimed": True}, headers=see_other(clean, kept_autumn(SECRET)),
             visitor="visitor-2"),
        case("a pass of a new browser", page(target), "exchange", 303, answers={"claimed": True},
             headers=see_other(clean + "?waitline=kept", kept_autumn(NEW_SECRET), NEW_BROWSER),
             visitor="visitor-2"),
        case("a pass of another browser", page(target, cookie=BROWSER), "refused", 403,
             answers={"claimed": False}, title="This link is no longer valid",
             headers=html(retry=False), link=line(clean, "autumn") + "#renew"),
        case("the cookie in its browser", page("/bound/1", cookie=f"{own}; {BROWSER}"), "pass",
             visitor="visitor-2"),
        case("the cookie in another browser",
             page("/bound/1", cookie=f"{own}; __Host-waitline-browser={NEW_SECRET}"),
             "wait", 302,
             answers=FORMED, headers=waits),
        case("the cookie without its mark",
             page("/bound/1", cookie=f"{cookie_name('autumn')}={AUTUMN}; {BROWSER}"), "wait", 302,
             answers=FORMED, headers=waits),
        case("the cookie in a browser without a secret", page("/bound/1", cookie=own), "wait", 302,
             answers=FORMED, headers=wait(clean, "autumn", NEW_BROWSER)),
    ]  # fmt: skip


def failing() -> list[dict[str, Any]]:
    away: dict[str, Any] = {"reachable": False}
    unknown = token("unpublished")
    busy = json_body("The queue service is temporarily unavailable.", code="E003")
    return [
        case("unreachable, open", page("/buy/1"), "open", **away),
        case("unreachable, open, a script", asked("/buy/1"), "open", **away),
        case("unreachable, closed, a page", page("/closed/1"), "unreachable", 503, **away,
             headers=html(retry=True), title="We are very busy", link=f"{ORIGIN}/closed/1"),
        case("unreachable, closed, a script", asked("/closed/1", accept_language="en"),
             "unreachable", 503, **away, headers=JSON, body=busy),
        case("unreachable, and a key that may be new",
             page("/buy/1", cookie=f"{cookie_name('summer')}={unknown}"), "open", **away),
        case("unreachable, and a forged pass",
             page("/closed/1", cookie=f"{cookie_name('summer')}={FORGED}"), "unreachable", 503,
             **away, headers=html(retry=True), title="We are very busy", link=f"{ORIGIN}/closed/1"),
        case("unreachable, observed", page("/observed/1"), "pass", observed="open", **away),
    ]  # fmt: skip


def vectors() -> dict[str, Any]:
    published = [name for name in KEYS if name != "unpublished"]
    return {
        "about": ABOUT,
        "now": NOW,
        "siteKey": SITE_KEY,
        "queueUrl": QUEUE,
        "origins": [ORIGIN, "https://www.shop.example"],
        "newSecret": NEW_SECRET,
        "revoked": {"summer": [99]},
        "jwks": {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": b64(KEYS[name].public_key().public_bytes_raw()),
                    "kid": name,
                    "use": "sig",
                    "alg": "EdDSA",
                }
                for name in published
            ]
        },
        "passes": passes(),
        "returns": returns(),
        "marks": [{"token": AUTUMN, "secret": SECRET, "mark": mark(AUTUMN, SECRET)}],
        "paths": [list(pair) for pair in PATHS],
        "hosts": [list(pair) for pair in HOSTS],
        "patterns": PATTERNS,
        "document": DOCUMENT,
        "matches": matches(),
        "documentsRefused": refused_documents(),
        "protection": PROTECTION,
        "decisions": decisions(),
    }


def written() -> str:
    return json.dumps(vectors(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(written(), "utf-8")
