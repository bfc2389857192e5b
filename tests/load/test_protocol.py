"""Records survive the pipe, however it cuts them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_runner.core.samples import OTHER_REASON, LoadOrder, Sample
from scenario_runner.load.protocol import (
    RECORD,
    Alive,
    Decoder,
    Due,
    Encoder,
    Message,
    Statistics,
    Trouble,
    decode_order,
    encode_order,
)

TIMES = st.floats(0, 1e9)
TEXTS = st.text(max_size=60)
SAMPLES = st.builds(Sample, TIMES, TIMES, TIMES, st.none() | TIMES, st.integers(0, 999), TEXTS, st.none() | TIMES)
MESSAGES = st.one_of(
    st.builds(Due, TIMES, TIMES),
    SAMPLES,
    SAMPLES,
    st.builds(Trouble, st.text(max_size=100)),
    st.just(Alive()),
    st.builds(Statistics, st.integers(0, 10**9), st.integers(0, 9), TIMES, TIMES),
)


def encode(encoder: Encoder, message: Message) -> bytes:
    if isinstance(message, Due):
        return encoder.due(message.scheduled, message.started)
    if isinstance(message, Sample):
        return encoder.ended(message)
    if isinstance(message, Trouble):
        return encoder.trouble(message.text)
    return encoder.last(message) if isinstance(message, Statistics) else encoder.alive()


@settings(deadline=None)  # no test depends on the speed of this machine
@given(st.lists(MESSAGES, max_size=20), st.integers(1, 200))
def test_what_is_said_is_heard_in_pieces_of_any_size(messages: list[Message], size: int) -> None:
    encoder, decoder = Encoder(), Decoder()
    said = b"".join(encode(encoder, message) for message in messages)

    heard = [message for at in range(0, len(said), size) for message in decoder.feed(said[at : at + size])]

    assert heard == messages
    assert len(said) % RECORD.size == 0


def test_a_reason_is_announced_once() -> None:
    encoder = Encoder()
    sample = Sample(1.0, 1.0, 2.0, None, 503, "HTTP 503")

    assert len(encoder.ended(sample)) == 3 * RECORD.size
    assert len(encoder.ended(sample)) == RECORD.size


def test_ever_new_reasons_become_one() -> None:
    encoder, decoder = Encoder(), Decoder()
    samples = [Sample(0.0, 0.0, 0.0, None, 0, f"reason {number}") for number in range(1500)]

    heard = decoder.feed(b"".join(map(encoder.ended, samples)))

    assert heard[:1000] == samples[:1000]
    assert heard[1000:] == [replace(sample, reason=OTHER_REASON) for sample in samples[1000:]]


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^record of unknown kind 9$"):
        Decoder().feed(RECORD.pack(9, 0, 0, 0, 0, *[0.0] * 5))


def test_an_order_comes_back_as_it_was() -> None:
    order = LoadOrder(
        step_id="traffic",
        url="http://x/ü",
        method="POST",
        headers={"A": "b"},
        body=bytes(range(256)),
        api="chat",
        model="auto",
        stream=True,
        expect_status=(200, 201),
        rate=0.1,
        count=3,
        duration=1e9,
        request_timeout=0.5,
        max_outstanding=7,
    )
    line = encode_order(order)

    assert decode_order(line) == order
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{}", "the line is not an order: LoadOrder.__init__() missing 2 required positional arguments"),
        (b"[1]", "the line is not an order: cannot convert dictionary update sequence"),
        (b"{", "the line is not an order: Expecting property name"),
        (
            json.dumps({"step_id": "x", "url": "y", "colour": "red"}).encode(),
            "the line is not an order: LoadOrder.__init__() got an unexpected keyword argument 'colour'",
        ),
    ],
)
def test_a_line_that_is_no_order_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared
        decode_order(line)
    assert str(error.value).startswith(message)
