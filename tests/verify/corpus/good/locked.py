"""The lock is what the choreography says. # good: CHO701, CHO702"""

from choreo.graph import choreography_of, lock_of
from choreo.project.manifests import manifest_from
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock

lock = lock_of(choreography_of(manifest_from(each) for each in (orders, stock, payments, shipping, mail)))
