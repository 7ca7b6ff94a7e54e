"""Local species lists: what is read from a CSV, and what is said of one that is wrong."""

import re
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.models.taxa import all_taxa
from edge.species.lists import list_from, look_at_list, read_species_list

TAXA = all_taxa()


def listed(text: str) -> set[str]:
    species, faults = list_from(text, name="here")
    assert species is not None
    assert not faults
    return set(species.listed)


def fault_of(line: str, header: str = "scientific_name,english,spanish,family") -> str:
    _species, faults = list_from(f"{header}\n{line}\n", name="here")
    (fault,) = faults
    assert fault.line == 2
    return fault.message


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("scientific_name\nPuma concolor\nFelidae\n", {"Puma concolor", "Felidae"}),
        ("english\nocelot\nAndean bear\n", {"Leopardus pardalis", "Tremarctos ornatus"}),
        ("nombre común\nOcelote\noso andino\n", {"Leopardus pardalis", "Tremarctos ornatus"}),
        ("Nombre Científico;Familia;notas\nPuma concolor;Felidae;común\n", {"Puma concolor"}),
        ("# páramo\n\nspecies\n# felinos\n  puma concolor  \n,,\n", {"Puma concolor"}),
        ("scientific_name,english\n,puma\nPuma,\n", {"Puma concolor", "Puma"}),
        ("scientific_name,spanish\nPuma concolor,león de montaña\n", {"Puma concolor"}),
    ],
    ids=["scientific", "english", "spanish", "semicolons", "comments", "puma the genus", "a name only locals know"],
)
def test_names_in_either_language_and_higher_taxa_are_read(text: str, names: set[str]) -> None:
    assert listed(text) == names


def test_an_animal_that_our_table_lacks_stands_below_what_the_row_says() -> None:
    text = "scientific_name,family\nLeopardus garleppi,\nThomasomys laniger,Cricetidae\nThomasomys,cricetidae\n"
    species, faults = list_from(text, name="here")

    assert not faults
    assert species is not None
    cat, mouse, genus = species.rows
    assert not cat.known
    assert cat.taxon.lineage[-3:] == ("Felidae", "Leopardus", "Leopardus garleppi")
    assert mouse.taxon.lineage[-2:] == ("Cricetidae", "Thomasomys laniger")
    assert (genus.taxon.rank, mouse.taxon.rank) == ("genus", "species")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Leopardus pardallis,,,", "no taxon 'Leopardus pardallis'; did you mean 'Leopardus pardalis'?"),
        (",ocelott,,", "did you mean 'ocelot'"),
        (",,zorro,", r"'zorro' may be .*zorro rojo \(Vulpes vulpes\).*: write which"),
        ("Panthera onca,ocelot,,", "'Panthera onca' is Panthera onca and 'ocelot' is Leopardus pardalis: which"),
        ("Thomasomys aureus,,,", "add a column genus, family, order or class"),
        ("Qwertyus,,,", "add a column genus, family, order or class"),
        (",qwerty,,", "no taxon 'qwerty': write its scientific name beside it"),
        ("Xenopus something,puma,,", "no taxon 'Xenopus something', but 'puma' is Puma concolor"),
        (",,,Felidae", "has no name"),
    ],
)
def test_an_unknown_or_ambiguous_name_is_refused_with_what_may_have_been_meant(line: str, says: str) -> None:
    assert re.search(says, fault_of(line))


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("# mine\nspanish\npuma\nzorro\n\nocelotee\n", "utf-8")

    with pytest.raises(ConfigError) as caught:
        read_species_list(path)

    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:4: 'zorro' may be")
    assert second.startswith(f"{path}:6: no taxon 'ocelotee'")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"animal,notes\npuma,\n", "no column of names"),
        (b"species\n", "no animals"),
    ],
)
def test_a_list_without_names_is_refused(raw: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(raw)

    _species, faults = look_at_list(path)

    assert says in faults[0].message


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    for encoding in ("utf-8-sig", "cp1252", "utf-8"):
        path.write_text("español;género\r\nleón;Panthera\r\n", encoding)
        assert read_species_list(path).listed == {"Panthera leo"}, encoding
    missing, faults = look_at_list(tmp_path / "none.csv")
    assert missing is None
    assert "No such file" in faults[0].message


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("Leopardus pardalis", True),
        ("Leopardus", True),
        ("Felidae", True),
        ("Mammalia", True),
        ("Canis lupus", True),
        ("Canidae", True),
        ("Panthera leo", False),
        ("Panthera", False),
        ("Ursidae", False),
    ],
)
def test_a_list_allows_what_is_on_it_below_it_and_above_it(name: str, allowed: bool) -> None:
    species, _faults = list_from("species\nLeopardus pardalis\nCanidae\n", name="here")

    assert species is not None
    assert species.allows(TAXA[name]) is allowed
