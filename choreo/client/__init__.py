"""What a process uses that is no worker, such as a web service: ``choreo.connect`` and what it leads to.

`choreo.client.connection` opens transactions that start and cancel sagas, says where a saga stands, and waits
for its end.
"""
