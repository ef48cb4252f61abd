"""What trainings of a few steps say of themselves, which is no matter of the tests that train
them."""

import pytest

# Whether a model that has seen a few steps predicts a constant, the processor's rounding decides.
few_steps = pytest.mark.filterwarnings(
    r"ignore:all \d+ predictions are .* as good as a constant:UserWarning",
    "ignore:the validation part gave no rank correlation in any epoch:UserWarning",
)
# Dives in groups by difficulty: a few dozen leave some groups with a single one.
few_dives = pytest.mark.filterwarnings(
    r"ignore:\d+ of \d+ training samples are alone in their group:UserWarning"
)
