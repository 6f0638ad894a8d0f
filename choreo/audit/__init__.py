"""What is done with a participant's saga log beside its worker: it is checked, exported, thinned out.

- `choreo.audit.verification`: checking the chains of a saga log (`choreo.chain` says what they prove)
- `choreo.audit.heads`: the last links of all sagas, to be kept elsewhere
- `choreo.audit.export`: what an export consists of, and `choreo.audit.formats` its files
- `choreo.audit.restore`: an export made a store again
- `choreo.audit.retention`: erasing payloads, and pruning old sagas

The worker may run meanwhile: each step is one short transaction, and a crash leaves the store as it was
before the step or after it.
"""
