"""The lock knows a participant that is not given. # expect nowhere: CHO702"""

from choreo.graph import choreography_of, lock_of
from choreo.project.manifests import manifest_from
from tests.verify.corpus import parts
from tests.verify.corpus.parts import mail, orders, payments, stock

lock = lock_of(
    choreography_of(manifest_from(each) for each in (orders, stock, payments, parts.shipping, mail))
)
