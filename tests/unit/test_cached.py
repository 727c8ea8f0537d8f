"""HTTP caching: conditional requests and their answers."""

import pytest

from waitline.http.caching import accepted_codings, etag_matches


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", ()),
        ("gzip", ("gzip",)),
        ("gzip, deflate, br", ("br", "gzip")),
        ("BR ; Q=0.5", ("br",)),
        ("br;q=0, gzip;q=0.000", ()),
        ("br;q=0.001", ("br",)),
        ("*", ("br", "gzip")),
        ("*;q=0", ()),
        ("*, br;q=0", ("gzip",)),
        ("identity", ()),
        ("gzipped, brr", ()),
        (";;q=,=,", ()),
    ],
)
def test_codings(header: str, codings: tuple[str, ...]) -> None:
    assert accepted_codings(header) == codings


@pytest.mark.parametrize(
    ("tags", "is_known"),
    [
        (b"", False),
        (b'"1"', True),
        (b'W/"1"', True),
        (b'"2", W/"1"', True),
        (b"*", True),
        (b'"2"', False),
        (b"1", False),
        (b",,", False),
    ],
)
@pytest.mark.parametrize("etag", [b'"1"', b'W/"1"'])
def test_tags(tags: bytes, etag: bytes, *, is_known: bool) -> None:
    assert etag_matches(tags, etag) is is_known
