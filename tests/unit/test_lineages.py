"""Class names that are lineages: SpeciesNet's labels as a taxonomy, without a table of ours."""

from pathlib import Path

import pytest

from edge.model import Card, Classification
from edge.models.card import write_card
from edge.models.lineages import taxa_of_label
from edge.models.taxonomy import load_taxonomy

LABELS = (
    "22976d14-d424-4f18-a67a-d8e1689cefcc;mammalia;carnivora;felidae;leopardus;pardalis;ocelot",
    "014560f7-97dd-48a9-8e3d-fecaf51a4910;mammalia;cetartiodactyla;cervidae;mazama;;mazama species",
    "93f110f1-7710-4a3f-8437-071358ff8563;aves;passeriformes;pycnonotidae;alophoixus;frater;palawan bulbul",
    "90d950db-2106-4bd9-a4c1-777604c3eada;mammalia;rodentia;;;;rodent",
    "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal",
    "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human",
    "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank",
    "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle",
)


@pytest.mark.parametrize(
    ("label", "lineage"),
    [
        (LABELS[0], ["Animalia", "Mammalia", "Carnivora", "Felidae", "Leopardus", "Leopardus pardalis"]),
        (LABELS[1], ["Animalia", "Mammalia", "Artiodactyla", "Cervidae", "Mazama"]),
        (LABELS[2], ["Animalia", "Aves", "Passeriformes", "Pycnonotidae", "Alophoixus", "Alophoixus frater"]),
        (LABELS[3], ["Animalia", "Mammalia", "Rodentia"]),
        (LABELS[4], ["Animalia"]),
        *((label, []) for label in LABELS[5:]),
        ("jaguar", []),
    ],
)
def test_a_label_stands_where_our_table_has_it_else_where_it_says(label: str, lineage: list[str]) -> None:
    taxa = taxa_of_label(label)

    assert [each.scientific_name for each in taxa] == lineage
    assert all(each.lineage == tuple(lineage[: number + 1]) for number, each in enumerate(taxa))


def test_an_installed_model_whose_classes_are_lineages_is_a_taxonomy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-speciesnet"
    folder.mkdir()
    write_card(
        Card(
            "my-speciesnet",
            "classify",
            "classifier",
            "Apache-2.0",
            "here",
            "0" * 64,
            (480, 480),
            classes=LABELS,
            folder=folder,
        )
    )
    monkeypatch.setenv("TIGRILLO_MODELS", str(tmp_path))

    taxonomy = load_taxonomy("my-speciesnet")

    assert [taxonomy.class_of(label).kind for label in LABELS] == ["animal"] * 5 + ["human", "blank", "vehicle"]
    answer = taxonomy.rollup([Classification(LABELS[2], 0.5), Classification(LABELS[4], 0.3)])
    assert answer is not None
    assert answer.taxon.scientific_name == "Animalia"
    bird = taxonomy.rollup([Classification(LABELS[2], 0.7)])
    assert bird is not None
    assert (bird.taxon.scientific_name, bird.taxon.english) == ("Alophoixus frater", "palawan bulbul")
    assert taxonomy.find("ocelote") is not None


def test_every_class_of_deepfaune_has_a_taxon() -> None:
    taxonomy = load_taxonomy("deepfaune")

    assert len(taxonomy.classes) == 40
    assert taxonomy.kinds == {"animal"}
    assert taxonomy.class_of("bear").trusted != taxonomy.class_of("bear").stands_for
