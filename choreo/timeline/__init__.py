"""The timeline of one saga, merged from the stores of all its participants; pure, no I/O.

Moments are ordered by the saga's topic; clocks decide only where that order leaves two of them open.

- `choreo.timeline.source`: where sagas are read from; `choreo.timeline.topic` makes a source of the topic
- `choreo.timeline.participant_view`: a saga as one participant's store holds it
- `choreo.timeline.events`: the saga's events in the order of its topic, and why some are void
- `choreo.timeline.moments`: what happened at one participant; `choreo.timeline.merge` orders it all
- `choreo.timeline.remaining`: what may still happen, by the saga's graph
- `choreo.timeline.waits`: what the saga waits for, and who is to act
- `choreo.timeline.timeline`: the whole timeline; `choreo.timeline.selection` selects sagas by a filter

`choreo.render` draws timelines.
"""
