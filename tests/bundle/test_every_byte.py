"""A sample of `make campaign`'s every byte: the smallest bundle, harmed in one step, is refused whatever the step."""

from tests.campaign import every_byte, every_byte_of_a_closing


def test_every_harm_of_the_sample_is_refused_and_changes_nothing():
    figures = every_byte.campaign(every=67)
    assert figures["cases tried"] > 500
    assert figures["accepted"] == 0
    assert {"refused as CorruptError", "refused as TrustError", "refused as MalformedError"} <= set(figures)


def test_every_harm_of_a_sample_of_a_closings_is_refused_too():
    figures = every_byte_of_a_closing.campaign(every=127)
    assert figures["cases tried"] > 200
    assert (figures["accepted"], figures["files"]) == (0, 2)
