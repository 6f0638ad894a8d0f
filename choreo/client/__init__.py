"""What a process uses that is no worker: its participant's store, transactions that start sagas, status."""
