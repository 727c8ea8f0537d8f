"""Start page of both services: HTML for browsers, JSON for programs, in the visitor's language."""

import httpx
import pytest

from tests.booking_web.office import Office
from tests.http_client import Client
from tests.until import until
from tests.web.stack import SOON_S, Room
from waitline.http.texts import preferred_language

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(params=["trial", "production"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


def services(office: Office) -> dict[str, Client]:
    return {"queue": office.queue.client, "booking": office.client}


def language_of(response: httpx.Response) -> str:
    assert response.status_code == 200
    language = response.headers["content-language"]
    assert f'<html lang="{language}">' in response.text
    return str(language)


def test_programs_get_json(office: Office) -> None:
    trial = office.get("/").json()["mode"] == "trial"
    for service, client in services(office).items():
        shown = client.get("/").json()
        assert shown["service"] == service
        assert ("docs" in shown["links"]) == trial
        for link in shown["links"].values():
            if "{" not in link and link != "/api/v1/queue/enter":
                assert client.get(link).status_code == 200, link


def test_browsers_get_a_page_whose_links_lead_somewhere(office: Office) -> None:
    trial = office.get("/").json()["mode"] == "trial"
    for client in services(office).values():
        page = client.get("/", headers=HTML)
        assert language_of(page) == "en"
        assert "default-src 'self'" in page.headers["content-security-policy"]
        links = [part.partition('"')[0] for part in page.text.split('href="')[1:]]
        assert any(link.endswith("docs") for link in links) == trial
        assert any("demo" in link for link in links) == trial
        for link in links:
            found = client.get(httpx.URL(str(client.base_url)).join(link), follow_redirects=True)
            assert found.status_code == 200, link
        known = {**HTML, "If-None-Match": page.headers["etag"]}
        assert client.get("/", headers=known).status_code == 304


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param({}, "en", id="nothing"),
        pytest.param({"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}, "ko", id="korean"),
        pytest.param({"Accept-Language": "fr"}, "en", id="another"),
        pytest.param({"Accept-Language": "ko", "Cookie": "waitlang=en"}, "en", id="chosen before"),
        pytest.param({"Cookie": "waitlang=xx"}, "en", id="no language"),
    ],
)
def test_language(office: Office, asked: dict[str, str], shown: str) -> None:
    for client in services(office).values():
        assert language_of(client.get("/", headers={**HTML, **asked})) == shown


def test_the_switch_is_kept(office: Office) -> None:
    for client in services(office).values():
        page = client.get("/?lang=ko", headers=HTML)
        assert language_of(page) == "ko"
        cookie = page.headers["set-cookie"].partition(";")[0]
        assert language_of(client.get("/", headers={**HTML, "Cookie": cookie})) == "ko"


def test_the_default_language_is_a_setting(configured: Office) -> None:
    for client in services(configured).values():
        assert language_of(client.get("/", headers=HTML)) == "ko"
        assert language_of(client.get("/", headers={**HTML, "Accept-Language": "en"})) == "en"


def test_answers_of_the_contract_stay_korean(office: Office) -> None:
    assert preferred_language(None) == "ko"
    for client in services(office).values():
        assert "서비스" in client.get("/api/v1/health").json()["message"]


def test_the_short_address_leads_to_the_demo_whatever_strangers_enter(configured: Office) -> None:
    client = configured.queue.client

    def leads_to() -> str | None:
        location: str | None = client.get("/rooms/demo?lang=ko").headers.get("location")
        return location

    assert leads_to() == "./1?lang=ko"
    body = {"concertId": "demo", "userId": "a"}
    assert client.post("/api/v1/queue/enter", json=body).status_code == 201
    assert leads_to() == "./1?lang=ko"
    Room(configured.queue, "demo").change(title="My own")
    until(lambda: leads_to() is None, SOON_S, "the operator's room is itself")
