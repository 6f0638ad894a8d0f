"""A bank transfer: two banks and a ledger, with a point of no return. Amounts are in cents.

source       TransferRequested       ......................  fail_transfer  TransferFailed
source       debit_source            SourceDebited           credit_back    SourceCreditedBack
ledger       create_transfer_record  TransferRecorded        void_transfer  TransferVoided
destination  credit_destination      DestinationCredited     debit_back     DestinationDebitedBack
ledger       settle                  TransferSettled         (the pivot: may fail, is never undone)
ledger       notify_parties          TransferDone            (retriable: it can't fail)

Every compensation names the events that call it, and ``choreo verify`` proves that these are the right ones.
So each participant runs without `choreography.json`, but a new step requires changes in other participants.
"""
