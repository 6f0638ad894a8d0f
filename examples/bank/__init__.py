"""A bank transfer: two banks and a ledger, with a point of no return. Amounts are in cents.

source       TransferRequested       ......................  fail_transfer  TransferFailed
source       debit_source            SourceDebited           credit_back    SourceCreditedBack
ledger       create_transfer_record  TransferRecorded        void_transfer  TransferVoided
destination  credit_destination      DestinationCredited     debit_back     DestinationDebitedBack
ledger       settle                  TransferSettled         (the pivot: may fail, is never undone)
ledger       notify_parties          TransferDone            (retriable: it can't fail)

No compensation says what calls it, as that follows from the steps above, but for `fail_transfer`: it reads
the reason in the event that calls it, and so names that event. A participant in a process of its own
finds what calls its compensations in `choreography.json`, which ``choreo verify --lock`` writes.
"""
