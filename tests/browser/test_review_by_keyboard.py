"""A biologist reviews twenty pictures and touches nothing but the keys."""

from sqlalchemy import select

from edge.config import load_plan
from edge.registry import load_registry
from edge.store.schema import reviews
from edge.store.sql import Store
from edge.store.web_schema import sequence_frames
from tests.browser.conftest import PHONE, Watched
from tests.e2e.waiting import wait_until

KEYS = "iibi1iv2pi3ibi1iiib1"  # the machine is right, blank, person, vehicle, and the site's usual species by number


def answers(house) -> dict[int, set[tuple[str, str, str]]]:
    """Sequence → (kind, taxon, who) of what people said of its frames and did not take back."""
    plan = load_plan(house.site, load_registry())
    query = select(sequence_frames.c.sequence_pk, reviews.c.kind, reviews.c.taxon, reviews.c.by).where(
        reviews.c.frame_pk == sequence_frames.c.frame_pk, reviews.c.undone_at.is_(None)
    )
    found: dict[int, set[tuple[str, str, str]]] = {}
    with Store(plan.database_url, read_only=True) as store, store.transaction() as connection:
        for pk, *said in connection.execute(query):
            found.setdefault(pk, set()).add(tuple(said))
    return found


def test_twenty_sequences_are_reviewed_by_keyboard_and_the_last_is_taken_back(house, open_page):
    page = open_page(house.url, user="rosa")
    watched = Watched(page, house.url)
    page.goto(f"{house.url}/review?unreviewed=1")
    before = set(answers(house))
    page.keyboard.press("ArrowRight")  # a card has the focus
    page.keyboard.press("ArrowLeft")

    for key in KEYS:
        page.keyboard.press(key)

    wait_until(lambda: len(set(answers(house)) - before) == len(KEYS), 20)
    found = {pk: said for pk, said in answers(house).items() if pk not in before}
    assert {by for said in found.values() for _kind, _taxon, by in said} == {"rosa"}
    kinds = [next(iter(said))[0] for said in found.values()]
    assert kinds.count("vehicle") == KEYS.count("v")
    assert kinds.count("blank") >= KEYS.count("b")
    assert kinds.count("human") >= KEYS.count("p")
    assert all(taxon for said in found.values() for kind, taxon, _by in said if kind == "animal")

    hidden = page.eval_on_selector_all(
        ".seq.human.answered .shot img", "all => all.map(each => each.getAttribute('src'))"
    )
    assert len(hidden) >= KEYS.count("p")
    assert all(each.endswith("?people") for each in hidden)  # not what the page has shown before

    page.keyboard.press("u")

    wait_until(lambda: len(set(answers(house)) - before) == len(KEYS) - 1, 20)
    assert watched.complaints == []


def test_the_focus_stays_where_somebody_works(house, open_page):
    page = open_page(house.url, user="rosa", size=PHONE)
    page.goto(house.url)
    cards = page.locator("#encounters > li")
    shown = cards.count()

    page.locator("#older a").press("Enter")
    cards.nth(shown).wait_for()
    wait_until(lambda: cards.nth(shown).evaluate("each => each.contains(document.activeElement)"), 5)

    page.locator("#encounters > li:not(:has(.chip.good)) h2 a").first.press("Enter")
    page.locator("#state button").press("Enter")
    wait_until(lambda: page.evaluate("document.activeElement.id") == "state", 5)


def test_single_keys_can_be_turned_off(house, open_page):
    page = open_page(house.url, user="rosa")
    page.goto(f"{house.url}/review")
    helped = page.locator("#keys:popover-open")

    page.keyboard.press("?")
    page.locator("#keys-on").press(" ")
    page.keyboard.press("Escape")
    helped.wait_for(state="hidden")
    page.keyboard.press("?")
    page.reload()
    page.keyboard.press("?")

    assert helped.count() == 0
    page.locator("[data-key='?']").click()
    assert not page.locator("#keys-on").is_checked()
