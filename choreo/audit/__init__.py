"""Checks, exports and thins the saga log of a participant, whether its worker runs or not.

To thin it is to erase the payloads of some sagas, or to prune sagas that ended long ago to one row each.

- `choreo.audit.verification`: checking the chains of a saga log (`choreo.chain` says what they prove)
- `choreo.audit.heads`: the last links of all sagas, to be kept out of reach of those who write the store
- `choreo.audit.export`: the parts of an export; `choreo.audit.formats`: its two file formats
- `choreo.audit.restore`: making a store of an export
- `choreo.audit.retention`: erasing payloads, and pruning old sagas

The worker may run meanwhile: each step is one short transaction, and a crash leaves the store as it was
before the step or after it.
"""
