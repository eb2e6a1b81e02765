"""The few services that a channel's name may mean, so that a thousand names do not go through all of them."""

from itertools import accumulate

from domainstream.channel.channel_name import Services


def services_near(name: str, services: Services | None) -> Services | None:
    """Return the services that `name` begins with; all of them where it begins with none, for the message to list."""
    if services is None:
        return None
    words = name.lower().removeprefix("domain_").split("_")
    beginnings = accumulate(words, lambda before, word: f"{before}_{word}")
    return {one: services[one] for one in beginnings if one in services} or services
