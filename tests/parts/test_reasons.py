"""Why a file is in quarantine, or damaged: kept in English, and read in Spanish by those who speak it."""

from contextlib import contextmanager

import pytest

from edge.errors import DecodeError
from edge.foreign import foreign
from edge.i18n import speaking
from edge.media.clips import open_clip
from edge.media.stills import read_still

JPEG, MP4 = "stills/african_elephants.jpg", "video/chimp.mp4"
MANY = 10**9


@contextmanager
def opened(path, max_pixels=MANY):
    """As the stages get at it."""
    if path.suffix == ".mp4":
        with open_clip(path, sample_fps=1, max_pixels=max_pixels, threads=1) as clip:
            yield clip
    else:
        yield read_still(path, max_pixels=max_pixels)


@pytest.mark.parametrize(
    ("name", "body", "spanish"),
    [
        ("a.jpg", b"", "a.jpg: archivo vacío (0 bytes): vuelva a copiarlo de la tarjeta, o bórrelo"),
        ("a.jpg", b"no picture", "a.jpg: no es una imagen JPEG, PNG, TIFF ni WEBP (empieza con b'no pictu'): vuelva"),
        ("a.jpg", (JPEG, 300), "a.jpg: JPEG cuyo encabezado no se puede leer, dañado o cortado: vuelva"),
        ("a.mp4", b"", "a.mp4: archivo vacío (0 bytes): vuelva"),
        ("a.mp4", b"no clip at all", "a.mp4: no es un video que se pueda abrir (empieza con b'no clip at a'; "),
        ("a.mp4", (MP4, 5000), "a.mp4: MP4 que se cortó antes de que se escribiera su índice: repárelo"),
    ],
)
def test_why_a_file_was_refused_is_told_in_the_readers_language(shared_media, tmp_path, name, body, spanish):
    path = tmp_path / name
    path.write_bytes(body if isinstance(body, bytes) else (shared_media / body[0]).read_bytes()[: body[1]])

    with pytest.raises(DecodeError) as caught, opened(path):
        pass
    with speaking("es"):
        told = foreign(caught.value)

    assert told.startswith(spanish)
    assert foreign(caught.value) == str(caught.value)


@pytest.mark.parametrize("name", [JPEG, MP4])
def test_too_many_pixels_are_told_in_the_readers_language(shared_media, name):
    with pytest.raises(DecodeError) as caught, opened(shared_media / name, max_pixels=1000):
        pass
    with speaking("es"):
        assert foreign(caught.value).endswith("píxeles, se permiten 1000: aumente max_pixels, o bórrelo")


def test_what_is_damaged_is_told_in_the_readers_language(shared_media, tmp_path):
    path = tmp_path / "a.jpg"
    whole = (shared_media / JPEG).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with speaking("es"), opened(path) as still:
        told = foreign(still.damage)

    assert told.startswith("cortado: el JPEG termina antes de tiempo, falta el ")
