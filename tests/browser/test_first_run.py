"""The first visit to a new site: nobody is there, and somebody with the code becomes its admin."""

import yaml

from tests.browser.conftest import PHONE, Watched, log_in
from tests.browser.house import House


def test_the_first_visitor_with_the_code_makes_the_admin_and_the_site(tmp_path, open_page):
    with House(tmp_path / "site", seeded=False, people=False, language="en") as house:
        page = open_page(house.url, size=PHONE, language="es")
        watched = Watched(page, house.url)
        page.goto(f"{house.url}/review")
        assert page.url.startswith(f"{house.url}/setup")
        assert page.locator("input[name=timezone]").input_value() == "America/Bogota"

        def fill(code: str) -> None:
            for name, text in {
                "code": code,
                "name": "Ana María",
                "password": "cauca-verde-1974",
                "again": "cauca-verde-1974",
                "site": "Reserva La Ceiba",
                "timezone": "America/Lima",
            }.items():
                page.locator(f"input[name={name}]").fill(text)
            page.locator("select[name=language]").select_option("es")
            page.locator("main form button").last.click()

        fill("0000-0000")
        assert page.locator(".field.wrong").count() == 1
        assert "Ana María" not in house.site.read_text("utf-8")
        fill((house.state / "web" / "setup-code").read_text().strip())
        page.wait_for_url(lambda at: "/setup" not in at, timeout=60_000)

        site = yaml.safe_load(house.site.read_text("utf-8"))["site"]
        assert site == {"name": "Reserva La Ceiba", "language": "es", "timezone": "America/Lima"}
        assert "# The reserve's cameras." in house.site.read_text("utf-8")
        assert not (house.state / "web" / "setup-code").exists()
        house.decided()
        other = open_page(house.url, language="es")
        assert other.goto(f"{house.url}/setup").status in {200, 404}
        assert other.locator("input[name=code]").count() == 0
        log_in(other, house.url, "Ana María", "cauca-verde-1974")
        other.goto(house.url)
        assert other.locator("h1").inner_text() == "Ahora"
        assert [each for each in watched.complaints if "olicy" in each or "elsewhere" in each] == []
