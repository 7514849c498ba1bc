"""The same few examples in every run, with nothing kept between runs."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast3r",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    # A test's folder serves all of its examples: each writes every file that it reads.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fast3r")
