"""Settings of the tests with random words."""

from hypothesis import settings

# A busy machine makes an example slow, which says nothing about the code.
settings.register_profile("domainstream", deadline=None)
settings.load_profile("domainstream")
