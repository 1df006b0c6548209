"""The fields of the JSON that is printed. What has no value is left out."""

import contextlib


def present(**fields):
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def enum_name(enum, number, prefix):
    """The name without its prefix; none if this client does not know the number."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix(prefix) if value and number else None


def moment(message, name):
    """The timestamp in RFC 3339; none if it is absent, or beyond the years that there are in it."""
    with contextlib.suppress(ValueError):
        return getattr(message, name).ToJsonString() if message.HasField(name) else None


def milliseconds(duration):
    """Rounded up: a call that comes too early is refused again."""
    return -(-duration.ToNanoseconds() // 1_000_000)
