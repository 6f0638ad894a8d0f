"""The order as it should be."""

# good: CHO101, CHO102, CHO104, CHO105, CHO109, CHO201, CHO208, CHO210

from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401
